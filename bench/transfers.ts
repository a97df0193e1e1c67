/**
 * Ways to bring a file from one process to another over a loopback: what `parts/files.ts` compares with ours. All store
 * what `offered/` holds as `received/` of one folder, and listen on a port of 127.0.0.1 that was free just before.
 * @module
 */
import type { ProgramPath } from "../lib/programs.ts";
import { denoRun, OUT } from "./contenders.ts";
import { outputOf } from "./processes.ts";

/** Where a transfer takes place. */
export interface Place {
  readonly port: number;
  /** The folder of the benchmark: settings, keys, and the two folders below it. */
  readonly folder: string;
  /** The file to send, in `offered/`. */
  readonly source: string;
  /** The file to make, in `received/`, with the same name. */
  readonly copy: string;
  readonly name: string;
  readonly bytes: number;
}

/** One of the two processes of a transfer. */
export interface End {
  readonly command: readonly string[];
  /** Files; absent: nothing is read, what is printed is thrown away. */
  readonly stdin?: string;
  readonly stdout?: string;
}

/** A way to transfer a file. */
export interface Transfer {
  readonly name: string;
  /** What must be installed for it. */
  readonly needs?: string;
  /** What keeps a damaged file from being taken for the sent one. */
  readonly check: string;
  /** Which end sends; the other one stores. */
  readonly sender: "client" | "server";
  /** Whether the server ends by itself after one transfer. */
  readonly once?: boolean;
  readonly server: (place: Place) => End;
  /** What happens before the transfer, once the server listens; nobody measures it. */
  readonly before?: (place: Place) => End;
  readonly client: (place: Place) => End;
}

const LOOPBACK = "127.0.0.1";
const NONE = "none";

/** The C pair: `sendfile` at one end, `recv` of 1 MiB and `write` at the other. */
export const C_PAIR: Transfer = {
  name: "C sendfile → C recv + write",
  check: NONE,
  sender: "client",
  once: true,
  server: ({ port, copy }) => ({ command: [`${OUT}/file_receive`, `${port}`, copy] }),
  client: ({ port, source }) => ({ command: [`${OUT}/file_send`, `${port}`, source] }),
};

/** Our server and client, with and without SHA-256 at both ends; a server knows the digests of files that it has stored or hashed. */
export const OURS = {
  upload: upload("files, upload", "SHA-256"),
  download: download("files, download", "SHA-256"),
  downloadKnown: {
    ...download("files, download, digest known", "SHA-256"),
    before: (place) => askOurs(place, "hash", place.name),
  },
  uploadUnverified: upload("files, upload --no-verify", NONE, "--no-verify"),
  downloadUnverified: download("files, download --no-verify", NONE, "--no-verify"),
} satisfies Record<string, Transfer>;

/** Our server and the C sender: what the receive loop of the real program costs. */
export const C_TO_OURS: Transfer = {
  name: "C sendfile → files server, NOHASH",
  check: NONE,
  sender: "client",
  server: (place) => serveOurs(place, "received"),
  client: ({ port, source, name, bytes }) => ({
    command: [`${OUT}/file_send`, `${port}`, source, `UPLOAD ${name} ${bytes} NOHASH`],
  }),
};

function upload(name: string, check: string, ...options: string[]): Transfer {
  return {
    name,
    check,
    sender: "client",
    server: (place) => serveOurs(place, "received"),
    client: (place) => askOurs(place, "put", place.source, ...options),
  };
}

function download(name: string, check: string, ...options: string[]): Transfer {
  return {
    name,
    check,
    sender: "server",
    server: (place) => serveOurs(place, "offered"),
    client: (place) => askOurs(place, "get", place.name, place.copy, ...options),
  };
}

function askOurs({ port, folder }: Place, ...command: string[]): End {
  return ours("clients/files", LOOPBACK, `${port}`, ...command, "--owner", `${folder}/owner`);
}

function serveOurs({ port, folder }: Place, root: "offered" | "received"): End {
  return ours("servers/files", "-p", `${port}`, "-q", "--root", `${folder}/${root}`);
}

/** With all permissions: no others let Deno touch anything below /dev, and the files are in /dev/shm. */
function ours(path: ProgramPath, ...args: string[]): End {
  return { command: denoRun(["-A"], `${path}.ts`, ...args) };
}

/** OpenBSD's netcat: what people use when nothing else is at hand. */
export const NETCAT: Transfer = {
  name: "nc → nc (OpenBSD)",
  needs: "nc.openbsd",
  check: NONE,
  sender: "client",
  once: true,
  server: ({ port, copy }) => ({ command: ["nc.openbsd", "-l", "-N", LOOPBACK, `${port}`], stdout: copy }),
  client: ({ port, source }) => ({ command: ["nc.openbsd", "-N", LOOPBACK, `${port}`], stdin: source }),
};

/** socat with buffers of a good size: its own are 8 KiB. */
export const SOCAT: Transfer = {
  name: "socat -b 256K",
  needs: "socat",
  check: NONE,
  sender: "client",
  once: true,
  server: ({ port, copy }) => socat(`TCP-LISTEN:${port},bind=${LOOPBACK},reuseaddr`, `CREATE:${copy}`),
  client: ({ port, source }) => socat(`OPEN:${source},rdonly`, `TCP:${LOOPBACK}:${port}`),
};

function socat(from: string, to: string): End {
  return { command: ["socat", "-u", "-b", `${256 * 1024}`, from, to] };
}

/** curl from nginx, which sends by sendfile. */
export const NGINX: Transfer = {
  name: "curl ← nginx (sendfile)",
  needs: "nginx",
  check: NONE,
  sender: "server",
  server: ({ port, folder }) => {
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((of) =>
      `${of}_temp_path ${folder}/${of};`
    );
    Deno.writeTextFileSync(
      `${folder}/nginx.conf`,
      `daemon off; master_process off; pid ${folder}/nginx.pid; error_log stderr error; events {}
http {
  access_log off; sendfile on; tcp_nopush on; ${temporary.join(" ")}
  server { listen ${LOOPBACK}:${port}; root ${folder}/offered; }
}
`,
    );
    return { command: ["nginx", "-e", "stderr", "-p", folder, "-c", `${folder}/nginx.conf`] };
  },
  client: ({ port, name, copy }) => ({
    command: ["curl", "--silent", "--show-error", "--fail", "-o", copy, `http://${LOOPBACK}:${port}/${name}`],
  }),
};

/** rsync to its daemon, whole files. */
export const RSYNC_PUT: Transfer = {
  ...rsync("put"),
  sender: "client",
  client: ({ port, source }) => ({ command: ["rsync", "-W", source, `rsync://${LOOPBACK}:${port}/received/`] }),
};

/** rsync from its daemon, whole files. */
export const RSYNC_GET: Transfer = {
  ...rsync("get"),
  sender: "server",
  client: ({ port, name, copy }) => ({
    command: ["rsync", "-W", `rsync://${LOOPBACK}:${port}/offered/${name}`, copy],
  }),
};

function rsync(verb: string): Pick<Transfer, "name" | "needs" | "check" | "server"> {
  return {
    name: `rsync daemon, ${verb} -W`,
    needs: "rsync",
    check: "hash",
    server: ({ port, folder }) => {
      const owner = Deno.uid() === 0 ? "uid = root\ngid = root\n" : "";
      const modules = ["offered", "received"].map((name) => `[${name}]\npath = ${folder}/${name}\nread only = no\n`);
      Deno.writeTextFileSync(
        `${folder}/rsyncd.conf`,
        `use chroot = no\nlog file = /dev/null\n${owner}${modules.join("")}`,
      );
      const where = [`--address=${LOOPBACK}`, `--port=${port}`, `--config=${folder}/rsyncd.conf`];
      return { command: ["rsync", "--daemon", "--no-detach", ...where] };
    },
  };
}

/** sftp to a server of its own. */
export const SFTP_PUT: Transfer = {
  ...sftp("put"),
  sender: "client",
  client: (place) => sftpBatch(place, `put ${place.source} ${place.copy}`),
};

/** sftp from a server of its own. */
export const SFTP_GET: Transfer = {
  ...sftp("get"),
  sender: "server",
  client: (place) => sftpBatch(place, `get ${place.source} ${place.copy}`),
};

/** Keys of this run: one for the server, one for the user. */
const SSH_KEYS = ["host", "user"];
/** Where sshd's unprivileged child is locked in; the folder must be there when root starts it. */
const SSHD_JAIL = "/run/sshd";

function sftp(verb: string): Pick<Transfer, "name" | "needs" | "check" | "server"> {
  return {
    name: `sftp ${verb}, aes128-gcm`,
    needs: "sshd",
    check: "cipher",
    server: ({ port, folder }) => {
      for (const key of SSH_KEYS) makeKey(`${folder}/${key}.key`);
      Deno.writeTextFileSync(
        `${folder}/sshd.conf`,
        `ListenAddress ${LOOPBACK}:${port}\nHostKey ${folder}/host.key\nAuthorizedKeysFile ${folder}/user.key.pub\n` +
          `PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n`,
      );
      const sshd = [outputOf("sh", "-c", "command -v sshd"), "-D", "-e", "-q", "-f", `${folder}/sshd.conf`];
      return { command: Deno.uid() === 0 ? withJail(sshd) : sshd };
    },
  };
}

/** The command with a jail of its own: a mount that no other process sees. */
function withJail(command: readonly string[]): string[] {
  const enter = `mount -t tmpfs none /run && mkdir -m 755 ${SSHD_JAIL} && exec "$@"`;
  return ["unshare", "--mount", "sh", "-c", enter, "sh", ...command];
}

function makeKey(path: string): void {
  try {
    Deno.statSync(path);
  } catch {
    outputOf("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path);
  }
}

function sftpBatch({ port, folder }: Place, command: string): End {
  Deno.writeTextFileSync(`${folder}/sftp.batch`, `${command}\n`);
  const settings = [
    "Ciphers=aes128-gcm@openssh.com",
    `IdentityFile=${folder}/user.key`,
    "IdentitiesOnly=yes",
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "LogLevel=ERROR",
  ].flatMap((setting) => ["-o", setting]);
  return {
    command: ["sftp", "-q", "-b", `${folder}/sftp.batch`, "-F", "none", ...settings, "-P", `${port}`, LOOPBACK],
  };
}

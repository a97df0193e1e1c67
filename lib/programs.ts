/**
 * The table of the programs: what each one is, its port and the permissions that it runs with. Help texts, hints, the
 * README, `deno task compile` and the tests all read it here.
 * @module
 */

/** One program: `servers/NAME.ts` or `clients/NAME.ts`. */
export interface Program {
  /** The exercise, as one line. */
  readonly idea: string;
  /** Its default port; 0: it talks to nobody. */
  readonly port: number;
  /** The flags of `deno run` that it needs, and no others. */
  readonly permissions: readonly string[];
  /** Those that it needs with `--secure`, if it has that. Its executable has them. */
  readonly secure?: readonly string[];
  /** Arguments of a working example. */
  readonly example: string;
  /** Whether it uses `Deno.listenDatagram` or `reusePort`: run from a URL, without this deno.json, it then also needs `--unstable-net`. */
  readonly unstableNet?: boolean;
  /** The module of its Workers, without `.ts`: part of its executable. */
  readonly worker?: string;
}

/** What a secure channel needs besides the network: keys in files, and where these are. */
const KEYS = ["-R", "-W", "-E=HOME,XDG_CONFIG_HOME,NETLAB_PSK"];

/** Every program by its path without `.ts`. */
export const PROGRAMS = {
  "servers/tcp_echo": {
    idea: "one client at a time: prints each message and echoes it",
    port: 9001,
    permissions: ["-N"],
    example: "--greet welcome",
  },
  "clients/tcp_echo": {
    idea: "sends messages and prints what comes back",
    port: 9001,
    permissions: ["-N"],
    example: "-m hello",
  },
  "servers/thread_echo": {
    idea: "several clients at once by threads: N Workers, each with its own listener on one port",
    port: 9001,
    permissions: ["-N", "-R"],
    example: "--workers 4",
    worker: "servers/thread_echo_worker",
    unstableNet: true,
  },
  "servers/selector_echo": {
    idea: "many connections in one thread: an explicit select loop",
    port: 9001,
    permissions: ["-N"],
    example: "--port 9001",
  },
  "servers/udp_echo": {
    idea: "the same over UDP: one datagram is one message",
    port: 9001,
    permissions: ["-N"],
    example: "--port 9001",
    unstableNet: true,
  },
  "clients/udp_echo": {
    idea: "asks again when a reply is lost; counts what is lost, late, doubled or reordered",
    port: 9001,
    permissions: ["-N"],
    example: "-m hello --timeout 1s --retries 3",
    unstableNet: true,
  },
  "servers/framed_echo": {
    idea: '"sticky packets" cured: length-prefixed frames over a byte stream',
    port: 9002,
    permissions: ["-N"],
    example: "--endian little",
  },
  "clients/framed_echo": {
    idea: 'frames sent in one write come back one by one; --sticky shows the "sticky packets"',
    port: 9002,
    permissions: ["-N"],
    example: "-m one -m two -m three",
  },
  "servers/chat": {
    idea: "operator and client talk by turns; q ends the talk, and the next client follows",
    port: 9003,
    permissions: ["-N"],
    secure: ["-N", ...KEYS],
    example: "--port 9003",
  },
  "clients/chat": {
    idea: "sends a line, waits for the answer, and so on, from a terminal or a pipe",
    port: 9003,
    permissions: ["-N"],
    secure: ["-N", ...KEYS],
    example: "-m hello",
  },
  "servers/udp_chat": {
    idea: "the same over UDP: the operator answers whoever wrote last",
    port: 9003,
    permissions: ["-N"],
    example: "--port 9003",
    unstableNet: true,
  },
  "clients/udp_chat": {
    idea: "the same over UDP: one datagram is one message",
    port: 9003,
    permissions: ["-N"],
    example: "-m hello --timeout 30s",
    unstableNet: true,
  },
  "servers/hmac_auth": {
    idea: "the server verifies that a client is legitimate: challenge-response on a shared secret",
    port: 9004,
    permissions: ["-N", "-R", "-E=NETLAB_SECRET"],
    example: "--secret-file secret.key",
  },
  "clients/hmac_auth": {
    idea: "proves that it knows the secret without sending it; --mutual: so must the server",
    port: 9004,
    permissions: ["-N", "-R", "-E=NETLAB_SECRET"],
    example: "--secret-file secret.key -m hello",
  },
  "servers/diffie_hellman": {
    idea: "key exchange: both ends agree on a key in the open, then exchange encrypted messages",
    port: 9005,
    permissions: ["-N", "-R", "-W", "-E=NETLAB_PSK"],
    example: "--anonymous insecure",
  },
  "clients/diffie_hellman": {
    idea: "agrees on a key with the server, shows its fingerprint, sends encrypted messages",
    port: 9005,
    permissions: ["-N", "-R", "-W", "-E=NETLAB_PSK"],
    example: "--anonymous insecure -m hello",
  },
  "servers/dh_mitm": {
    idea: "the man in the middle of diffie_hellman: reads the anonymous mode, is caught in the others",
    port: 9009,
    permissions: ["-N"],
    example: "--to 127.0.0.1:9005",
  },
  "servers/rsa": {
    idea: "asymmetric encryption: hands out its public key, decrypts messages, signs the replies",
    port: 9006,
    permissions: ["-N", "-R", "-W", "-E=HOME,XDG_CONFIG_HOME"],
    example: "--key rsa.pem",
  },
  "clients/rsa": {
    idea: "encrypts messages with the server's public key, verifies the signed replies; files too: encrypt --help",
    port: 9006,
    permissions: ["-N", "-R", "-W", "-E=HOME,XDG_CONFIG_HOME"],
    example: "-m hello",
  },
  "servers/secure_echo": {
    idea:
      "echo inside a secure channel: DH key exchange, then AES messages that nobody reads, changes or cuts unnoticed",
    port: 9007,
    permissions: ["-N", ...KEYS],
    example: "--allow-any-client",
  },
  "clients/secure_echo": {
    idea: "makes sure whom it talks to, then sends messages inside the channel and prints what comes back",
    port: 9007,
    permissions: ["-N", ...KEYS],
    example: "--trust accept-new -m hello",
  },
  "servers/files": {
    idea: "line commands ECHO, TIME, CLOSE and more, and uploads and downloads that can be resumed, in one thread",
    port: 9008,
    permissions: ["-N", "-R", "-W", "-S=statfs"],
    secure: ["-N", "-S=statfs", ...KEYS],
    example: "--root shared",
  },
  "clients/files": {
    idea: "moves files both ways, goes on by itself after a break, then asks; or types commands by hand",
    port: 9008,
    permissions: ["-N", "-R", "-W", "-E=HOME,XDG_CONFIG_HOME"],
    secure: ["-N", ...KEYS],
    example: "put photo.jpg",
  },
  "servers/jim": {
    idea: "the JIM messenger: users, rooms, contacts, history, in one file",
    port: 7777,
    permissions: ["-N", "-R", "-W"],
    secure: ["-N", ...KEYS],
    example: "--db jim.sqlite",
  },
  "clients/jim": {
    idea: "messages, rooms and contacts at a terminal or in a pipe; connects anew and shows what it missed",
    port: 7777,
    permissions: ["-N", "-R", "-E=NETLAB_JIM_PASSWORD"],
    secure: ["-N", ...KEYS, "-E=NETLAB_JIM_PASSWORD"],
    example: "-n alice",
  },
  "servers/wiretap": {
    idea: "a proxy that shows the bytes of both directions, searches and saves them, and breaks them on demand",
    port: 9009,
    permissions: ["-N"],
    example: "--to 127.0.0.1:9001 --delay 50ms --split 3",
    unstableNet: true,
  },
  "clients/keys": {
    idea: "the keys of secure channels: makes one, shows its public half and its fingerprint",
    port: 0,
    permissions: ["-R", "-W", "-E=HOME,XDG_CONFIG_HOME"],
    example: "new",
  },
} satisfies Record<string, Program>;

/** The path of a program without `.ts`: a key of {@linkcode PROGRAMS}. */
export type ProgramPath = keyof typeof PROGRAMS;

/** The name that a program calls itself by: `tcp_echo`. */
export function programName(path: ProgramPath): string {
  return path.slice(path.indexOf("/") + 1);
}

/**
 * The command that runs a program from a checkout.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(runCommand("servers/tcp_echo"), "deno run -N servers/tcp_echo.ts");
 * ```
 */
export function runCommand(path: ProgramPath, { secure = false }: { readonly secure?: boolean } = {}): string {
  const program: Program = PROGRAMS[path];
  const permissions = (secure ? program.secure : undefined) ?? program.permissions;
  return `deno run ${permissions.join(" ")} ${path}.ts`;
}

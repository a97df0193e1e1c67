/**
 * What each program does with its counterpart, in one short exchange: run the same way from a checkout, from a URL and as
 * one self-contained file.
 * @module
 */
import type { ProgramPath } from "../lib/programs.ts";
import { assertEquals } from "./assert.ts";
import { run, type RunOptions, startServer } from "./harness.ts";

/** How each of the programs is run. */
export type Launcher = (path: ProgramPath) => RunOptions;

/** One exchange. */
export interface Exchange {
  readonly server: ProgramPath;
  readonly serverArgs?: readonly string[];
  readonly client: ProgramPath;
  readonly clientArgs: readonly string[];
  readonly env?: Record<string, string>;
  /** What the operator types at the server. */
  readonly operator?: string;
  /** A proxy on the way to the server, with its arguments. */
  readonly proxy?: { readonly path: ProgramPath; readonly args: (server: string) => readonly string[] };
  /** What the client prints. */
  readonly stdout: string;
}

const echo = { clientArgs: ["-m", "hello"], stdout: "hello\n" } as const;
const env = { NETLAB_SECRET: "correct horse battery staple" };

/** Between them, every program. */
export const EXCHANGES: readonly Exchange[] = [
  { server: "servers/tcp_echo", client: "clients/tcp_echo", ...echo },
  { server: "servers/thread_echo", serverArgs: ["--workers", "2"], client: "clients/tcp_echo", ...echo },
  { server: "servers/selector_echo", client: "clients/tcp_echo", ...echo },
  { server: "servers/udp_echo", client: "clients/udp_echo", ...echo },
  {
    server: "servers/framed_echo",
    client: "clients/framed_echo",
    clientArgs: ["-m", "one", "-m", "two"],
    stdout: "one\ntwo\n",
  },
  {
    server: "servers/hmac_auth",
    serverArgs: ["--mutual"],
    client: "clients/hmac_auth",
    clientArgs: ["--mutual", "-m", "hello"],
    env,
    stdout: "welcome\nhello\n",
  },
  {
    server: "servers/diffie_hellman",
    serverArgs: ["--anonymous", "insecure"],
    client: "clients/diffie_hellman",
    clientArgs: ["--anonymous", "insecure", "-m", "hello"],
    proxy: { path: "servers/dh_mitm", args: (server) => ["--to", server] },
    stdout: "hello\n",
  },
  {
    server: "servers/rsa",
    serverArgs: ["--key", "rsa.pem"], // both in the folder where the programs are run
    client: "clients/rsa",
    clientArgs: ["--pin", "pinned.pub", "-m", "hello"],
    stdout: "received 5 bytes\n",
  },
  {
    server: "servers/secure_echo",
    serverArgs: ["--pattern", "NNpsk0"],
    client: "clients/secure_echo",
    clientArgs: ["--pattern", "NNpsk0", "-m", "hello"],
    env: { NETLAB_PSK: new Uint8Array(32).fill(7).toBase64() },
    stdout: "hello\n",
  },
  {
    server: "servers/tcp_echo",
    client: "clients/tcp_echo",
    proxy: { path: "servers/wiretap", args: (server) => ["--to", server, "--split", "2"] },
    ...echo,
  },
  {
    server: "servers/files",
    serverArgs: ["--root", "."], // the folder where the programs are run, or the checkout
    client: "clients/files",
    clientArgs: ["echo", "hello, server"],
    stdout: "hello, server\n",
  },
  {
    server: "servers/jim",
    serverArgs: ["--db", ":memory:"],
    client: "clients/jim",
    clientArgs: ["-n", "alice", "--to", "#all", "-m", "hello everyone", "-m", "/who"],
    stdout: "online: alice\n",
  },
  ...(["chat", "udp_chat"] as const).map((name): Exchange => ({
    server: `servers/${name}`,
    client: `clients/${name}`,
    clientArgs: ["-m", "hello"],
    operator: "hello, client\n",
    stdout: "hello, client\n",
  })),
];

/** An exchange by its programs. */
export function exchangeName({ server, client, proxy }: Exchange): string {
  return [client, ...(proxy === undefined ? [] : [proxy.path]), server].join(" - ");
}

/** Runs an exchange; the server ends by SIGTERM, with exit code 0. */
export async function exchange(launch: Launcher, { server, client, proxy, ...rest }: Exchange): Promise<void> {
  const options = (path: ProgramPath) => {
    const given = launch(path);
    return { ...given, env: { ...given.env, ...rest.env } };
  };
  await using listening = await startServer(server, rest.serverArgs, options(server));
  if (rest.operator !== undefined) await listening.type(rest.operator);
  await using between = proxy &&
    await startServer(proxy.path, proxy.args(`127.0.0.1:${listening.port}`), options(proxy.path));
  const port = (between ?? listening).port;
  const { code, stdout, stderr } = await run(client, ["127.0.0.1", `${port}`, ...rest.clientArgs], options(client));
  assertEquals([code, stdout], [0, rest.stdout], stderr);
}

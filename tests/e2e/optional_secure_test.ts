import net from "node:net";
import { parseCommandLine } from "../../lib/net/cli.ts";
import { AttemptError } from "../../lib/net/failure.ts";
import { Log } from "../../lib/net/log.ts";
import { connectOptionallySecured, optionalSecurity } from "../../lib/net/optional_secure.ts";
import { SecureConnection } from "../../lib/net/secure.ts";
import { OPTIONAL_SECURE_CLIENT_OPTIONS, OPTIONAL_SECURE_SERVER_OPTIONS } from "../../lib/net/secure_options.ts";
import type { ProgramPath } from "../../lib/programs.ts";
import { type Connection, readFull, serveTcp, TcpConnection, writeAll } from "../../lib/net/tcp.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { inTime, type Output, run } from "../harness.ts";

const PATH = "clients/tcp_echo";

async function echo(connection: Connection): Promise<void> {
  const buffer = new Uint8Array(100);
  for (let count; (count = await connection.read(buffer)) !== null;) {
    await writeAll(connection, buffer.subarray(0, count));
  }
}

/** A server with `--secure` or without, as long as `act` takes. */
async function serving(args: string[], act: (port: number) => Promise<void>): Promise<void> {
  const options = OPTIONAL_SECURE_SERVER_OPTIONS;
  const values = parseCommandLine(args, { path: "servers/tcp_echo", options, positionals: {} });
  const log = new Log("test", { quiet: true, verbose: false });
  log.around = () => {}; // nobody wants to read it
  const secure = await optionalSecurity(values, { path: "servers/tcp_echo", log });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const stop = new AbortController();
  const served = serveTcp(listener, secure(echo), { signal: stop.signal, log });
  try {
    await act(listener.addr.port);
  } finally {
    stop.abort();
    await inTime(served, "the server's end");
  }
}

function connect(port: number, args: string[], path: ProgramPath = PATH): Promise<Connection & AsyncDisposable> {
  const values = parseCommandLine(args, { path: PATH, options: OPTIONAL_SECURE_CLIENT_OPTIONS, positionals: {} });
  const target = { hostname: "127.0.0.1", port, timeout: 10_000, path } as const;
  return connectOptionallySecured(target, values);
}

async function exchange(connection: Connection): Promise<void> {
  const reply = new Uint8Array(5);
  await writeAll(connection, Uint8Array.of(1, 2, 3, 4, 5));
  await inTime(readFull(connection, reply), "the echo");
  assertEquals(reply, Uint8Array.of(1, 2, 3, 4, 5));
}

Deno.test("optionalSecurity() and connectOptionallySecured(): the same program in clear, and with --secure inside a channel", async () => {
  await using folder = new TestFolder();
  const files = (name: string) => ["--secure", "--identity", `${folder.path}/${name}.pem`];
  const client = [...files("client"), "--known-hosts", `${folder.path}/known_hosts`, "--trust", "accept-new"];
  await serving([], async (port) => {
    await using connection = await connect(port, []);
    assert(connection instanceof TcpConnection);
    await exchange(connection);
  });
  await serving([...files("server"), "--allow-any-client"], async (port) => {
    {
      await using connection = await connect(port, client);
      assert(connection instanceof SecureConnection);
      await exchange(connection);
      assertEquals(connection.protocol, "Noise_XX_25519_AESGCM_SHA256");
    }
    await assertRejects(() => connect(port, client, "clients/udp_echo"), AttemptError, "make the channel secure");
    await using clear = await connect(port, []);
    await writeAll(clear, new TextEncoder().encode("hello, in clear"));
    assertEquals(await inTime(clear.read(new Uint8Array(9)), "the end").catch(() => null), null);
  });
});

/** What a client without `--secure` says of a server that ends the connection so; after the client's first words, if it speaks first. */
async function endedBy(
  end: (socket: net.Socket) => void,
  path: ProgramPath,
  args: readonly string[],
): Promise<Output> {
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    if (path === "clients/files") end(socket);
    else socket.once("data", () => end(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await run(path, ["127.0.0.1", `${(server.address() as net.AddressInfo).port}`, ...args]);
  } finally {
    server.close();
  }
}

for (
  const [path, ...args] of [
    ["clients/chat", "-m", "hello"],
    ["clients/files", "time"],
    ["clients/jim", "-n", "bob", "-m", "hello"],
    ["clients/jim", "-n", "bob", "--once", "presence"],
  ] as const
) {
  Deno.test(`${path} ${args.join(" ")}: of a server that leaves without a word, it asks whether that wants --secure`, async () => {
    const ends: ((socket: net.Socket) => void)[] = [(socket) => socket.end()];
    if (path !== "clients/files") ends.push((socket) => socket.resetAndDestroy()); // that one would not be connected yet
    for (const end of ends) {
      const { code, stderr } = await endedBy(end, path, args);
      assertEquals([code, stderr.endsWith(" (does the server want --secure?)\n")], [1, true], stderr);
    }
    const spoken = await endedBy((socket) => socket.end("2"), path, args);
    assertEquals([spoken.code, spoken.stderr.includes("--secure")], [1, false], spoken.stderr);
  });
}

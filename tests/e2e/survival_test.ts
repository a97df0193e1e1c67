/**
 * One bad client never harms another: what every server of byte streams survives.
 * @module
 */
import { askEcho } from "../../clients/tcp_echo.ts";
import { encodeText } from "../../lib/bytes.ts";
import { encodeFrame } from "../../lib/framing.ts";
import { reason } from "../../lib/net/failure.ts";
import { type Connection, connectTcp, readFull, writeAll } from "../../lib/net/tcp.ts";
import { withDeadline } from "../../lib/net/timing.ts";
import { type ProgramPath, PROGRAMS } from "../../lib/programs.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { testEach } from "../each.ts";
import { inTime, PATIENCE_MS, ROOT, startServer, testWith } from "../harness.ts";
import { resetAtOnce, sendWithoutReading, type Target } from "./hostile.ts";

/** A server that sends back what it gets. */
interface EchoServer {
  readonly path: ProgramPath;
  /** What makes it serve many clients at a time. */
  readonly args: readonly string[];
  /** A text as one whole message. */
  readonly message: (text: string) => Uint8Array;
}

const ECHO_SERVERS: readonly EchoServer[] = [
  { path: "servers/tcp_echo", args: ["--max-connections", "100"], message: encodeText },
  { path: "servers/thread_echo", args: [], message: encodeText },
  { path: "servers/selector_echo", args: [], message: encodeText },
  { path: "servers/framed_echo", args: [], message: (text) => encodeFrame(encodeText(text)) },
];

/** What a client may make a server occupy above its idle state, in bytes. */
const MEMORY_LIMIT = 150e6;
/** The longest time from SIGTERM to the end, in ms. */
const STOP_TIMEOUT_MS = 6000;

function connect({ hostname, port }: Target): Promise<Connection> {
  return connectTcp({ hostname, port, timeout: PATIENCE_MS });
}

/** Sends a message and asserts that it comes back. */
async function assertEcho(connection: Connection, message: Uint8Array): Promise<void> {
  assertEquals(await inTime(askEcho(connection, message), "the echo"), message);
}

/** Asserts that a newcomer is served. */
async function assertServed(target: Target, message: Uint8Array): Promise<void> {
  using connection = await connect(target);
  await assertEcho(connection, message);
}

async function assertClosed(connection: Connection): Promise<void> {
  assertEquals(await inTime(connection.read(new Uint8Array(1)), "the end of the connection"), null);
}

function testEchoServers(name: string, check: (echo: EchoServer) => Promise<void>, skip?: string): void {
  testEach(ECHO_SERVERS, `every echo server: ${name}`, check, skip);
}

testEchoServers("1,000 clients that connect and reset at once: the next one is served", async (echo) => {
  await using server = await startServer(echo.path);
  await resetAtOnce(server, 1000);
  await assertServed(server, echo.message("after the resets"));
});

testEchoServers("a client stops in mid-message: others are served, and it when it goes on", async (echo) => {
  await using server = await startServer(echo.path, echo.args);
  using slow = await connect(server);
  const message = echo.message("to be continued");
  await writeAll(slow, message.subarray(0, -5));
  for (const text of ["one", "two"]) await assertServed(server, echo.message(text));
  await writeAll(slow, message.subarray(-5));
  const reply = new Uint8Array(message.length);
  await inTime(readFull(slow, reply), "the echo");
  assertEquals(reply, message);
});

testEchoServers("a client sends 200 MB and never reads: memory stays bounded, others are served", async (echo) => {
  await using server = await startServer(echo.path, [...echo.args, "-q"]);
  await assertServed(server, echo.message("warm up"));
  const idle = await server.residentBytes();
  using deaf = await connect(server);
  await sendWithoutReading(deaf, echo.message("x".repeat(60_000)), 200e6);
  await assertServed(server, echo.message("meanwhile"));
  const used = await server.residentBytes() - idle;
  assert(used < MEMORY_LIMIT, `it occupies ${used} bytes more than before`);
  // It cannot be drained: the server gives up waiting for it.
  assertEquals((await server.stop()).code, 0);
});

testEchoServers("control characters and invalid UTF-8 are escaped on the screen", async (echo) => {
  await using server = await startServer(echo.path);
  const message = echo.message("\x1b]0;owned\x07 \r\nroot# \u202e ü ??");
  message.set([0xff, 0xc0], message.length - 2);
  await assertServed(server, message);
  const line = await server.printed("owned");
  assertMatch(line, /^127\.0\.0\.1:\d+ \\x1b\]0;owned\\x07 \\r\\nroot# \\u202e ü \\xff\\xc0$/);
});

testEchoServers("SIGTERM with 50 clients: in-flight echoes complete, all end, exit code 0", async (echo) => {
  await using server = await startServer(echo.path, echo.args);
  const clients = await Promise.all(Array.from({ length: 50 }, () => connect(server)));
  await Promise.all(clients.map((client, i) => assertEcho(client, echo.message(`client ${i}`))));
  const messages = clients.map((_, i) => echo.message(`in flight ${i}`.repeat(15_000)));
  await Promise.all(clients.map((client, i) => writeAll(client, messages[i]!)));
  const stopped = server.stop();
  await Promise.all(clients.map(async (client, i) => {
    const reply = new Uint8Array(messages[i]!.length);
    await inTime(readFull(client, reply), "the echo");
    assertEquals(reply, messages[i]);
    await assertClosed(client);
    client.close();
  }));
  const { code, stderr } = await withDeadline(STOP_TIMEOUT_MS, stopped);
  assertEquals(code, 0, stderr);
});

/** Whether the server still accepts connections. */
async function accepts(target: Target): Promise<boolean> {
  try {
    (await connect(target)).close();
    return true;
  } catch {
    return false;
  }
}

for (const [second, exitCode] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  testEchoServers(`a second signal, ${second}, ends a server that drains at once: ${exitCode}`, async (echo) => {
    await using server = await startServer(echo.path, [...echo.args, "-q"]);
    using deaf = await connect(server);
    await sendWithoutReading(deaf, echo.message("x".repeat(60_000)), 200e6);
    server.process.kill("SIGTERM");
    while (await accepts(server));
    assertEquals((await server.stop(second)).code, exitCode);
  });
}

testEchoServers("more clients than --max-connections: they wait, all are served, none is lost", async (echo) => {
  await using server = await startServer(echo.path, ["--max-connections", "3"]);
  const clients = await Promise.all(Array.from({ length: 20 }, () => connect(server)));
  await Promise.all(clients.map(async (client, i) => {
    await assertEcho(client, echo.message(`client ${i}`));
    client.close();
  }));
});

testEchoServers("--idle-timeout closes who is idle, with one line in the log, and nobody else", async (echo) => {
  await using server = await startServer(echo.path, [...echo.args, "--idle-timeout", "1s"]);
  using busy = await connect(server);
  using idle = await connect(server);
  await assertEcho(idle, echo.message("hello"));
  let over = false;
  const closed = assertClosed(idle).finally(() => over = true);
  while (!over) await assertEcho(busy, echo.message("busy"));
  await closed;
  await server.logged(/: 127\.0\.0\.1:\d+: closed: idle for 1 s$/);
  await assertEcho(busy, echo.message("still here"));
  assertEquals(server.stderr.all.length, 1);
});

testEchoServers("a screen and a log that nobody reads any more do not end a server", async (echo) => {
  const permissions = PROGRAMS[echo.path].permissions;
  const server = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...permissions, `${echo.path}.ts`, "-v", "--port", "0", ...echo.args],
    cwd: ROOT,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  try {
    const stdout = server.stdout.getReader();
    const { value } = await inTime(stdout.read(), "the listening line");
    await stdout.cancel();
    await server.stderr.cancel();
    const port = Number(/:(\d+)\n$/.exec(new TextDecoder().decode(value))![1]);
    for (const text of ["one", "two"]) await assertServed({ hostname: "127.0.0.1", port }, echo.message(text));
  } finally {
    server.kill("SIGTERM");
  }
  assertEquals((await inTime(server.status, "the server's end")).code, 0);
});

testEchoServers("a log on a full disk does not end a server", async (echo) => {
  const run = [Deno.execPath(), "run", "--no-prompt", ...PROGRAMS[echo.path].permissions, `${echo.path}.ts`, "-v"];
  const argv = ["sh", "-c", 'exec "$@" 2>/dev/full', "sh", ...run] as const;
  await using server = await startServer(echo.path, echo.args, { argv });
  await resetAtOnce(server, 10);
  await assertServed(server, echo.message("after the resets"));
});

testWith(["prlimit"], "every echo server: out of descriptors, clients wait and none is lost", async () => {
  for (const echo of ECHO_SERVERS) {
    const run = [Deno.execPath(), "run", "--no-prompt", ...PROGRAMS[echo.path].permissions, `${echo.path}.ts`];
    await using server = await startServer(echo.path, echo.args, { argv: ["prlimit", "--nofile=80:80", ...run] });
    const clients = await Promise.all(Array.from({ length: 100 }, () => connect(server)));
    await server.logged("too many open files");
    await Promise.all(clients.map(async (client, i) => {
      await assertEcho(client, echo.message(`client ${i}`));
      client.close();
    }));
  }
});

// --- IPv6 ------------------------------------------------------------------------------------------------------------

function whyNoIpv6(): string | undefined {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return undefined;
  } catch (error) {
    return `no IPv6 here: ${reason(error)}`;
  }
}

testEchoServers("-a ::1 listens on IPv6", async (echo) => {
  await using server = await startServer(echo.path, ["-a", "::1"]);
  assertMatch(server.stdout.all[0]!, /^listening on tcp:\/\/\[::1\]:\d+$/);
  await assertServed({ ...server, hostname: "::1" }, echo.message("hello"));
  assertMatch(await server.printed("hello"), /^\[::1\]:\d+ hello$/);
}, whyNoIpv6());

testEchoServers("-a :: listens on IPv6 and IPv4", async (echo) => {
  await using server = await startServer(echo.path, ["-a", "::"]);
  for (const [hostname, shown] of [["127.0.0.1", "127.0.0.1"], ["::1", "[::1]"]] as const) {
    await assertServed({ port: server.port, hostname }, echo.message(`hello by ${hostname}`));
    assert((await server.printed(`hello by ${hostname}`)).startsWith(`${shown}:`));
  }
}, whyNoIpv6());

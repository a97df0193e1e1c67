import { encodeText } from "../../lib/bytes.ts";
import { type Connection, connectTcp, readFull, writeAll } from "../../lib/net/tcp.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { inTime, PATIENCE_MS, run, type RunningServer, runTool, start, startServer } from "../harness.ts";

const SERVER = "servers/tcp_echo";
const CLIENT = "clients/tcp_echo";

function connect({ hostname, port }: RunningServer): Promise<Connection> {
  return connectTcp({ hostname, port, timeout: PATIENCE_MS });
}

/** Sends bytes and asserts that these come back. */
async function assertAnswer(connection: Connection, message: Uint8Array, answer = message): Promise<void> {
  const reply = new Uint8Array(answer.length);
  await inTime(Promise.all([writeAll(connection, message), readFull(connection, reply)]), "the answer");
  assertEquals(reply, answer);
}

/** A server in this process that does `serve` to its one client; resolves to its port. */
async function withServer(
  serve: (conn: Deno.TcpConn) => Promise<void>,
  use: (port: string) => Promise<void>,
): Promise<void> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    using conn = await inTime(listener.accept(), "the client");
    await serve(conn);
  })();
  await Promise.all([serving, use(`${listener.addr.port}`)]);
}

Deno.test("tcp_echo: the client prints the echo of each message; the server prints each message", async () => {
  await using server = await startServer(SERVER);
  const client = await run(CLIENT, ["127.0.0.1", `${server.port}`, "-m", "hello", "-m", "", "-m", "wörld"]);
  assertEquals(client, { code: 0, stdout: "hello\n\nwörld\n", stderr: "" });
  assertMatch(await server.printed("hello"), /^127\.0\.0\.1:\d+ hello$/);
  assertMatch(await server.printed("wörld"), /^127\.0\.0\.1:\d+ wörld$/);
});

Deno.test("tcp_echo: serves one client at a time; the next one waits until the first leaves", async () => {
  await using server = await startServer(SERVER);
  const first = await connect(server);
  using second = await connect(server);
  let answered = false;
  const answer = assertAnswer(second, encodeText("second")).then(() => answered = true);
  for (let i = 0; i < 100; i++) await assertAnswer(first, encodeText("first"));
  assert(!answered, "the second client was served while the first was there");
  first.close();
  await answer;
});

Deno.test("tcp_echo: every byte comes back unchanged", async () => {
  await using server = await startServer(SERVER);
  using connection = await connect(server);
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  await assertAnswer(connection, bytes);
  await assertAnswer(connection, bytes.toReversed());
});

Deno.test("tcp_echo: what was sent before the half-close comes back, then the end", async () => {
  await using server = await startServer(SERVER);
  using connection = await connect(server);
  await writeAll(connection, encodeText("last words"));
  await connection.closeWrite();
  await assertAnswer(connection, new Uint8Array(), encodeText("last words"));
  assertEquals(await inTime(connection.read(new Uint8Array(1)), "the end"), null);
});

Deno.test("tcp_echo: a message of 3 MiB comes back whole; the screen shows how it began", async () => {
  await using server = await startServer(SERVER);
  const message = "0123456789abcdeф".repeat(2 ** 20 * 3 / 17);
  const client = await run(CLIENT, ["127.0.0.1", `${server.port}`], { stdin: `${message}\n` });
  assertEquals(client.stderr, "");
  assert(client.stdout === `${message}\n`, `${client.stdout.length} characters came back`);
  assertMatch(await server.printed("0123"), /^127\.0\.0\.1:\d+ 0123456789abcdeф0123.{1,1024}… \(\d+ bytes\)$/);
});

Deno.test("tcp_echo --upper: answers in upper case, also a character that comes in two reads", async () => {
  await using server = await startServer(SERVER, ["--upper"]);
  const client = await run(CLIENT, ["127.0.0.1", `${server.port}`, "-m", "hello wörld", "-m", "привет"]);
  assertEquals(client, { code: 0, stdout: "HELLO WÖRLD\nПРИВЕТ\n", stderr: "" });
  using connection = await connect(server);
  await assertAnswer(connection, Uint8Array.of(0x61, 0xd0), encodeText("A"));
  await assertAnswer(connection, Uint8Array.of(0xb9), encodeText("Й"));
  await assertAnswer(connection, Uint8Array.of(0xff, 0x62), Uint8Array.of(0xff, 0x42));
});

Deno.test("tcp_echo --upper: a character that is never finished comes back at the end", async () => {
  await using server = await startServer(SERVER, ["--upper"]);
  using connection = await connect(server);
  await writeAll(connection, Uint8Array.of(0x61, 0xd0));
  await connection.closeWrite();
  await assertAnswer(connection, new Uint8Array(), Uint8Array.of(0x41, 0xd0));
  assertEquals(await inTime(connection.read(new Uint8Array(1)), "the end"), null);
});

Deno.test("tcp_echo --greet: the server speaks first; the client shows it apart from the replies", async () => {
  await using server = await startServer(SERVER, ["--greet", "welcome \x1b[1m"]);
  const client = await run(CLIENT, ["127.0.0.1", `${server.port}`, "--greet", "-m", "hello"]);
  assertEquals(client, { code: 0, stdout: "hello\n", stderr: "tcp_echo: greeting: welcome \\x1b[1m\n" });
});

Deno.test("tcp_echo client: sends each line of stdin, whichever its end, and prints its reply", async () => {
  await using server = await startServer(SERVER);
  const client = await run(CLIENT, ["127.0.0.1", `${server.port}`], { stdin: "one\ntwo\r\n\nfour" });
  assertEquals(client, { code: 0, stdout: "one\ntwo\n\nfour\n", stderr: "" });
});

Deno.test("tcp_echo client: answers a line before the next one is typed, and ends at the end of input", async () => {
  await using server = await startServer(SERVER);
  await using client = start(CLIENT, ["127.0.0.1", `${server.port}`]);
  for (const line of ["one", "two"]) {
    await client.type(`${line}\n`);
    assertEquals(await client.printed(line), line);
  }
  await client.process.stdin.close();
  assertEquals((await client.ended()).code, 0);
});

Deno.test("tcp_echo client: a name is an address too", async () => {
  await using server = await startServer(SERVER);
  const client = await run(CLIENT, ["localhost", `${server.port}`, "-m", "hello"]);
  assertEquals(client, { code: 0, stdout: "hello\n", stderr: "" });
});

Deno.test("tcp_echo client: a server that dies in mid-reply is one line, exit code 1", async () => {
  const dieInReply = async (conn: Deno.TcpConn) => {
    await inTime(conn.read(new Uint8Array(5)), "the client");
    await conn.write(encodeText("he"));
  };
  await withServer(dieInReply, async (port) => {
    assertEquals(await run(CLIENT, ["127.0.0.1", port, "-m", "hello"]), {
      code: 1,
      stdout: "",
      stderr: "tcp_echo: wait for the reply: Cannot read 5 bytes: the peer closed the connection after 2\n",
    });
  });
});

Deno.test("tcp_echo client: a server that hangs up instead of greeting is one line, exit code 1", async () => {
  await withServer(() => Promise.resolve(), async (port) => {
    assertEquals(await run(CLIENT, ["127.0.0.1", port, "--greet", "-m", "hello"]), {
      code: 1,
      stdout: "",
      stderr: "tcp_echo: wait for the greeting: Cannot read it: the peer closed the connection\n",
    });
  });
});

Deno.test("tcp_echo client: a server that stays silent is one line after --timeout, exit code 1", async () => {
  const stayUntilItLeaves = async (conn: Deno.TcpConn) => {
    for (const buffer = new Uint8Array(64); await conn.read(buffer) !== null;);
  };
  await withServer(stayUntilItLeaves, async (port) => {
    assertEquals(await run(CLIENT, ["127.0.0.1", port, "-m", "hello", "--timeout", "2s"]), {
      code: 1,
      stdout: "",
      stderr: "tcp_echo: wait for the reply: no answer within 2 s\n",
    });
  });
});

Deno.test("tcp_echo client: ends with one line when nobody reads its output any more, as with `| head -1`", async () => {
  await using server = await startServer(SERVER, ["-q"]);
  const client = `${Deno.execPath()} run -N ${CLIENT}.ts 127.0.0.1 ${server.port}`;
  const pipe = `yes hello 2>/dev/null | { ${client}; echo "exit code $?" >&2; } | head -1`;
  assertEquals(await runTool("sh", ["-c", pipe]), {
    code: 0,
    stdout: "hello\n",
    stderr: "tcp_echo: write to stdout: broken pipe\nexit code 1\n",
  });
});

import net from "node:net";
import { askEcho } from "../../clients/tcp_echo.ts";
import { encodeText } from "../../lib/bytes.ts";
import { EVENT_READ, EVENT_WRITE, Selector } from "../../lib/net/selector.ts";
import { type Connection, connectTcp, readFull, writeAll } from "../../lib/net/tcp.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { inTime, PATIENCE_MS, run, type RunningServer, startServer } from "../harness.ts";

const SERVER = "servers/selector_echo";

function connect({ hostname, port }: RunningServer): Promise<Connection> {
  return connectTcp({ hostname, port, timeout: PATIENCE_MS });
}

/** Bytes that differ from place to place and from one `seed` to the next. */
function pattern(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i + seed) % 251);
}

/** Asserts that these bytes come back. */
async function assertEcho(connection: Connection, message: Uint8Array): Promise<void> {
  assertEquals(await inTime(askEcho(connection, message), "the echo"), message);
}

Deno.test("selector_echo: the client prints the echo of each message; the server prints each message", async () => {
  await using server = await startServer(SERVER);
  const client = await run("clients/tcp_echo", ["127.0.0.1", `${server.port}`, "-m", "hello", "-m", "wörld"]);
  assertEquals(client, { code: 0, stdout: "hello\nwörld\n", stderr: "" });
  assertMatch(await server.printed("hello"), /^127\.0\.0\.1:\d+ hello$/);
  assertMatch(await server.printed("wörld"), /^127\.0\.0\.1:\d+ wörld$/);
});

Deno.test("selector_echo: 100 connections, interleaved, each get their own bytes back", async () => {
  await using server = await startServer(SERVER, ["-q"]);
  const clients = await Promise.all(Array.from({ length: 100 }, () => connect(server)));
  for (let round = 1; round <= 5; round++) {
    await Promise.all(clients.map((client, i) => assertEcho(client, pattern(i * round, i))));
  }
  for (const client of clients) client.close();
});

Deno.test("selector_echo: of 400 busy connections none has to wait for long", async () => {
  await using server = await startServer(SERVER, ["-q"]);
  using selector = new Selector<{ served: number }>();
  const clients = await Promise.all(Array.from({ length: 400 }, () => connect(server)));
  const message = encodeText("hello");
  const keys = clients.map((client) => selector.register(client, EVENT_READ, { served: 0 }));
  await Promise.all(clients.map((client) => writeAll(client, message)));
  const served = () => keys.map(({ data }) => data.served);
  while (Math.max(...served()) < 200) {
    for (const key of await inTime(selector.select(), "an echo")) {
      if (key.ready & EVENT_READ) {
        key.recv();
        key.data.served++;
        key.send(message);
        selector.modify(key, EVENT_WRITE);
      } else if (key.drained()) {
        selector.modify(key, EVENT_READ);
      }
    }
  }
  assert(Math.min(...served()) > 100, `${served()}`);
  for (const client of clients) client.close();
});

Deno.test("selector_echo: every byte comes back unchanged", async () => {
  await using server = await startServer(SERVER);
  using connection = await connect(server);
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  await assertEcho(connection, bytes);
  await assertEcho(connection, bytes.toReversed());
});

Deno.test("selector_echo: who sends much and reads late gets every byte in order; others are served meanwhile", async () => {
  await using server = await startServer(SERVER, ["-q"]);
  using late = await connect(server);
  const message = pattern(32 * 2 ** 20);
  let sent = false;
  const sending = writeAll(late, message).then(() => sent = true);
  using other = await connect(server);
  for (let i = 0; i < 100; i++) await assertEcho(other, encodeText(`message ${i}`));
  assert(!sent, "the server took more than it could send");
  const reply = new Uint8Array(message.length);
  await inTime(Promise.all([sending, readFull(late, reply)]), "the late echo");
  assert(reply.every((byte, i) => byte === message[i]), "it has changed");
});

Deno.test("selector_echo --max-connections 2: of 6 clients four wait, each until another leaves", async () => {
  await using server = await startServer(SERVER, ["-q", "--max-connections", "2"]);
  const clients = await Promise.all(Array.from({ length: 6 }, () => connect(server)));
  let present = 0;
  await Promise.all(clients.map(async (client, i) => {
    await assertEcho(client, pattern(1, i));
    assert(++present <= 2, "a third one is served");
    for (let round = 0; round < 20; round++) await assertEcho(client, pattern(100, i));
    present--;
    client.close();
  }));
});

Deno.test("selector_echo: what was sent before the half-close comes back, then the end", async () => {
  await using server = await startServer(SERVER, ["-q"]);
  using connection = await connect(server);
  const message = pattern(2 ** 20);
  const reply = new Uint8Array(message.length);
  const sending = writeAll(connection, message).then(() => connection.closeWrite());
  await inTime(Promise.all([sending, readFull(connection, reply)]), "the echo");
  assertEquals(await inTime(connection.read(new Uint8Array(1)), "the end"), null);
  assert(reply.every((byte, i) => byte === message[i]), "it has changed");
});

Deno.test("selector_echo: a client that resets is one line in the log", async () => {
  await using server = await startServer(SERVER);
  const client = net.connect(server.port, server.hostname, () => client.write("hello"));
  client.once("data", () => client.resetAndDestroy());
  assertMatch(await server.logged("closed"), /^selector_echo: 127\.0\.0\.1:\d+: closed: connection reset by peer$/);
  assertEquals(server.stderr.all.length, 1);
});

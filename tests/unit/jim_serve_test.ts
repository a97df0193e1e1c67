import { OBJECT_GAP_MS } from "../../lib/jim/pacing.ts";
import { ScryptPasswords } from "../../lib/net/jim/passwords.ts";
import { JimServer } from "../../lib/net/jim/serve.ts";
import { Log } from "../../lib/net/log.ts";
import type { SocketConnection } from "../../lib/net/tcp.ts";
import { assertEquals, assertRejects } from "../assert.ts";
import { MemoryStore } from "../memory_store.ts";

/** A connection that brings one chunk and takes no byte: its reads learn that it is lost later than its writes. */
function halfDead(chunk: string): SocketConnection {
  const closed = Promise.withResolvers<never>();
  let reads = 0;
  const connection: Pick<SocketConnection, "peer" | "socket" | "read" | "write" | "close" | "closedBecause"> = {
    peer: "192.0.2.1:50000",
    socket: { remoteAddr: { hostname: "192.0.2.1" } } as Deno.TcpConn,
    closedBecause: undefined,
    read: (buffer) =>
      reads++ === 0 ? Promise.resolve(new TextEncoder().encodeInto(chunk, buffer).written) : closed.promise,
    write: () => Promise.reject(new Deno.errors.ConnectionReset("connection reset by peer")),
    close: () => void setTimeout(() => closed.reject(new Deno.errors.BadResource("closed"))),
  };
  return connection as SocketConnection;
}

Deno.test("JimServer: messages that waited still wait when they could not be written", async () => {
  const store = new MemoryStore();
  await store.addGuest("bob");
  await store.addMessage({ time: 1, from: "ann", to: "bob", text: "hi" }, "bob");
  using server = await JimServer.open({
    store,
    passwords: new ScryptPasswords(),
    log: new Log("jim", { quiet: true }),
  });
  const login = '{"action":"presence","time":1,"user":{"account_name":"bob"}}\n';
  await assertRejects(() => server.serve(halfDead(login)), Deno.errors.BadResource);
  assertEquals((await store.waiting("bob", 9)).map(({ text }) => text), ["hi"]);
});

Deno.test("JimServer: who reads no streams gets one object per write, 20 ms apart", async () => {
  const texts = ["one", "two", "three"];
  const store = new MemoryStore();
  await store.addGuest("bob");
  for (const text of texts) await store.addMessage({ time: 1, from: "ann", to: "bob", text }, "bob");
  const login = '{"action":"presence","time":1,"type":"status","user":{"account_name":"bob","status":"here"}}';
  let [reads, clock] = [0, 0];
  const writes: { at: number; said: unknown }[] = [];
  const gone = Promise.withResolvers<null>();
  const connection: Pick<
    SocketConnection,
    "peer" | "socket" | "read" | "write" | "close" | "closeWrite" | "closedBecause"
  > = {
    peer: "192.0.2.1:50000",
    socket: { remoteAddr: { hostname: "192.0.2.1" } } as Deno.TcpConn,
    closedBecause: undefined,
    read: (buffer) =>
      reads++ === 0 ? Promise.resolve(new TextEncoder().encodeInto(login, buffer).written) : gone.promise,
    write: (bytes) => {
      const { response, message } = JSON.parse(new TextDecoder().decode(bytes));
      writes.push({ at: clock, said: message ?? response });
      if (writes.length > texts.length) gone.resolve(null);
      return Promise.resolve(bytes.length);
    },
    closeWrite: () => Promise.resolve(),
    close: () => {},
  };
  const passwords = new ScryptPasswords();
  const { performance: { now }, setTimeout } = globalThis;
  performance.now = () => clock;
  globalThis.setTimeout = ((action: () => void, ms: number) => {
    if (ms > OBJECT_GAP_MS) return setTimeout(action, ms); // no pause
    return setTimeout(() => {
      clock += ms;
      action();
    });
  }) as typeof setTimeout;
  try {
    using server = await JimServer.open({ store, passwords, log: new Log("jim", { quiet: true }) });
    await server.serve(connection as SocketConnection);
  } finally {
    performance.now = now;
    globalThis.setTimeout = setTimeout;
  }
  assertEquals(writes, [200, ...texts].map((said, i) => ({ at: i * OBJECT_GAP_MS, said })));
});

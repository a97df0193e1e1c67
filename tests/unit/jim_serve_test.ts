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
  const connection: Pick<SocketConnection, "peer" | "read" | "write" | "close" | "closedBecause"> = {
    peer: "192.0.2.1:50000",
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

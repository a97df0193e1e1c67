import { Dispatcher, Outbox } from "../../lib/net/jim/outbox.ts";
import { encodeText } from "../../lib/bytes.ts";
import type { Event } from "../../lib/jim/messages.ts";
import { ServerWire } from "../../lib/jim/wire.ts";
import { assert, assertEquals } from "../assert.ts";

function message(id: number): Event {
  return { type: "msg", id, time: 1, from: "eve", to: "bob", text: "hi" };
}

/** An outbox for a client that reads streams or not, and what is written. */
function outboxOf(
  write: (bytes: Uint8Array) => Promise<number>,
  end = "\n",
): { outbox: Outbox; closed: () => boolean } {
  const wire = new ServerWire();
  wire.receive(encodeText(`{"action":"join","time":1,"room":"#tea"}${end}`));
  wire.next();
  let closed = false;
  const connection = { write, close: () => void (closed = true) };
  const overflow = () => assert(false, "too much waits");
  return { outbox: new Outbox({ connection, wire, dispatcher: new Dispatcher(), overflow }), closed: () => closed };
}

function linesOf(chunks: readonly Uint8Array[]): string[] {
  const text = chunks.map((chunk) => new TextDecoder().decode(chunk)).join("");
  return text.split("\n").slice(0, -1);
}

Deno.test("Outbox writes what a turn has brought in one write, and not before the turn ends", async () => {
  const written: Uint8Array[] = [];
  const { outbox } = outboxOf((bytes) => Promise.resolve(written.push(bytes)).then(() => bytes.length));
  outbox.say(message(1));
  await Promise.resolve();
  outbox.say(message(2));
  assertEquals(written.length, 0);
  await outbox.flushed();
  assertEquals([written.length, linesOf(written).length, outbox.queued], [1, 2, 0]);
});

Deno.test("Outbox goes on where a write ended that took only a part", async () => {
  const written: Uint8Array[] = [];
  const { outbox } = outboxOf((bytes) => {
    const count = Math.min(bytes.length, 7);
    written.push(bytes.slice(0, count));
    return Promise.resolve(count);
  });
  outbox.say(message(1));
  outbox.say(message(2));
  await outbox.flushed();
  assertEquals(linesOf(written).map((line) => JSON.parse(line).id), [1, 2]);
});

Deno.test("Outbox writes nothing after a write that failed, or after its end", async () => {
  let writes = 0;
  const { outbox, closed } = outboxOf(() => Promise.reject(new Error(`${++writes}`)), "");
  outbox.say(message(1));
  outbox.say(message(2));
  await outbox.flushed();
  assertEquals([writes, closed()], [1, true]);
  assert(outbox.queued > 0); // the second object: it would have had a write of its own
  outbox.write();
  outbox.say(message(3));
  await outbox.end();
  assertEquals(writes, 1);
});

import { Dispatcher, MAX_QUEUED, Outbox } from "../../lib/net/jim/outbox.ts";
import { encodeText } from "../../lib/bytes.ts";
import { answerTo, type Event } from "../../lib/jim/messages.ts";
import { ServerWire } from "../../lib/jim/wire.ts";
import { assert, assertEquals } from "../assert.ts";

function message(id: number): Event {
  return { type: "msg", id, time: 1, from: "eve", to: "bob", text: "hi" };
}

/** An outbox for a client that reads streams or not, and what is written. */
function outboxOf(
  write: (bytes: Uint8Array) => Promise<number>,
  end = "\n",
  overflow: () => void = () => assert(false, "too much waits"),
): { outbox: Outbox; closed: () => boolean } {
  const wire = new ServerWire();
  wire.receive(encodeText(`{"action":"join","time":1,"room":"#tea"}${end}`));
  wire.next();
  let closed = false;
  const connection = { write, close: () => void (closed = true) };
  return {
    outbox: new Outbox({ connection, wire, dispatcher: new Dispatcher(() => Promise.resolve()), overflow }),
    closed: () => closed,
  };
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

Deno.test("Outbox: an answer of any length leaves; a client that has not taken it when more is to be said is too slow", async () => {
  const taken = Promise.withResolvers<void>();
  const lengths: number[] = [];
  let overflows = 0;
  const write = async ({ length }: Uint8Array) => {
    lengths.push(length);
    await taken.promise;
    return length;
  };
  const { outbox } = outboxOf(write, "\n", () => void overflows++);
  const long = answerTo("get_users", 202, { names: Array.from({ length: 20_000 }, (_, i) => `somebody ${i}`) });
  outbox.say(long);
  assert(outbox.queued > MAX_QUEUED);
  assertEquals(overflows, 0);
  const all = outbox.queued;
  outbox.say(message(1));
  assertEquals([overflows, outbox.queued], [1, all]);
  taken.resolve();
  await outbox.flushed();
  outbox.say(message(2));
  await outbox.flushed();
  assertEquals([overflows, lengths.reduce((sum, length) => sum + length) > all], [1, true]);
});

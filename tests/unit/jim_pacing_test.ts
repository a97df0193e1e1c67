import fc from "fast-check";
import { concat } from "@std/bytes";
import { MAX_WRITE, OBJECT_GAP_MS, Pacer, type Reader } from "../../lib/jim/pacing.ts";
import { assert, assertEquals } from "../assert.ts";

const STREAMS: Reader = { streams: true };
const ONE_BY_ONE: Reader = { streams: false };
const POLLS: Reader = { streams: false, pollInterval: 1500 };

function object(number: number, length = 1): Uint8Array {
  return new Uint8Array(length).fill(number);
}

/** All that is written, with the time of each write, by someone who asks again when told to. */
function writes(pacer: Pacer, reader: Reader, start = 0): { at: number; bytes: Uint8Array }[] {
  const written: { at: number; bytes: Uint8Array }[] = [];
  for (let now = start, pace; (pace = pacer.next(reader, () => now)) !== undefined;) {
    if (pace.type === "wait") {
      assert(pace.ms > 0);
      now += pace.ms;
    } else written.push({ at: now, bytes: pace.bytes });
  }
  return written;
}

Deno.test("Pacer gives whoever reads streams all at once", () => {
  const pacer = new Pacer();
  pacer.push([object(1), object(2)], "event");
  pacer.push([object(3)], "answer");
  assertEquals(pacer.queued, 3);
  assertEquals(writes(pacer, STREAMS), [{ at: 0, bytes: Uint8Array.of(1, 2, 3) }]);
  assertEquals(pacer.queued, 0);
});

Deno.test("Pacer gives others one object every 20 ms, the first one at once", () => {
  const pacer = new Pacer();
  pacer.push([object(1), object(2), object(3)], "event");
  assertEquals(writes(pacer, ONE_BY_ONE, 1000), [
    { at: 1000, bytes: object(1) },
    { at: 1020, bytes: object(2) },
    { at: 1040, bytes: object(3) },
  ]);
  pacer.push([object(4)], "answer");
  assertEquals(pacer.next(ONE_BY_ONE, () => 1059), { type: "wait", ms: 1 });
  assertEquals(pacer.next(ONE_BY_ONE, () => 1060), { type: "write", bytes: object(4) });
  pacer.push([object(5)], "answer");
  assertEquals(pacer.next(ONE_BY_ONE, () => 5000), { type: "write", bytes: object(5) });
});

Deno.test("Pacer stops waiting when the client is found to read streams", () => {
  const pacer = new Pacer();
  pacer.push([object(1), object(2), object(3)], "event");
  pacer.next(ONE_BY_ONE, () => 0);
  assertEquals(pacer.next(ONE_BY_ONE, () => 0), { type: "wait", ms: OBJECT_GAP_MS });
  assertEquals(pacer.next(STREAMS, () => 0), { type: "write", bytes: Uint8Array.of(2, 3) });
});

Deno.test("Pacer lets answers overtake events for a client that polls, and spaces events by its interval", () => {
  const pacer = new Pacer();
  pacer.push([object(1), object(2)], "event");
  pacer.push([object(3), object(4)], "answer");
  assertEquals(writes(pacer, POLLS), [
    { at: 0, bytes: object(3) },
    { at: 20, bytes: object(4) },
    { at: 1520, bytes: object(1) },
    { at: 3020, bytes: object(2) },
  ]);
});

Deno.test("Pacer keeps the order for everybody else", () => {
  for (const reader of [STREAMS, ONE_BY_ONE]) {
    const pacer = new Pacer();
    pacer.push([object(1)], "event");
    pacer.push([object(2)], "answer");
    pacer.push([object(3)], "event");
    assertEquals(concat(writes(pacer, reader).map(({ bytes }) => bytes)), Uint8Array.of(1, 2, 3));
  }
});

Deno.test("Pacer writes at most 64 KiB at once, or one object", () => {
  const pacer = new Pacer();
  pacer.push([object(1, MAX_WRITE - 1), object(2), object(3), object(4, MAX_WRITE + 1), object(5)], "event");
  assertEquals(writes(pacer, STREAMS).map(({ bytes }) => bytes.length), [MAX_WRITE, 1, MAX_WRITE + 1, 1]);
});

Deno.test("Pacer does not copy an object that it writes alone", () => {
  const shared = object(1);
  for (const reader of [STREAMS, ONE_BY_ONE]) {
    const pacer = new Pacer();
    pacer.push([shared], "event");
    const pace = pacer.next(reader, () => 0);
    assert(pace?.type === "write" && pace.bytes === shared);
  }
});

Deno.test("Pacer loses nothing, doubles nothing and keeps its gaps", () => {
  const pushes = fc.array(fc.record({ count: fc.nat({ max: 4 }), kind: fc.constantFrom("answer", "event") }));
  fc.assert(fc.property(pushes, fc.constantFrom(STREAMS, ONE_BY_ONE, POLLS), (pushes, reader) => {
    const pacer = new Pacer();
    let number = 0;
    for (const { count, kind } of pushes) pacer.push(Array.from({ length: count }, () => object(number++)), kind);
    assertEquals(pacer.queued, number);
    const written = writes(pacer, reader);
    const order: number[] = Array.from(concat(written.map(({ bytes }) => bytes)));
    const sorted = Array.from({ length: number }, (_, i) => i);
    assertEquals(order.toSorted((a, b) => a - b), sorted);
    if (reader !== POLLS) assertEquals(order, sorted);
    if (reader.streams) return;
    for (const [i, { at, bytes }] of written.entries()) {
      assertEquals(bytes.length, 1);
      if (i > 0) assert(at - written[i - 1]!.at >= OBJECT_GAP_MS);
    }
  }));
});

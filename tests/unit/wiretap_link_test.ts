import fc from "fast-check";
import { concat } from "@std/bytes";
import { DatagramLink, REORDER_TIMEOUT_MS } from "../../lib/wiretap/datagram_link.ts";
import { type Link, LINK_CAPACITY, seededRandom } from "../../lib/wiretap/link.ts";
import { type StreamFaults, StreamLink } from "../../lib/wiretap/stream_link.ts";
import { assert, assertEquals } from "../assert.ts";

/** Bytes and when, in ms: they arrive at the link, or leave it. */
interface Timed {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** Takes from the link all that it lets pass up to a time, by a clock that is never late. Returns its last step too. */
function passUntil(link: Link, { from, until }: { from: number; until: number }) {
  const passed: Timed[] = [];
  for (let now = from;;) {
    const step = link.next(now);
    if (step?.type === "pass") {
      passed.push({ at: now, bytes: step.bytes.slice() });
    } else if (step?.type === "wait" && now + step.ms <= until) {
      now += step.ms;
    } else {
      return { passed, last: step?.type };
    }
  }
}

/** What leaves the link when this arrives, and its last step, after all time there is. `end` closes the stream. */
function drive(link: Link, arrivals: readonly Timed[], end: (now: number) => void = () => {}) {
  const passed: Timed[] = [];
  let now = 0;
  for (const { at, bytes } of arrivals) {
    passed.push(...passUntil(link, { from: now, until: at }).passed);
    now = at;
    link.receive(bytes, now);
  }
  end(now);
  const rest = passUntil(link, { from: now, until: Infinity });
  return { passed: [...passed, ...rest.passed], last: rest.last };
}

function driveStream(faults: StreamFaults, arrivals: readonly Timed[]) {
  const link = new StreamLink(faults);
  return drive(link, arrivals, (now) => link.end(now));
}

function joined(chunks: readonly Timed[]): Uint8Array {
  return concat(chunks.map(({ bytes }) => bytes));
}

function text(chunks: readonly Timed[]): string[] {
  return chunks.map(({ at, bytes }) => `${at} ${new TextDecoder().decode(bytes)}`);
}

/** `[0, "ab"]` is the bytes of "ab" at 0 ms. */
function timed(...chunks: [number, string][]): Timed[] {
  return chunks.map(([at, text]) => ({ at, bytes: new TextEncoder().encode(text) }));
}

const arrivals = fc.array(fc.tuple(fc.nat(40), fc.uint8Array({ minLength: 1, maxLength: 60 })), { maxLength: 30 })
  .map((chunks) => {
    let at = 0;
    return chunks.map(([pause, bytes]) => ({ at: at += pause, bytes }));
  });
const maybe = (max: number) => fc.option(fc.integer({ min: 1, max }), { nil: undefined });
const harmless = fc.record({ delay: maybe(100), rate: maybe(5000), split: maybe(20), glue: maybe(50) });
const offset = fc.nat(600);

Deno.test("StreamLink without faults passes every chunk at once and whole, then the end", () => {
  fc.assert(fc.property(arrivals, (arrivals) => {
    assertEquals(driveStream({}, arrivals), { passed: arrivals, last: "end" });
  }));
});

Deno.test("StreamLink never changes the bytes or their order by delay, rate, split and glue, alone or together", () => {
  fc.assert(fc.property(arrivals, harmless, (arrivals, faults) => {
    const { passed, last } = driveStream(faults, arrivals);
    assertEquals(joined(passed), joined(arrivals));
    assertEquals(last, "end");
  }));
});

Deno.test("StreamLink with delay passes every chunk, and the end, exactly that much later", () => {
  fc.assert(fc.property(arrivals, fc.integer({ min: 1, max: 200 }), (arrivals, delay) => {
    const { passed } = driveStream({ delay }, arrivals);
    assertEquals(passed, arrivals.map(({ at, bytes }) => ({ at: at + delay, bytes })));
  }));
  const link = new StreamLink({ delay: 50 });
  link.end(1000);
  assertEquals(link.next(1000), { type: "wait", ms: 50 });
  assertEquals(link.next(1050), { type: "end" });
});

Deno.test("StreamLink with split cuts each chunk into pieces of that size and what is left", () => {
  const { passed } = driveStream({ split: 3 }, timed([0, "abcdefgh"], [5, "ij"]));
  assertEquals(text(passed), ["0 abc", "0 def", "0 gh", "5 ij"]);
});

Deno.test("StreamLink with glue merges what arrives in time after the first chunk; the next one begins anew", () => {
  const { passed } = driveStream({ glue: 20 }, timed([0, "a"], [5, "b"], [19, "c"], [20, "d"], [39, "e"], [90, "f"]));
  assertEquals(text(passed), ["20 abc", "40 de", "110 f"]);
});

Deno.test("StreamLink composes: glued, then delayed, then split", () => {
  const { passed } = driveStream({ glue: 20, delay: 100, split: 2 }, timed([0, "a"], [5, "bc"], [50, "d"]));
  assertEquals(text(passed), ["120 ab", "120 c", "170 d"]);
});

Deno.test("StreamLink with rate sends no faster, and in small pieces", () => {
  fc.assert(fc.property(arrivals, fc.integer({ min: 50, max: 5000 }), (arrivals, rate) => {
    const { passed } = driveStream({ rate }, arrivals);
    let sent = 0;
    for (const { at, bytes } of passed) {
      sent += bytes.length;
      assert(sent <= rate * (at - passed[0]!.at + 40) / 1000 + 1, `${sent} bytes after ${at} ms`);
    }
  }));
  const { passed } = driveStream({ rate: 1000 }, [{ at: 0, bytes: new Uint8Array(1000) }]);
  assertEquals(passed.length, 50); // 20 ms each
  assertEquals(passed.at(-1)!.at, 960); // two pieces may go ahead
});

Deno.test("StreamLink with rate and split sends pieces of the split size, each at its time", () => {
  const { passed } = driveStream({ rate: 100, split: 4 }, timed([0, "abcdefghijkl"]));
  assertEquals(text(passed), ["0 abcd", "20 efgh", "60 ijkl"]);
});

Deno.test("StreamLink with corruptAt inverts exactly that byte, and says so with its chunk", () => {
  fc.assert(fc.property(arrivals, harmless, offset, (arrivals, faults, corruptAt) => {
    const { passed } = driveStream({ ...faults, corruptAt }, arrivals);
    const expected = joined(arrivals);
    if (corruptAt < expected.length) expected[corruptAt]! ^= 0xff;
    assertEquals(joined(passed), expected);
  }));
  const link = new StreamLink({ corruptAt: 3 });
  assertEquals(link.receive(new Uint8Array(3), 0), undefined);
  assertEquals(link.receive(new Uint8Array(3), 0), "byte 3 corrupted");
});

Deno.test("StreamLink with cutAfter passes exactly so many bytes, then cuts; a shorter stream just ends", () => {
  fc.assert(fc.property(arrivals, harmless, offset, (arrivals, faults, cutAfter) => {
    const stream = joined(arrivals);
    const { passed, last } = driveStream({ ...faults, cutAfter }, arrivals);
    assertEquals(joined(passed), stream.subarray(0, cutAfter));
    assertEquals(last, stream.length >= cutAfter ? "cut" : "end");
  }));
  assertEquals(new StreamLink({ cutAfter: 0 }).next(0), { type: "cut" });
});

Deno.test("StreamLink with stallAfter passes exactly so many bytes, then nothing, not even the end", () => {
  fc.assert(fc.property(arrivals, harmless, offset, (arrivals, faults, stallAfter) => {
    const stream = joined(arrivals);
    const { passed, last } = driveStream({ ...faults, stallAfter }, arrivals);
    assertEquals(joined(passed), stream.subarray(0, stallAfter));
    assertEquals(last, stream.length >= stallAfter ? "stalled" : "end");
  }));
  const link = new StreamLink({ stallAfter: 2 });
  assertEquals(link.receive(new Uint8Array(5), 0), "2 of them pass");
  link.next(0);
  assertEquals(link.next(0), undefined); // the stream goes on, unheard
});

Deno.test("StreamLink cuts or stalls, whichever comes first", () => {
  const stream = timed([0, "abcdef"]);
  assertEquals(driveStream({ cutAfter: 2, stallAfter: 4 }, stream).last, "cut");
  assertEquals(driveStream({ cutAfter: 4, stallAfter: 2 }, stream).last, "stalled");
});

Deno.test("StreamLink is full as soon as a chunk waits, with delay or glue at 1 MiB or 4096 chunks", () => {
  for (const faults of [{}, { rate: 1 }, { split: 1 }]) {
    const link = new StreamLink(faults);
    assert(!link.full);
    link.receive(Uint8Array.of(1), 0);
    assert(link.full, JSON.stringify(faults));
    link.next(0);
    assert(!link.full, JSON.stringify(faults));
  }
  for (const faults of [{ delay: 1 }, { glue: 1 }, { delay: 1, split: 1000 }]) {
    const link = new StreamLink(faults);
    const fill = (size: number, now: number) => {
      let chunks = 0;
      for (; !link.full && chunks < 5000; chunks++) link.receive(new Uint8Array(size), now);
      while (link.next(now + 1)?.type === "pass");
      return chunks;
    };
    assertEquals([fill(65_536, 0), fill(1, 10), fill(65_536, 20)], [16, 4081, 16], JSON.stringify(faults));
  }
});

Deno.test("StreamLink and DatagramLink keep their own copy of what they receive", () => {
  for (const link of [new StreamLink({ delay: 10 }), new DatagramLink({ delay: 10 }, seededRandom(1))]) {
    const buffer = Uint8Array.of(1, 2);
    link.receive(buffer, 0);
    buffer.fill(0);
    assertEquals(link.next(10), { type: "pass", bytes: Uint8Array.of(1, 2) });
  }
});

// --- Datagrams -----------------------------------------------------------------------------------------------------

/** Datagrams 0, 1, 2..., one each ms. */
function numbered(count: number): Timed[] {
  return Array.from({ length: count }, (_, at) => ({ at, bytes: Uint8Array.of(at >> 8, at) }));
}

function numbers(datagrams: readonly Timed[]): number[] {
  return datagrams.map(({ bytes }) => bytes[0]! << 8 | bytes[1]!);
}

const shares = fc.record({
  drop: fc.double({ min: 0, max: 1, noNaN: true }),
  duplicate: fc.double({ min: 0, max: 1, noNaN: true }),
  reorder: fc.double({ min: 0, max: 1, noNaN: true }),
});
const seed = fc.nat();

Deno.test("DatagramLink without faults passes every datagram at once and in order, empty ones too", () => {
  const datagrams = [...numbered(20), { at: 20, bytes: new Uint8Array() }];
  assertEquals(drive(new DatagramLink({}, seededRandom(1)), datagrams), { passed: datagrams, last: undefined });
});

Deno.test("DatagramLink makes the same decisions for the same seed, others for another one", () => {
  const run = (faults: object, seed: number) =>
    drive(new DatagramLink(faults, seededRandom(seed)), numbered(200)).passed;
  fc.assert(fc.property(shares, seed, (faults, seed) => assertEquals(run(faults, seed), run(faults, seed))));
  const half = { drop: 0.5 };
  assert(numbers(run(half, 1)).join() !== numbers(run(half, 2)).join());
});

Deno.test("DatagramLink drops the same datagrams whatever else it does to the others", () => {
  fc.assert(fc.property(shares, seed, (faults, seed) => {
    const run = (faults: object) => numbers(drive(new DatagramLink(faults, seededRandom(seed)), numbered(100)).passed);
    assertEquals([...new Set(run(faults))].toSorted((a, b) => a - b), run({ drop: faults.drop }));
  }));
});

Deno.test("DatagramLink drops, doubles and reorders about the share that it is told", () => {
  const count = 10_000;
  const run = (faults: object) => numbers(drive(new DatagramLink(faults, seededRandom(7)), numbered(count)).passed);
  assert(Math.abs(run({ drop: 0.1 }).length - 0.9 * count) < 0.01 * count);
  assert(Math.abs(run({ duplicate: 0.05 }).length - 1.05 * count) < 0.01 * count);
  const overtaken = run({ reorder: 0.05 }).filter((number, i, all) => i > 0 && number < all[i - 1]!);
  assert(Math.abs(overtaken.length - 0.05 * count) < 0.01 * count);
  assertEquals(run({ drop: 1 }), []);
});

Deno.test("DatagramLink lets a held back datagram be overtaken by the next one only", () => {
  const { passed } = drive(new DatagramLink({ reorder: 1 }, seededRandom(1)), numbered(5));
  assertEquals(numbers(passed), [1, 0, 3, 2, 4]);
  assertEquals(passed.at(-1)!.at, 4 + REORDER_TIMEOUT_MS); // no other came
});

Deno.test("DatagramLink loses nothing by doubling, reordering, delay and rate", () => {
  fc.assert(fc.property(shares, maybe(100), maybe(5000), seed, ({ duplicate, reorder }, delay, rate, seed) => {
    const link = new DatagramLink({ duplicate, reorder, delay, rate }, seededRandom(seed));
    const passed = numbers(drive(link, numbered(60)).passed);
    assertEquals([...new Set(passed)].toSorted((a, b) => a - b), numbers(numbered(60)));
  }));
});

Deno.test("DatagramLink says what befalls each datagram", () => {
  const fate = (faults: object) => new DatagramLink(faults, () => 0.5).receive(new Uint8Array(1), 0);
  assertEquals(fate({}), undefined);
  assertEquals(fate({ drop: 0.6, duplicate: 0.6 }), "dropped");
  assertEquals(fate({ duplicate: 0.6, reorder: 0.6 }), "doubled, held back");
});

Deno.test("DatagramLink drops what is more than 1 MiB on its way", () => {
  const link = new DatagramLink({ delay: 1000 }, seededRandom(1));
  let kept = 0;
  while (kept < 100 && link.receive(new Uint8Array(65_507), 0) === undefined) kept++;
  assertEquals(kept, Math.ceil(LINK_CAPACITY / 65_763));
  assertEquals(link.receive(new Uint8Array(1), 0), "dropped: too many are on their way");
  for (; kept > 0; kept--) link.next(1000);
  assertEquals(link.receive(new Uint8Array(1), 1000), undefined);
});

Deno.test("seededRandom() is the same for the same seeds, and spread over [0, 1)", () => {
  fc.assert(fc.property(seed, seed, (a, b) => {
    const [one, other] = [seededRandom(a, b), seededRandom(a, b)];
    for (let i = 0; i < 20; i++) assertEquals(one(), other());
  }));
  for (const random of [seededRandom(0), seededRandom(1, 1, 0), seededRandom(1, 1, 1)]) {
    const tenths = new Array<number>(10).fill(0);
    for (let i = 0; i < 10_000; i++) tenths[Math.floor(random() * 10)]!++;
    assert(tenths.every((count) => count > 850 && count < 1150), `${tenths}`);
  }
});

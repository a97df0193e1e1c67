import fc from "fast-check";
import { DatagramProbe, formatStatistics, percentile } from "../../lib/datagram_probe.ts";
import { assert, assertEquals } from "../assert.ts";

/** Each size that leaves less room than a number needs, the least with room for all of it, and larger ones. */
const sizes = fc.oneof(fc.integer({ min: 0, max: 4 }), fc.constantFrom(5, 64, 65_507));

/** Sends all of a probe's datagrams, number n at n ms. */
function sendAll(probe: DatagramProbe, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, number) => probe.next(number).slice());
}

/** Echoes of the datagrams in the order of `arrivals`, the i-th at 1000 + i ms. */
function echo(probe: DatagramProbe, sent: readonly Uint8Array[], arrivals: readonly number[]): void {
  arrivals.forEach((number, i) => probe.receive(sent[number]!, 1000 + i));
}

/** How many datagrams there are, and the numbers of those that come back, in any order and any number of times. */
const fates = fc.integer({ min: 1, max: 40 }).chain((count) =>
  fc.record({
    count: fc.constant(count),
    arrivals: fc.array(fc.integer({ min: 0, max: count - 1 }), { maxLength: 80 }),
  })
);

Deno.test("DatagramProbe: a datagram is the low bytes of its number, big-endian, and dots", () => {
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 600 }), (size, count) => {
      const last = sendAll(new DatagramProbe({ count, size }), count).at(-1)!;
      const number = new Uint8Array(4);
      new DataView(number.buffer).setUint32(0, count - 1);
      const expected = new Uint8Array(size).fill(0x2e);
      expected.set(number.subarray(4 - Math.min(size, 4)));
      assertEquals(last, expected);
    }),
    { numRuns: 50 },
  );
});

Deno.test("DatagramProbe: number 258 by size: the table of docs/protocols/udp_echo.md", () => {
  const written = (size: number) => sendAll(new DatagramProbe({ count: 259, size }), 259).at(-1)!.toHex();
  assertEquals([0, 1, 2, 3, 4, 6].map(written), ["", "02", "0102", "000102", "00000102", "000001022e2e"]);
});

Deno.test("DatagramProbe: what is lost, doubled and reordered is counted exactly, whatever arrives in whatever order", () => {
  fc.assert(fc.property(fates, fc.constantFrom(4, 5, 64), ({ count, arrivals }, size) => {
    const probe = new DatagramProbe({ count, size });
    echo(probe, sendAll(probe, count), arrivals);
    const firsts = arrivals.flatMap((number, i) => arrivals.indexOf(number) === i ? [{ number, i }] : []);
    const overtaken = firsts.filter(({ number, i }) => firsts.some((other) => other.i < i && other.number > number));
    const { rtts, ...counts } = probe.statistics();
    assertEquals(counts, {
      sent: count,
      received: firsts.length,
      lost: count - firsts.length,
      duplicated: arrivals.length - firsts.length,
      reordered: overtaken.length,
    });
    assertEquals([...rtts], firsts.map(({ number, i }) => 1000 + i - number).toSorted((a, b) => a - b));
    assertEquals(probe.complete, firsts.length === count);
  }));
});

Deno.test("DatagramProbe: of each size, all that come back in order are received, with their own times", () => {
  fc.assert(fc.property(sizes, fc.integer({ min: 1, max: 600 }), (size, count) => {
    const probe = new DatagramProbe({ count, size });
    sendAll(probe, count).forEach((datagram, number) => assertEquals(probe.receive(datagram, number + 5), "echo"));
    const { rtts, ...counts } = probe.statistics();
    assertEquals(counts, { sent: count, received: count, lost: 0, duplicated: 0, reordered: 0 });
    assert(rtts.every((rtt) => rtt === 5) && probe.complete);
  }));
});

Deno.test("DatagramProbe: without room for the number, an echo is the oldest's that has none", () => {
  const empty = new DatagramProbe({ count: 3, size: 0 });
  const sent = sendAll(empty, 3); // at 0, 1 and 2 ms
  echo(empty, sent, [2, 0]); // at 1000 and 1001 ms
  assertEquals([...empty.statistics().rtts], [1000, 1000]);
  assertEquals([empty.receive(sent[0]!, 0), empty.receive(sent[0]!, 0)], ["echo", "duplicate"]);

  const byte = new DatagramProbe({ count: 300, size: 1 });
  echo(byte, sendAll(byte, 300), [299, 43]); // both carry 43
  assertEquals([...byte.statistics().rtts], [1001 - 299, 1000 - 43]);
});

Deno.test("DatagramProbe: what was never sent is foreign and changes nothing", () => {
  const probe = new DatagramProbe({ count: 3, size: 4 });
  probe.next(0);
  const before = probe.statistics();
  for (
    const datagram of [
      Uint8Array.of(0, 0, 0),
      Uint8Array.of(0, 0, 0, 1),
      Uint8Array.of(255, 0, 0, 0),
      new Uint8Array(5),
    ]
  ) {
    assertEquals(probe.receive(datagram, 1), "foreign");
  }
  assertEquals(probe.statistics(), before);
});

Deno.test("DatagramProbe takes any garbage and never counts more than came or was sent", () => {
  const garbage = fc.array(fc.uint8Array({ maxLength: 6 }), { maxLength: 50 });
  fc.assert(fc.property(sizes, garbage, (size, datagrams) => {
    const probe = new DatagramProbe({ count: 10, size });
    sendAll(probe, 7);
    const kinds = datagrams.map((datagram) => probe.receive(datagram, 10));
    const { received, lost, duplicated } = probe.statistics();
    assertEquals(received, kinds.filter((kind) => kind === "echo").length);
    assertEquals(duplicated, kinds.filter((kind) => kind === "duplicate").length);
    assertEquals(received + lost, 7);
  }));
});

Deno.test("percentile() is the smallest value that so many percent do not exceed", () => {
  const values = fc.array(fc.nat(20), { minLength: 1, maxLength: 300 }).map((all) => all.toSorted((a, b) => a - b));
  fc.assert(fc.property(values, fc.integer({ min: 1, max: 100 }), (ascending, percent) => {
    const value = percentile(ascending, percent)!;
    const atMost = (limit: number) => 100 * ascending.filter((each) => each <= limit).length;
    assert(atMost(value) >= percent * ascending.length);
    const smaller = ascending.findLast((each) => each < value);
    assert(smaller === undefined || atMost(smaller) < percent * ascending.length);
  }));
  assertEquals([percentile([7, 8, 9], 0), percentile([], 50)], [7, undefined]);
});

Deno.test("formatStatistics(): one line, also when nothing came back or nothing was sent", () => {
  const counts = { sent: 1000, received: 998, lost: 2, duplicated: 3, reordered: 4 };
  assertEquals(
    formatStatistics({ ...counts, rtts: Float64Array.of(0.0412, 0.05, 1.5, 20) }),
    "sent 1000, received 998, lost 2 (0.2%), duplicated 3, reordered 4, rtt min/median/p99/max 0.041/0.050/20.000/20.000 ms",
  );
  const none = { sent: 3, received: 0, lost: 3, duplicated: 0, reordered: 0, rtts: new Float64Array() };
  assertEquals(
    formatStatistics(none),
    "sent 3, received 0, lost 3 (100%), duplicated 0, reordered 0, rtt min/median/p99/max -",
  );
  assert(formatStatistics({ ...none, sent: 0, lost: 0 }).startsWith("sent 0, received 0, lost 0 (0%), "));
});

import fc from "fast-check";
import { ProtocolError, TruncatedError } from "../../lib/errors.ts";
import { StickyReport } from "../../lib/sticky.ts";
import { assertEquals, assertThrows } from "../assert.ts";

/** All the lines on messages that come back in these reads. */
function report(sizes: readonly number[], reads: readonly number[]): string[] {
  const report = new StickyReport(sizes);
  return [...reads.map((count) => report.receive(count)), report.end()];
}

Deno.test("StickyReport: a message a read is neither stuck nor broken", () => {
  assertEquals(report([3, 5], [3, 5]), [
    "read 1: 3 bytes: message 1",
    "read 2: 5 bytes: message 2",
    "messages: 2, reads: 2, reads with several messages: 0, messages broken: 0",
  ]);
});

Deno.test("StickyReport: names the messages that stuck together", () => {
  assertEquals(report([3, 3, 5], [11]), [
    "read 1: 11 bytes: message 1 + message 2 + message 3",
    "messages: 3, reads: 1, reads with several messages: 1, messages broken: 0",
  ]);
});

Deno.test("StickyReport: names the parts of a message that broke", () => {
  assertEquals(report([3, 5], [2, 1, 1, 3, 1]), [
    "read 1: 2 bytes: message 1 (bytes 1-2 of 3)",
    "read 2: 1 bytes: message 1 (bytes 3-3 of 3)",
    "read 3: 1 bytes: message 2 (bytes 1-1 of 5)",
    "read 4: 3 bytes: message 2 (bytes 2-4 of 5)",
    "read 5: 1 bytes: message 2 (bytes 5-5 of 5)",
    "messages: 2, reads: 5, reads with several messages: 0, messages broken: 2",
  ]);
});

Deno.test("StickyReport: says what a search byte by byte finds, wherever the stream was cut", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 8 });
  fc.assert(fc.property(sizes, fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }), (sizes, counts) => {
    // Which message each byte of the stream belongs to, and its place there.
    const bytes = sizes.flatMap((size, i) => Array.from({ length: size }, (_, at) => ({ message: i + 1, at: at + 1 })));
    const reads: number[] = [];
    const lines: string[] = [];
    const readsOf = new Map<number, number>(); // by message
    for (let start = 0; start < bytes.length; start += reads.at(-1)!) {
      const read = bytes.slice(start, start + counts[reads.length % counts.length]!);
      const parts = Map.groupBy(read, ({ message }) => message);
      reads.push(read.length);
      for (const message of parts.keys()) readsOf.set(message, (readsOf.get(message) ?? 0) + 1);
      const names = Array.from(parts, ([message, part]) => {
        const size = sizes[message - 1]!;
        const range = ` (bytes ${part[0]!.at}-${part.at(-1)!.at} of ${size})`;
        return `message ${message}${part.length === size ? "" : range}`;
      });
      lines.push(`read ${reads.length}: ${read.length} bytes: ${names.join(" + ")}`);
    }
    const several = lines.filter((line) => line.includes(" + ")).length;
    const broken = [...readsOf.values()].filter((reads) => reads > 1).length;
    assertEquals(report(sizes, reads), [
      ...lines,
      `messages: ${sizes.length}, reads: ${reads.length}, reads with several messages: ${several}, messages broken: ${broken}`,
    ]);
  }));
});

Deno.test("StickyReport: is complete when every byte has come, and not before", () => {
  const report = new StickyReport([2, 1]);
  for (const complete of [false, false, true]) {
    report.receive(1);
    assertEquals(report.complete, complete);
  }
});

Deno.test("StickyReport.receive() refuses bytes that were never sent", () => {
  assertThrows(() => report([3], [4]), ProtocolError, "Cannot match a read of 4 bytes: 1 were never sent");
});

Deno.test("StickyReport.end() tells where the stream ended when it ended early", () => {
  assertThrows(
    () => report([3, 5], [4]),
    TruncatedError,
    "Cannot read message 2 of 2: the stream ended after 1 of its 5 bytes",
  );
});

Deno.test("StickyReport refuses an empty message: nothing of it would travel", () => {
  assertThrows(() => new StickyReport([3, 0]), RangeError, "Cannot follow message 2");
});

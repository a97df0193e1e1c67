import fc from "fast-check";
import { encodeText } from "../../lib/bytes.ts";
import { FrameTooLargeError } from "../../lib/errors.ts";
import { ReceiveBuffer } from "../../lib/receive_buffer.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";

const LF = 10;
const CR = 13;

/** The same in as few words as possible: a plain array. */
class Model {
  bytes: number[] = [];

  receive(chunk: Uint8Array) {
    this.bytes.push(...chunk);
  }

  peek(count: number) {
    return count > this.bytes.length ? undefined : Uint8Array.from(this.bytes.slice(0, count));
  }

  takeExactly(count: number) {
    return count > this.bytes.length ? undefined : this.takeAtMost(count);
  }

  takeAtMost(count: number) {
    return Uint8Array.from(this.bytes.splice(0, count));
  }

  takeLine(maxLength: number) {
    const index = this.bytes.indexOf(LF);
    if ((index === -1 ? this.bytes.length : index) > maxLength) return "too long";
    if (index === -1) return undefined;
    const line = this.takeAtMost(index + 1).subarray(0, -1);
    return line.at(-1) === CR ? line.subarray(0, -1) : line;
  }
}

/** Lines, line ends in every combination, and chunks around the sizes at which the buffer grows and shrinks. */
const chunks = fc.oneof(
  fc.array(fc.constantFrom(LF, CR, 65, 66), { maxLength: 12 }).map((bytes) => Uint8Array.from(bytes)),
  fc.tuple(fc.constantFrom(511, 512, 513, 2000, 65_536, 70_000), fc.nat(255)).map(([length, byte]) =>
    new Uint8Array(length).fill(byte)
  ),
);
const counts = fc.oneof(fc.nat(8), fc.nat(1000), fc.nat(200_000));
const steps = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ call: fc.constant("receive" as const), chunk: chunks }) },
    { weight: 2, arbitrary: fc.record({ call: fc.constant("takeLine" as const), count: counts }) },
    {
      weight: 2,
      arbitrary: fc.record({ call: fc.constantFrom("peek", "takeExactly", "takeAtMost"), count: counts }),
    },
  ),
  { maxLength: 60, size: "max" },
);

Deno.test("ReceiveBuffer does what a plain array of bytes does", () => {
  fc.assert(fc.property(steps, (steps) => {
    const buffer = new ReceiveBuffer();
    const model = new Model();
    for (const step of steps) {
      if (step.call === "receive") {
        buffer.receive(step.chunk);
        model.receive(step.chunk);
      } else if (step.call === "takeLine") {
        const expected = model.takeLine(step.count);
        if (expected === "too long") assertThrows(() => buffer.takeLine(step.count), FrameTooLargeError);
        else assertSame(buffer.takeLine(step.count), expected);
      } else {
        assertSame(buffer[step.call](step.count), model[step.call](step.count));
      }
      assertEquals(buffer.length, model.bytes.length);
    }
    assertSame(buffer.takeAtMost(buffer.length), model.takeAtMost(model.bytes.length));
  }));
});

/** assertEquals() takes seconds for arrays of this size. */
function assertSame(actual: Uint8Array | undefined, expected: Uint8Array | undefined): void {
  assertEquals(actual?.length, expected?.length);
  assert(actual?.every((byte, i) => byte === expected![i]) ?? true);
}

Deno.test("ReceiveBuffer keeps copies: neither the chunk nor what was taken changes it", () => {
  const buffer = new ReceiveBuffer();
  const chunk = Uint8Array.of(1, 2, 3);
  buffer.receive(chunk);
  chunk.fill(9);
  const taken = buffer.takeExactly(2)!;
  assertEquals(taken, Uint8Array.of(1, 2));
  buffer.receive(Uint8Array.of(4, 5, 6));
  assertEquals(taken, Uint8Array.of(1, 2));
  taken.fill(9);
  assertEquals(buffer.takeAtMost(9), Uint8Array.of(3, 4, 5, 6));
});

Deno.test("ReceiveBuffer.takeLine() ends a line at LF or CRLF and leaves what follows", () => {
  const buffer = new ReceiveBuffer();
  buffer.receive(encodeText("one\r\n\ntwo\rtwo\nrest"));
  const lines = ["one", "", "two\rtwo"];
  for (const line of lines) assertEquals(buffer.takeLine(80), encodeText(line));
  assertEquals(buffer.takeLine(80), undefined);
  assertEquals(buffer.takeAtMost(80), encodeText("rest"));
});

Deno.test("ReceiveBuffer.takeLine() finds an end that comes later, also after other bytes were taken", () => {
  const buffer = new ReceiveBuffer();
  buffer.receive(encodeText("on"));
  assertEquals(buffer.takeLine(80), undefined);
  buffer.receive(encodeText("\ntwo"));
  assertEquals(buffer.takeLine(80), encodeText("on"));
  assertEquals(buffer.takeLine(80), undefined);
  buffer.takeExactly(3);
  buffer.receive(encodeText("\nlast\n"));
  assertEquals(buffer.takeLine(80), new Uint8Array());
});

Deno.test("ReceiveBuffer.takeLine() refuses a line above the limit before its end arrives", () => {
  const buffer = new ReceiveBuffer();
  buffer.receive(encodeText("12345"));
  assertEquals(buffer.takeLine(5), undefined);
  buffer.receive(encodeText("6"));
  assertThrows(() => buffer.takeLine(5), FrameTooLargeError, "Cannot accept a line: limit is 5 bytes");
});

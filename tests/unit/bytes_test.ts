import fc from "fast-check";
import { decodeText, encodeText, type Endian, readUint, writeUint } from "../../lib/bytes.ts";
import { assertEquals, assertThrows } from "../assert.ts";

const endians = fc.constantFrom<Endian>("big", "little");
const widths = fc.integer({ min: 1, max: 6 });
const bytes = fc.uint8Array({ minLength: 1, maxLength: 6 });

function written(value: number, options: { width: number; endian?: Endian }): Uint8Array {
  const bytes = new Uint8Array(options.width);
  writeUint(bytes, value, options);
  return bytes;
}

Deno.test("writeUint() puts the most significant byte first, or last with little", () => {
  assertEquals(written(0x0102, { width: 4 }), Uint8Array.of(0, 0, 1, 2));
  assertEquals(written(0x0102, { width: 4, endian: "little" }), Uint8Array.of(2, 1, 0, 0));
  assertEquals(written(2 ** 48 - 1, { width: 6 }), new Uint8Array(6).fill(0xff));
});

Deno.test("writeUint() writes what DataView writes, and nothing around it", () => {
  const values = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(fc.property(values, endians, fc.integer({ min: 0, max: 3 }), (value, endian, offset) => {
    const [bytes, expected] = [new Uint8Array(7).fill(0xaa), new Uint8Array(7).fill(0xaa)];
    new DataView(expected.buffer).setUint32(offset, value, endian === "little");
    writeUint(bytes, value, { width: 4, endian, offset });
    assertEquals(bytes, expected);
  }));
});

Deno.test("writeUint() refuses what does not fit the width: negative numbers, fractions, and 2^(8 width) or more", () => {
  fc.assert(fc.property(widths, (width) => {
    for (const value of [-1, 0.5, NaN, Infinity, 2 ** (8 * width)]) {
      assertThrows(() => written(value, { width }), RangeError);
    }
    written(2 ** (8 * width) - 1, { width });
  }));
  assertThrows(() => written(65536, { width: 2 }), RangeError, "Cannot write 65536 in 2 bytes: 0 to 65535 fit");
});

Deno.test("writeUint() refuses to write past the end", () => {
  const bytes = new Uint8Array(5);
  writeUint(bytes, 1, { width: 4, offset: 1 });
  assertThrows(() => writeUint(bytes, 1, { width: 4, offset: 2 }), RangeError, "Cannot write 4 bytes at 2");
});

Deno.test("readUint() and writeUint() undo each other", () => {
  fc.assert(fc.property(bytes, endians, (bytes, endian) => {
    assertEquals(written(readUint(bytes, endian), { width: bytes.length, endian }), bytes);
  }));
});

Deno.test("decodeText() undoes encodeText(), a byte order mark included", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => assertEquals(decodeText(encodeText(text)), text)));
  assertEquals(decodeText(encodeText("\ufeffa")), "\ufeffa");
});

Deno.test("decodeText() shows invalid bytes as U+FFFD and forgets them", () => {
  assertEquals(decodeText(Uint8Array.of(0x61, 0xff, 0xd0)), "a\ufffd\ufffd");
  assertEquals(decodeText(Uint8Array.of(0xb9)), "\ufffd");
});

import fc from "fast-check";
import { concat } from "@std/bytes";
import { DER_TAG, DerReader, encodeDer } from "../../lib/der.ts";
import { ProtocolError } from "../../lib/errors.ts";
import { assertEquals, assertThrows } from "../assert.ts";

const { octetString, sequence } = DER_TAG;

Deno.test("encodeDer() writes each length in the fewest bytes, and DerReader reads it", () => {
  const heads: [number, string][] = [
    [0, "0400"],
    [127, "047f"],
    [128, "048180"],
    [255, "0481ff"],
    [256, "04820100"],
    [65_535, "0482ffff"],
    [65_536, "0483010000"],
  ];
  for (const [length, head] of heads) {
    const encoded = encodeDer(octetString, new Uint8Array(length));
    assertEquals(encoded.subarray(0, encoded.length - length).toHex(), head);
    const reader = new DerReader(encoded);
    assertEquals(reader.take(octetString).length, length);
    reader.end();
  }
});

Deno.test("DerReader goes into values and over them in their order", () => {
  const inner = encodeDer(octetString, Uint8Array.of(1));
  const reader = new DerReader(concat([encodeDer(sequence, inner, inner), inner]));
  const values = reader.enter(sequence);
  assertEquals([values.takeWhole(octetString), values.take(octetString)], [inner, Uint8Array.of(1)]);
  values.end();
  assertThrows(() => reader.end(), ProtocolError, "3 bytes too many");
});

Deno.test("DerReader refuses another tag, missing bytes, and lengths that are not written by the rules", () => {
  for (
    const wrong of [
      "",
      "04",
      "0480",
      "048100",
      "04817f",
      "0482007f",
      "04820080",
      "0484",
      "048500000000",
      "04020a",
      "3000",
    ]
  ) {
    assertThrows(() => new DerReader(Uint8Array.fromHex(wrong)).take(octetString), ProtocolError, "Cannot read DER");
  }
});

Deno.test("DerReader: what it reads, written again, is the same; garbage gives ProtocolError", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    try {
      const whole = new DerReader(bytes).takeWhole(bytes[0]!);
      assertEquals(encodeDer(bytes[0]!, new DerReader(whole).take(bytes[0]!)).toHex(), whole.toHex());
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }));
});

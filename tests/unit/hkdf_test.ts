import { hkdfExpand, hkdfExtract } from "../../lib/hkdf.ts";
import { assertEquals, assertThrows } from "../assert.ts";

const hex = Uint8Array.fromHex;

Deno.test("hkdfExtract() and hkdfExpand() give RFC 5869, A.1", () => {
  const secret = hkdfExtract(hex("000102030405060708090a0b0c"), new Uint8Array(22).fill(0x0b));
  assertEquals(secret.toHex(), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
  assertEquals(
    hkdfExpand(secret, hex("f0f1f2f3f4f5f6f7f8f9"), 42).toHex(),
    "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
  );
});

Deno.test("hkdfExpand() gives at most 255 blocks, and refuses more", () => {
  assertEquals(hkdfExpand(new Uint8Array(32), new Uint8Array(), 255 * 32).length, 255 * 32);
  assertThrows(() => hkdfExpand(new Uint8Array(32), new Uint8Array(), 255 * 32 + 1), RangeError, "limit is 8160");
});

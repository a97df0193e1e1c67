import { createCipheriv } from "node:crypto";
import fc from "fast-check";
import { concat } from "@std/bytes";
import { AES_TAG_LENGTH, AesMessages, openAes, sealAes } from "../../lib/aes.ts";
import { encodeText } from "../../lib/bytes.ts";
import { AuthenticationError } from "../../lib/errors.ts";
import { assertEquals, assertThrows } from "../assert.ts";

const key = new Uint8Array(32).fill(7);
const nonce = new Uint8Array(12).fill(9);
const associatedData = encodeText("for whom");

Deno.test("sealAes() is AES-256-GCM: test cases 13 and 14 of McGrew and Viega, The Galois/Counter Mode of Operation", () => {
  const zeros = { key: new Uint8Array(32), nonce: new Uint8Array(12) };
  assertEquals(sealAes(new Uint8Array(), zeros).toHex(), "530f8afbc74536b9a963b4f1c4cb738b");
  assertEquals(
    sealAes(new Uint8Array(16), zeros).toHex(),
    "cea7403d4d606b6e074ec5d3baf39d18" + "d0d1c8a799996bf0265b98b5d48ab919",
  );
});

Deno.test("sealAes() gives the same bytes as the runtime's AES-256-GCM, and openAes() the message back", () => {
  const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
  fc.assert(fc.property(bytes(5000), bytes(100), (message, associatedData) => {
    const cipher = createCipheriv("aes-256-gcm", key, nonce);
    cipher.setAAD(associatedData);
    const parts = [cipher.update(message), cipher.final(), cipher.getAuthTag()].map((part) => new Uint8Array(part));
    const sealed = sealAes(message, { key, nonce, associatedData });
    assertEquals(sealed, concat(parts) as Uint8Array<ArrayBuffer>);
    assertEquals(openAes(sealed, { key, nonce, associatedData }), new Uint8Array(message));
  }));
});

Deno.test("openAes() refuses any changed bit, another key, nonce or associated data, and a cut message", () => {
  const sealed = sealAes(encodeText("attack at dawn"), { key, nonce, associatedData });
  const refuses = (sealed: Uint8Array, other: object = {}) =>
    assertThrows(() => openAes(sealed, { key, nonce, associatedData, ...other }), AuthenticationError);
  const change = (bytes: Uint8Array, bit: number) => {
    const changed = bytes.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    return changed;
  };
  for (let bit = 0; bit < 8 * sealed.length; bit++) refuses(change(sealed, bit));
  for (let bit = 0; bit < 8 * key.length; bit++) refuses(sealed, { key: change(key, bit) });
  for (let bit = 0; bit < 8 * nonce.length; bit++) refuses(sealed, { nonce: change(nonce, bit) });
  refuses(sealed, { associatedData: encodeText("for whom?") });
  for (let length = 0; length < sealed.length; length++) refuses(sealed.subarray(0, length));
});

Deno.test("AesMessages: what one end seals the other opens, in the same order, each message under another nonce", () => {
  const [sender, receiver] = [new AesMessages(key), new AesMessages(key)];
  const messages = ["one", "two", "two", ""].map(encodeText);
  const sealed = messages.map((message) => sender.seal(message));
  assertEquals(new Set(sealed.map((bytes) => bytes.toHex())).size, messages.length);
  assertEquals(sealed.map((bytes) => receiver.open(bytes)), messages);
  assertEquals(sealed.map(({ length }) => length - AES_TAG_LENGTH), [3, 3, 3, 0]);
});

Deno.test("AesMessages: a message dropped, doubled or out of its place is refused, and so is all that follows", () => {
  const sender = new AesMessages(key);
  const [one, two, three] = ["one", "two", "three"].map((text) => sender.seal(encodeText(text)));
  for (const wrong of [[two], [one, one], [one, three], [three]]) {
    const receiver = new AesMessages(key);
    for (const message of wrong.slice(0, -1)) receiver.open(message!);
    assertThrows(() => receiver.open(wrong.at(-1)!), AuthenticationError);
    for (const message of [one, two, three]) {
      assertThrows(() => receiver.open(message!), AuthenticationError, "earlier");
    }
  }
});

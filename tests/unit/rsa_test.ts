import { generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { concat } from "@std/bytes";
import { sealAes } from "../../lib/aes.ts";
import { encodeText } from "../../lib/bytes.ts";
import { decodeEnvelope, encodeEnvelope } from "../../lib/cms.ts";
import { DER_TAG, encodeDer } from "../../lib/der.ts";
import { AuthenticationError, ProtocolError } from "../../lib/errors.ts";
import {
  decryptMessage,
  decryptOaep,
  encryptMessage,
  encryptOaep,
  RsaPrivateKey,
  RsaPublicKey,
  signPss,
  signReply,
  verifyPss,
  verifyReply,
} from "../../lib/rsa.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";

const [key, other] = await Promise.all([RsaPrivateKey.generate(), RsaPrivateKey.generate()]);
const { publicKey } = key;
const request = encodeText("the request");

/** The bytes with one bit changed. */
function change(bytes: Uint8Array, bit: number): Uint8Array {
  const changed = bytes.slice();
  changed[bit >> 3]! ^= 1 << (bit & 7);
  return changed;
}

Deno.test("OAEP: what is encrypted with the public key is decrypted with the private key; 318 bytes fit, 319 do not", () => {
  for (const length of [0, 1, 32, 318]) {
    const plaintext = new Uint8Array(length).fill(7);
    const ciphertext = encryptOaep(publicKey, plaintext);
    assertEquals(ciphertext.length, 384);
    assertEquals(decryptOaep(key, ciphertext), plaintext);
  }
  assertThrows(() => encryptOaep(publicKey, new Uint8Array(319)), Error);
});

Deno.test("OAEP: the same plaintext is never the same ciphertext; another key or a changed byte is refused", () => {
  const ciphertext = encryptOaep(publicKey, request);
  assert(ciphertext.toHex() !== encryptOaep(publicKey, request).toHex());
  assertThrows(() => decryptOaep(other, ciphertext), AuthenticationError);
  for (const wrong of [change(ciphertext, 0), change(ciphertext, 3071), ciphertext.subarray(1), new Uint8Array(384)]) {
    assertThrows(() => decryptOaep(key, wrong), AuthenticationError);
  }
});

Deno.test("decryptMessage() gives back a message of any length", () => {
  for (const length of [0, 1, 127, 128, 318, 319, 65_536, 1_000_000]) {
    const message = crypto.getRandomValues(new Uint8Array(Math.min(length, 65_536)));
    const plaintext = concat([message, new Uint8Array(length - message.length)]);
    assertEquals(decryptMessage(key, encryptMessage(publicKey, plaintext)), plaintext);
  }
});

Deno.test("decryptMessage() refuses a message for another key", () => {
  assertThrows(() => decryptMessage(key, encryptMessage(other.publicKey, request)), AuthenticationError, "another key");
});

Deno.test("decryptMessage() refuses a message with a bit changed in any byte, but for the name of the key", () => {
  const message = encryptMessage(publicKey, request);
  const name = message.toHex().indexOf(publicKey.identifier.toHex()) / 2;
  for (let i = 0; i < message.length; i++) {
    const changed = change(message, 8 * i + i % 8);
    if (i >= name && i < name + 20) assertEquals(decryptMessage(key, changed), request);
    else assertThrows(() => decryptMessage(key, changed), ProtocolError);
  }
});

Deno.test("decryptMessage() refuses a message cut at any byte, or with bytes after it", () => {
  const message = encryptMessage(publicKey, request);
  for (let i = 0; i < message.length; i++) {
    assertThrows(() => decryptMessage(key, message.subarray(0, i)), ProtocolError);
  }
  assertThrows(() => decryptMessage(key, concat([message, Uint8Array.of(0)])), ProtocolError, "1 bytes too many");
});

Deno.test("decryptMessage() takes no other lengths of a key or a nonce, though the tag is right", () => {
  for (const [keyLength, nonceLength] of [[32, 12], [16, 12], [24, 12], [32, 16]] as const) {
    const options = { key: new Uint8Array(keyLength), nonce: new Uint8Array(nonceLength) };
    const parts = { encryptedKey: encryptOaep(publicKey, options.key), nonce: options.nonce };
    const message = encodeEnvelope({ ...parts, sealed: sealAes(request, options) }, publicKey.identifier);
    if (keyLength === 32 && nonceLength === 12) assertEquals(decryptMessage(key, message), request);
    else assertThrows(() => decryptMessage(key, message), ProtocolError);
  }
});

Deno.test("decryptMessage(): the parts of two messages do not make a third", () => {
  const [one, two] = [encryptMessage(publicKey, request), encryptMessage(publicKey, request)];
  const { encryptedKey } = decodeEnvelope(two);
  const at = one.toHex().indexOf(decodeEnvelope(one).encryptedKey.toHex()) / 2;
  const spliced = one.slice();
  spliced.set(encryptedKey, at);
  assertThrows(() => decryptMessage(key, spliced), AuthenticationError);
});

Deno.test("decryptMessage(), verifyReply(), RsaPublicKey.parse(): garbage gives ProtocolError and nothing else", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 700 }), (bytes) => {
    assertThrows(() => decryptMessage(key, bytes), ProtocolError);
    assertThrows(() => verifyReply(publicKey, request, bytes), AuthenticationError);
    assertThrows(() => RsaPublicKey.parse(bytes), ProtocolError);
  }));
});

Deno.test("PSS: only the right signature to the right message by the right key is right", () => {
  const signature = signPss(key, request);
  assertEquals(signature.length, 384);
  assert(verifyPss(publicKey, request, signature));
  assert(!verifyPss(other.publicKey, request, signature));
  assert(!verifyPss(publicKey, encodeText("the Request"), signature));
  for (let bit = 0; bit < 8 * signature.length; bit += 7) {
    assert(!verifyPss(publicKey, request, change(signature, bit)));
  }
  for (const wrong of [signature.subarray(1), new Uint8Array(), new Uint8Array(384)]) {
    assert(!verifyPss(publicKey, request, wrong));
  }
});

Deno.test("verifyReply() gives the reply to this request, and refuses one to another, changed, or signed by another", () => {
  const reply = encodeText("the reply");
  const signed = signReply(key, request, reply);
  assertEquals(verifyReply(publicKey, request, signed), reply);
  const refuses = (by: RsaPublicKey, to: Uint8Array, signed: Uint8Array) =>
    assertThrows(() => verifyReply(by, to, signed), AuthenticationError, "its signature is wrong");
  refuses(publicKey, encodeText("another request"), signed);
  refuses(other.publicKey, request, signed);
  refuses(publicKey, request, concat([signPss(key, reply), reply])); // what the key signs elsewhere
  for (let i = 0; i < signed.length; i++) refuses(publicKey, request, change(signed, 8 * i + i % 8));
});

Deno.test("keys survive PEM and DER; a private key is no public key", () => {
  const kept = RsaPrivateKey.parse(key.toPem());
  assertEquals(kept.publicKey.fingerprint, publicKey.fingerprint);
  assertEquals(decryptMessage(kept, encryptMessage(RsaPublicKey.parse(publicKey.toPem()), request)), request);
  assertEquals(RsaPublicKey.parse(publicKey.der).fingerprint, publicKey.fingerprint);
  assertThrows(() => RsaPublicKey.parse(key.toPem()), ProtocolError, "it is a private one");
  assertThrows(() => RsaPrivateKey.parse(publicKey.toPem()), ProtocolError, "no RSA key");
});

Deno.test("a public key of any length that is accepted can be read again: the longest has 4096 bits", () => {
  const { sequence, integer, oid, bitString } = DER_TAG;
  const ofLength = (bytes: number) => {
    const modulus = new Uint8Array(1 + bytes).fill(0xff, 1); // a zero in front: it is not negative
    const numbers = encodeDer(sequence, encodeDer(integer, modulus), encodeDer(integer, Uint8Array.of(1, 0, 1)));
    const rsa = encodeDer(sequence, encodeDer(oid, Uint8Array.fromHex("2a864886f70d010101")), Uint8Array.of(5, 0));
    return encodeDer(sequence, rsa, encodeDer(bitString, Uint8Array.of(0), numbers));
  };
  for (const bytes of [384, 512]) assertEquals(RsaPublicKey.parse(ofLength(bytes)).der, ofLength(bytes));
  assertThrows(() => RsaPublicKey.parse(ofLength(513)), ProtocolError, "no RSA key of up to 4096 bits");
});

Deno.test("keys that are short, long, of another kind or with another exponent are refused", () => {
  const pemOf = (...[type, options]: [type: "rsa", options: { modulusLength: number; publicExponent?: number }]) =>
    generateKeyPairSync(type, options).publicKey.export({ format: "pem", type: "spki" }) as string;
  assertThrows(() => RsaPublicKey.parse(pemOf("rsa", { modulusLength: 1024 })), ProtocolError, "RSA key of 1024 bits");
  for (const [bits, accepted] of [[3071, false], [3072, true], [4096, true], [4097, false]] as const) {
    const details = { asymmetricKeyDetails: { modulusLength: bits, publicExponent: 65537n } };
    const use = () => new RsaPublicKey({ asymmetricKeyType: "rsa", ...details, export: () => [] } as never);
    if (accepted) use();
    else assertThrows(use, ProtocolError, `RSA key of ${bits} bits`);
  }
  const ed25519 = generateKeyPairSync("ed25519").publicKey.export({ format: "pem", type: "spki" }) as string;
  assertThrows(() => RsaPublicKey.parse(ed25519), ProtocolError, "of type ed25519");
  const exponent = publicKey.der.slice();
  exponent[exponent.length - 2]! = 1; // 65793
  assertThrows(() => RsaPublicKey.parse(exponent), ProtocolError, "exponent 65793");
});

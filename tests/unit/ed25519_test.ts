import { concat } from "@std/bytes";
import { encodeText } from "../../lib/bytes.ts";
import { Ed25519Identity, ed25519PublicKey, verifyEd25519 } from "../../lib/ed25519.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";

/** A private key as RFC 8410 §7 puts it into PEM. */
function pemOf(privateKey: string): string {
  const der = concat([Uint8Array.fromHex("302e020100300506032b657004220420"), Uint8Array.fromHex(privateKey)]);
  return `-----BEGIN PRIVATE KEY-----\n${der.toBase64()}\n-----END PRIVATE KEY-----\n`;
}

Deno.test("Ed25519Identity signs as RFC 8032 §7.1, test 2", () => {
  const identity = Ed25519Identity.fromPem(pemOf("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
  assertEquals(identity.publicKey.toHex(), "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  assertEquals(
    identity.sign(Uint8Array.of(0x72)).toHex(),
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" +
      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  );
});

Deno.test("verifyEd25519() takes the right signature only: no changed bit, no other message, key or length", () => {
  const [identity, other] = [Ed25519Identity.generate(), Ed25519Identity.generate()];
  const message = encodeText("hello");
  const signature = identity.sign(message);
  assert(verifyEd25519(identity.publicKey, message, signature));
  for (let bit = 0; bit < 8 * signature.length; bit++) {
    const changed = signature.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    assert(!verifyEd25519(identity.publicKey, message, changed), `bit ${bit}`);
  }
  assert(!verifyEd25519(identity.publicKey, encodeText("hullo"), signature));
  assert(!verifyEd25519(other.publicKey, message, signature));
  assert(!verifyEd25519(identity.publicKey, message, signature.subarray(1)));
  assert(!verifyEd25519(identity.publicKey.subarray(1), message, signature));
});

Deno.test("Ed25519 keys survive PEM; a key of the other half or of another kind is refused", () => {
  const identity = Ed25519Identity.generate();
  assertEquals(Ed25519Identity.fromPem(identity.toPem()).publicKey, identity.publicKey);
  assertEquals(ed25519PublicKey(identity.publicPem()), identity.publicKey);
  assertThrows(() => ed25519PublicKey(identity.toPem()), TypeError, "no Ed25519 public key");
  assertThrows(() => Ed25519Identity.fromPem(identity.publicPem()), TypeError, "no Ed25519 private key");
  assertThrows(() => Ed25519Identity.fromPem("secret"), TypeError, "no Ed25519 private key");
  const x25519 = pemOf("77076d0a7318a57d3c16c17251b26645df1f92c7a4c4ab3b5a9ce6a0bb6a3f57");
  assertThrows(() => Ed25519Identity.fromPem(x25519.replace("MC4CAQAwBQYDK2Vw", "MC4CAQAwBQYDK2Vu")), TypeError);
});

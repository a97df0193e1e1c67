/**
 * HKDF with SHA-256 (RFC 5869): keys from a shared secret, in its two steps.
 * @module
 */
import { createHmac } from "node:crypto";
import { concat } from "@std/bytes";

/** Bytes of a SHA-256 digest. */
const HASH_LENGTH = 32;

/** Gathers what is secret in `material` into a key of 32 bytes; `salt` may be public (§2.2). */
export function hkdfExtract(salt: Uint8Array, material: Uint8Array): Uint8Array {
  return hmac(salt, material);
}

/**
 * A key of `length` bytes for the purpose that `info` names (§2.3). Other purposes have other keys, and none tells about
 * another.
 *
 * ```ts
 * import { assertNotEquals } from "@std/assert";
 * const secret = hkdfExtract(new Uint8Array(32), Uint8Array.of(1, 2, 3));
 * const key = (purpose: string) => hkdfExpand(secret, new TextEncoder().encode(purpose));
 * assertNotEquals(key("client"), key("server"));
 * ```
 * @throws {RangeError} if `length` is above 255 * 32
 */
export function hkdfExpand(secret: Uint8Array, info: Uint8Array, length = HASH_LENGTH): Uint8Array {
  const count = Math.ceil(length / HASH_LENGTH);
  if (count > 255) throw new RangeError(`Cannot derive ${length} bytes: limit is ${255 * HASH_LENGTH}`);
  const blocks: Uint8Array[] = [];
  for (let i = 1; i <= count; i++) {
    blocks.push(hmac(secret, concat([blocks.at(-1) ?? new Uint8Array(), info, Uint8Array.of(i)])));
  }
  return concat(blocks).slice(0, length);
}

function hmac(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac("sha256", key).update(bytes).digest());
}

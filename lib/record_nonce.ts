/**
 * The nonces of records: `4 zero bytes || counter (8 bytes)` (The Noise Protocol Framework, revision 34, §12.3, §12.4).
 * @module
 */
import { AuthenticationError } from "./errors.ts";
import { type CipherBackend, type CipherSuite, KEY_LENGTH, type RecordCipher, TAG_LENGTH } from "./record_cipher.ts";

/** The nonce of a counter, 12 bytes that the next call overwrites. */
export type NonceOf = (counter: number) => Uint8Array<ArrayBuffer>;

/** A backend that a test may give nonces of its own. */
export interface NonceBackend extends CipherBackend {
  /** See {@linkcode CipherBackend}. */
  cipher(suite: CipherSuite, key: Uint8Array, nonceOf?: NonceOf): RecordCipher;
}

/**
 * The nonces of a suite: the counter is big-endian for AES, little-endian for ChaCha20.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(counterNonces("AESGCM")(258), Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2));
 * assertEquals(counterNonces("ChaChaPoly")(258), Uint8Array.of(0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0));
 * ```
 */
export function counterNonces(suite: CipherSuite): NonceOf {
  const nonce = new Uint8Array(12);
  const view = new DataView(nonce.buffer);
  const littleEndian = suite === "ChaChaPoly";
  const [low, high] = littleEndian ? [4, 8] : [8, 4];
  return (counter) => {
    view.setUint32(low, counter, littleEndian); // stored modulo 2^32
    view.setUint32(high, counter / 2 ** 32, littleEndian);
    return nonce;
  };
}

/** Bytes of a record without its tag. */
export function textLength(record: Uint8Array): number {
  const length = record.length - TAG_LENGTH;
  if (length >= 0) return length;
  throw new AuthenticationError("Cannot open a record: the tag is missing");
}

/**
 * A cipher's own copy of its key.
 * @throws {RangeError} if it has not 32 bytes
 */
export function copyKey(key: Uint8Array): Uint8Array<ArrayBuffer> {
  if (key.length === KEY_LENGTH) return key.slice();
  throw new RangeError(`Cannot use a key of ${key.length} bytes: it has ${KEY_LENGTH}`);
}

/** The key of a cipher that has one until it is closed. */
export function openKey<Key>(key: Key | undefined): Key {
  if (key === undefined) throw new TypeError("Cannot use a cipher that is closed");
  return key;
}

/** What a wrong tag is reported as: nothing more is known. */
export function wrongTag(cause?: unknown): AuthenticationError {
  return new AuthenticationError("Cannot open a record: another key, or something was changed", { cause });
}

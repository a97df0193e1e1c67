/**
 * AES-256-GCM (NIST SP 800-38D) by @noble/ciphers: encryption that also shows any change. All of it is JavaScript that one
 * can read, which makes it the exercise's own cipher and what faster ones are compared with.
 * @module
 */
import { gcm } from "@noble/ciphers/aes.js";
import { AuthenticationError } from "./errors.ts";

/** Bytes of a key. */
export const AES_KEY_LENGTH = 32;
/** Bytes of a nonce, the length that GCM is made for (§5.2.1.1). */
export const AES_NONCE_LENGTH = 12;
/** Bytes that a tag adds to a message. */
export const AES_TAG_LENGTH = 16;

/** What a message is sealed with. */
export interface SealOptions {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** 12 bytes. Two messages with the same nonce under one key betray both, and the key that tags are made with. */
  readonly nonce: Uint8Array;
  /** Not encrypted and not sent, but the same on both ends. */
  readonly associatedData?: Uint8Array;
}

/**
 * Encrypts a message. Layout: `ciphertext (as long as the message) || tag (16 bytes)`.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const options = { key: new Uint8Array(32).fill(7), nonce: new Uint8Array(12) };
 * assertEquals(openAes(sealAes(Uint8Array.of(1, 2, 3), options), options), Uint8Array.of(1, 2, 3));
 * ```
 */
export function sealAes(plaintext: Uint8Array, { key, nonce, associatedData }: SealOptions): Uint8Array<ArrayBuffer> {
  return gcm(key, nonce, associatedData).encrypt(plaintext) as Uint8Array<ArrayBuffer>;
}

/**
 * The plaintext of what {@linkcode sealAes} has made, or nothing at all.
 * @throws {AuthenticationError} if the key, the nonce, the associated data or any bit is another
 */
export function openAes(sealed: Uint8Array, { key, nonce, associatedData }: SealOptions): Uint8Array<ArrayBuffer> {
  const cipher = gcm(key, nonce, associatedData);
  try {
    return cipher.decrypt(sealed) as Uint8Array<ArrayBuffer>;
  } catch (cause) {
    throw new AuthenticationError("Cannot decrypt: another key, or something was changed", { cause });
  }
}

/**
 * The messages of one direction: the n-th has the number n as its nonce, so that none can be dropped, doubled or put in
 * another place unnoticed. What fails once has failed for good.
 */
export class AesMessages {
  readonly #key: Uint8Array;
  #count = 0; // a number stays exact for longer than any connection lasts
  #failed = false;

  /** A key of 32 bytes that nothing else uses. */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** Seals the next message to send: `ciphertext || tag (16 bytes)`. */
  seal(plaintext: Uint8Array): Uint8Array<ArrayBuffer> {
    return sealAes(plaintext, this.#next());
  }

  /**
   * Opens the next message that has come.
   * @throws {AuthenticationError} if it is not the one that the peer sealed next
   */
  open(sealed: Uint8Array): Uint8Array<ArrayBuffer> {
    if (this.#failed) throw new AuthenticationError("Cannot decrypt: an earlier message was wrong");
    this.#failed = true;
    const plaintext = openAes(sealed, this.#next());
    this.#failed = false;
    return plaintext;
  }

  #next(): SealOptions {
    const nonce = new Uint8Array(AES_NONCE_LENGTH);
    new DataView(nonce.buffer).setBigUint64(4, BigInt(this.#count++));
    return { key: this.#key, nonce };
  }
}

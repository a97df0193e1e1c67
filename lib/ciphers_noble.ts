/**
 * The record ciphers by @noble/ciphers: all of it is JavaScript that one can read. It is slow, and what the faster ones are
 * compared with.
 * @module
 */
import { gcm } from "@noble/ciphers/aes.js";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import type { CipherSuite, RecordCipher } from "./record_cipher.ts";
import {
  copyKey,
  counterNonces,
  type NonceBackend,
  type NonceOf,
  openKey,
  textLength,
  wrongTag,
} from "./record_nonce.ts";

/** The reference: AES-256-GCM (NIST SP 800-38D) and ChaCha20-Poly1305 (RFC 8439) in JavaScript. */
export const nobleBackend: NonceBackend = {
  name: "noble",
  cipher: (suite, key, nonceOf) => new NobleCipher(suite, key, nonceOf),
};

class NobleCipher implements RecordCipher {
  readonly #aead: typeof gcm | typeof chacha20poly1305;
  #key: Uint8Array | undefined;
  readonly #nonceOf: NonceOf;

  constructor(suite: CipherSuite, key: Uint8Array, nonceOf: NonceOf = counterNonces(suite)) {
    this.#aead = suite === "AESGCM" ? gcm : chacha20poly1305;
    this.#key = copyKey(key);
    this.#nonceOf = nonceOf;
  }

  seal(counter: number, record: Uint8Array): void {
    const plaintext = record.subarray(0, textLength(record));
    record.set(this.#aead(openKey(this.#key), this.#nonceOf(counter)).encrypt(plaintext));
  }

  open(counter: number, record: Uint8Array): Uint8Array {
    textLength(record);
    const aead = this.#aead(openKey(this.#key), this.#nonceOf(counter));
    try {
      return aead.decrypt(record);
    } catch (cause) {
      throw wrongTag(cause);
    }
  }

  close(): void {
    this.#key?.fill(0);
    this.#key = undefined;
  }
}

/**
 * The record ciphers of the runtime, which need no permission: node:crypto, and WebCrypto for AES of long records.
 * @module
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { type CipherSuite, type RecordCipher, TAG_LENGTH } from "./record_cipher.ts";
import {
  copyKey,
  counterNonces,
  type NonceBackend,
  type NonceOf,
  openKey,
  textLength,
  wrongTag,
} from "./record_nonce.ts";

/** From this length on, in bytes, WebCrypto's AES is faster than node:crypto's, above all with several records under way. */
export const WEB_CRYPTO_FROM = 12 * 1024;

/**
 * The runtime's own: AES-256-GCM (NIST SP 800-38D) and ChaCha20-Poly1305 (RFC 8439).
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { portableBackend as backend, RecordReader, RecordWriter } from "@netlab/netlab";
 *
 * // What a handshake gives both ends for one direction.
 * const direction = () => ({ suite: "AESGCM" as const, key: new Uint8Array(32).fill(7), counter: 0 });
 * const writer = new RecordWriter(direction(), { backend });
 * const reader = new RecordReader(direction(), { backend });
 *
 * writer.append(new TextEncoder().encode("hello"));
 * const batch = writer.take()!;
 * await batch.sealed;
 * reader.space().set(batch.bytes); // what a socket would read there
 * reader.received(batch.bytes.length);
 * writer.recycle(batch);
 *
 * const text = new Uint8Array(10);
 * assertEquals(await reader.next(), true);
 * assertEquals(new TextDecoder().decode(text.subarray(0, reader.take(text))), "hello");
 * ```
 */
export const portableBackend: NonceBackend = {
  name: "portable",
  cipher: (suite, key, nonceOf) =>
    suite === "AESGCM" ? new PortableAes(key, nonceOf) : new NodeCipher(suite, key, nonceOf),
};

/** Either cipher by node:crypto, at once. */
class NodeCipher implements RecordCipher {
  readonly #algorithm: "aes-256-gcm";
  #key: Uint8Array | undefined;
  readonly #nonceOf: NonceOf;

  constructor(suite: CipherSuite, key: Uint8Array, nonceOf: NonceOf = counterNonces(suite)) {
    this.#algorithm = (suite === "AESGCM" ? "aes-256-gcm" : "chacha20-poly1305") as "aes-256-gcm"; // the types know one
    this.#key = copyKey(key);
    this.#nonceOf = nonceOf;
  }

  seal(counter: number, record: Uint8Array): void {
    const length = textLength(record);
    const options = { authTagLength: TAG_LENGTH };
    const cipher = createCipheriv(this.#algorithm, openKey(this.#key), this.#nonceOf(counter), options);
    record.set(cipher.update(record.subarray(0, length)));
    cipher.final();
    record.set(cipher.getAuthTag(), length);
  }

  open(counter: number, record: Uint8Array): Uint8Array {
    const length = textLength(record);
    const options = { authTagLength: TAG_LENGTH };
    const decipher = createDecipheriv(this.#algorithm, openKey(this.#key), this.#nonceOf(counter), options);
    decipher.setAuthTag(record.subarray(length));
    const plaintext = decipher.update(record.subarray(0, length));
    try {
      decipher.final();
    } catch (cause) {
      throw wrongTag(cause);
    }
    return plaintext;
  }

  close(): void {
    this.#key?.fill(0);
    this.#key = undefined;
  }
}

/** AES by node:crypto where records are short, by WebCrypto where they are long. */
class PortableAes implements RecordCipher {
  readonly #short: NodeCipher;
  readonly #nonceOf: NonceOf;
  #key: Uint8Array<ArrayBuffer> | undefined;
  #webKey: Promise<CryptoKey> | undefined; // made when it is needed: many connections have no long records

  constructor(key: Uint8Array, nonceOf: NonceOf = counterNonces("AESGCM")) {
    this.#short = new NodeCipher("AESGCM", key, nonceOf);
    this.#key = copyKey(key);
    this.#nonceOf = nonceOf;
  }

  seal(counter: number, record: Uint8Array<ArrayBuffer>): void | Promise<void> {
    const length = textLength(record);
    if (length < WEB_CRYPTO_FROM) return this.#short.seal(counter, record);
    return this.#byWebCrypto(counter, "encrypt", record.subarray(0, length)).then((sealed) => record.set(sealed));
  }

  open(counter: number, record: Uint8Array<ArrayBuffer>): Uint8Array | Promise<Uint8Array> {
    if (textLength(record) < WEB_CRYPTO_FROM) return this.#short.open(counter, record);
    return this.#byWebCrypto(counter, "decrypt", record);
  }

  async #byWebCrypto(
    counter: number,
    operation: "encrypt" | "decrypt",
    input: Uint8Array<ArrayBuffer>,
  ): Promise<Uint8Array> {
    const bytes = openKey(this.#key);
    const key =
      await (this.#webKey ??= crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]));
    const iv = this.#nonceOf(counter); // copied before the call returns
    const result = crypto.subtle[operation]({ name: "AES-GCM", iv, tagLength: 8 * TAG_LENGTH }, key, input);
    return new Uint8Array(await result.catch(rejectTag));
  }

  /** Overwrites the key of short records; the runtime keeps that of long ones until nothing uses it any more. */
  close(): void {
    this.#short.close();
    this.#key?.fill(0);
    this.#key = undefined;
  }
}

function rejectTag(cause: unknown): never {
  throw wrongTag(cause);
}

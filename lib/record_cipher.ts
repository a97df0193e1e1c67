/**
 * What the records of a secure channel ask of a cipher: the interface between {@link ./secure_records.ts} and the backends.
 *
 * A record lies in its buffer as `plaintext || 16 spare bytes` before it is sealed, and as `ciphertext || tag (16 bytes)`
 * after; a backend that can opens it in place as well, and needs no memory of its own. There is no associated data, as in the
 * transport messages of Noise (revision 34, §5.1).
 * @module
 */

/** A cipher by its name in Noise (§12): AES-256-GCM, nonce big-endian, or ChaCha20-Poly1305, nonce little-endian. */
export type CipherSuite = "AESGCM" | "ChaChaPoly";

/** Bytes of a key. */
export const KEY_LENGTH = 32;
/** Bytes of a tag. */
export const TAG_LENGTH = 16;

/**
 * One direction of one channel, under one key: it either only seals or only opens.
 *
 * The nonce is 4 zero bytes and the counter in 8 bytes. The caller never uses a counter twice. Any call may return a promise
 * and any may not; up to 5 may be under way at a time, each on bytes of its own that nobody touches before it ends.
 */
export interface RecordCipher {
  /** Replaces `plaintext || 16 spare bytes` by `ciphertext || tag`. */
  seal(counter: number, record: Uint8Array<ArrayBuffer>): void | Promise<void>;

  /**
   * The plaintext of `ciphertext || tag`, in place of it or in memory of its own; `record` must not be looked at any more.
   * @throws {AuthenticationError} (or rejects) if the tag is wrong
   */
  open(counter: number, record: Uint8Array<ArrayBuffer>): Uint8Array | Promise<Uint8Array>;

  /** Frees what it holds. What is under way still ends; nothing begins any more. */
  close(): void;
}

/** A source of ciphers. All of them make the same bytes. */
export interface CipherBackend {
  /** As a log names it. */
  readonly name: string;
  /** A cipher with its own copy of `key` (32 bytes): the caller may overwrite it. */
  cipher(suite: CipherSuite, key: Uint8Array): RecordCipher;
}

/**
 * What Noise is made of, from node:crypto: X25519 (RFC 7748), AES-256-GCM (NIST SP 800-38D), ChaCha20-Poly1305 (RFC 8439),
 * hashes and HMAC (RFC 2104).
 * @module
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from "node:crypto";
import { concat } from "@std/bytes";
import { AuthenticationError } from "./errors.ts";

const TAG_LENGTH = 16;
/** A raw X25519 key in PKCS #8 and in SubjectPublicKeyInfo (RFC 8410 §4, §7): this, then the 32 bytes. */
const PKCS8_PREFIX = Uint8Array.fromHex("302e020100300506032b656e04220420");
const SPKI_PREFIX = Uint8Array.fromHex("302a300506032b656e032100");

/** A key pair; the private key stays inside the runtime's key object. */
export interface X25519KeyPair {
  /** A handle: the runtime has the bytes. */
  readonly privateKey: KeyObject;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** Key agreement on Curve25519 (RFC 7748 §6.1). */
export interface KeyAgreement {
  /** A new random key pair. */
  generate(): X25519KeyPair;
  /** The key pair of a raw private key of 32 bytes. */
  fromPrivate(bytes: Uint8Array): X25519KeyPair;
  /** The shared secret of 32 bytes; undefined if the public key is one of small order, which makes it all zeros. */
  sharedSecret(keyPair: X25519KeyPair, remote: Uint8Array): Uint8Array | undefined;
}

/** X25519. */
export const x25519: KeyAgreement = {
  generate() {
    const { privateKey, publicKey } = generateKeyPairSync("x25519");
    return { privateKey, publicKey: rawPublicKey(publicKey) };
  },

  fromPrivate(bytes) {
    const der = concat([PKCS8_PREFIX, bytes]) as Uint8Array as never;
    const privateKey = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
    return { privateKey, publicKey: rawPublicKey(createPublicKey(privateKey)) };
  },

  sharedSecret({ privateKey }, remote) {
    const der = concat([SPKI_PREFIX, remote]) as Uint8Array as never;
    const publicKey = createPublicKey({ key: der, format: "der", type: "spki" });
    try {
      const secret = new Uint8Array(diffieHellman({ privateKey, publicKey }));
      return secret.some((byte) => byte !== 0) ? secret : undefined;
    } catch {
      return undefined; // the runtime refuses it by itself
    }
  },
};

/** The 32 bytes of a public key of X25519 or Ed25519: what precedes them is as long (RFC 8410 §4). */
export function rawPublicKey(key: KeyObject): Uint8Array {
  const der = key.export({ format: "der", type: "spki" }) as unknown as Uint8Array;
  return new Uint8Array(der.subarray(SPKI_PREFIX.length));
}

/** Authenticated encryption with a key of 32 bytes and a counter as nonce, never used twice with one key. */
export interface Aead {
  /** `ciphertext || tag (16 bytes)`. */
  seal(key: Uint8Array, counter: number | bigint, associatedData: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /**
   * The plaintext.
   * @throws {AuthenticationError} if it was not sealed so
   */
  open(key: Uint8Array, counter: number, associatedData: Uint8Array, sealed: Uint8Array): Uint8Array;
}

/** The AEAD of a Noise cipher name (§12.3, §12.4). */
export function makeAead(name: string): Aead {
  const littleEndian = name === "ChaChaPoly";
  const algorithm = (littleEndian ? "chacha20-poly1305" : "aes-256-gcm") as "aes-256-gcm";
  const nonceOf = (counter: number | bigint) => {
    const nonce = new Uint8Array(12);
    new DataView(nonce.buffer).setBigUint64(4, BigInt(counter), littleEndian);
    return nonce;
  };
  const options = { authTagLength: TAG_LENGTH };
  return {
    seal(key, counter, associatedData, plaintext) {
      const cipher = createCipheriv(algorithm, key, nonceOf(counter), options);
      cipher.setAAD(associatedData);
      const sealed = new Uint8Array(plaintext.length + TAG_LENGTH);
      sealed.set(cipher.update(plaintext));
      cipher.final();
      sealed.set(cipher.getAuthTag(), plaintext.length);
      return sealed;
    },
    open(key, counter, associatedData, sealed) {
      if (sealed.length < TAG_LENGTH) throw new AuthenticationError("Cannot decrypt: the tag is missing");
      const decipher = createDecipheriv(algorithm, key, nonceOf(counter), options);
      decipher.setAAD(associatedData);
      decipher.setAuthTag(sealed.subarray(-TAG_LENGTH));
      const plaintext = new Uint8Array(decipher.update(sealed.subarray(0, -TAG_LENGTH)));
      try {
        decipher.final();
      } catch (cause) {
        throw new AuthenticationError("Cannot decrypt: the tag is wrong", { cause });
      }
      return plaintext;
    },
  };
}

/** A hash with its HMAC. */
export interface Hash {
  /** Bytes of a digest. */
  readonly length: number;
  /** The digest of bytes. */
  digest(bytes: Uint8Array): Uint8Array;
  /** `count` keys out of a secret and the chaining key: HKDF of §4.3, which is RFC 5869 without info. */
  hkdf(chainingKey: Uint8Array, secret: Uint8Array, count: number): Uint8Array[];
}

const HASHES: Record<string, [algorithm: string, length: number]> = {
  SHA256: ["sha256", 32],
  SHA512: ["sha512", 64],
  BLAKE2s: ["blake2s256", 32],
  BLAKE2b: ["blake2b512", 64],
};

/** The hash of a Noise hash name (§12.5 to §12.8). */
export function makeHash(name: string): Hash {
  const [algorithm, length] = HASHES[name]!;
  return {
    length,
    digest: (bytes) => new Uint8Array(createHash(algorithm).update(bytes).digest()),
    hkdf(chainingKey, secret, count) {
      const keys = hkdf(algorithm, chainingKey, secret, count * length);
      return Array.from({ length: count }, (_, i) => keys.slice(i * length, (i + 1) * length));
    },
  };
}

/** HKDF with a salt and without info (RFC 5869); the runtime has it for SHA-2 only. */
function hkdf(algorithm: string, salt: Uint8Array, secret: Uint8Array, length: number): Uint8Array {
  if (algorithm.startsWith("sha")) return new Uint8Array(hkdfSync(algorithm, secret, salt, new Uint8Array(), length));
  const hmac = (key: Uint8Array, bytes: Uint8Array) =>
    new Uint8Array(createHmac(algorithm, key).update(bytes).digest());
  const key = hmac(salt, secret);
  const blocks: Uint8Array[] = [];
  for (let filled = 0; filled < length; filled += blocks.at(-1)!.length) {
    blocks.push(hmac(key, concat([blocks.at(-1) ?? new Uint8Array(), Uint8Array.of(blocks.length + 1)])));
  }
  return concat(blocks);
}

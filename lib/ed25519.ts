/**
 * Ed25519 signatures (RFC 8032): keys as files keep them, and public keys as 32 bytes.
 * @module
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";
import { concat } from "@std/bytes";
import { rawPublicKey } from "./noise_primitives.ts";

/** Bytes of a public key. */
export const ED25519_KEY_LENGTH = 32;
/** Bytes of a signature. */
export const ED25519_SIGNATURE_LENGTH = 64;

/** A raw public key in SubjectPublicKeyInfo (RFC 8410 §4): this, then the 32 bytes. */
const SPKI_PREFIX = Uint8Array.fromHex("302a300506032b6570032100");

/** Who can sign. The private key stays inside the runtime's key object. */
export class Ed25519Identity {
  readonly #privateKey: KeyObject;
  /** 32 bytes: what others pin. */
  readonly publicKey: Uint8Array;

  private constructor(privateKey: KeyObject) {
    this.#privateKey = privateKey;
    this.publicKey = rawPublicKey(createPublicKey(privateKey));
  }

  /** A new random one. */
  static generate(): Ed25519Identity {
    return new Ed25519Identity(generateKeyPairSync("ed25519").privateKey);
  }

  /**
   * The one in a PEM file, as `openssl genpkey -algorithm ed25519` writes it.
   * @throws {TypeError} if it is no Ed25519 private key
   */
  static fromPem(pem: string): Ed25519Identity {
    return new Ed25519Identity(parsePem(pem, createPrivateKey, "private"));
  }

  /** The private key for a PEM file (PKCS #8). */
  toPem(): string {
    return this.#privateKey.export({ format: "pem", type: "pkcs8" }) as string;
  }

  /** The public key for a PEM file (SubjectPublicKeyInfo). */
  publicPem(): string {
    return createPublicKey(this.#privateKey).export({ format: "pem", type: "spki" }) as string;
  }

  /** The signature, 64 bytes. */
  sign(message: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, message, this.#privateKey));
  }
}

/**
 * The raw public key of a PEM file.
 * @throws {TypeError} if it is no Ed25519 public key
 */
export function ed25519PublicKey(pem: string): Uint8Array {
  return rawPublicKey(parsePem(pem, createPublicKey, "public"));
}

/** Whether who has the private key to `publicKey` (32 bytes) has signed the message. */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    const der = concat([SPKI_PREFIX, publicKey]) as Uint8Array as never;
    return verify(null, message, createPublicKey({ key: der, format: "der", type: "spki" }), signature);
  } catch {
    return false; // no point of the curve
  }
}

function parsePem(pem: string, parse: (pem: string) => KeyObject, kind: string): KeyObject {
  let key: KeyObject | undefined;
  try {
    key = parse(pem);
  } catch {
    // told below
  }
  // createPublicKey makes a public key of a private one as well: nobody should hand that over.
  const fits = key?.asymmetricKeyType === "ed25519" && pem.includes(`BEGIN ${kind.toUpperCase()} KEY`);
  if (key === undefined || !fits) throw new TypeError(`Cannot read key: it is no Ed25519 ${kind} key in PEM`);
  return key;
}

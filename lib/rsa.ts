/**
 * RSA (RFC 8017), the exercise: whoever has the public key can encrypt, and only who has the private key can decrypt; whoever
 * has the public key can verify what only who has the private key can sign.
 *
 * RSA-OAEP takes 318 bytes at most, so a message is encrypted with AES-256-GCM under a random key, and only that key with
 * RSA (hybrid encryption); both travel in one CMS message. Signatures are RSA-PSS with SHA-256 and a salt of 32 bytes.
 * See docs/protocols/rsa.md.
 * @module
 */
import {
  constants,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  sign,
  verify,
} from "node:crypto";
import { concat } from "@std/bytes";
import { AES_KEY_LENGTH, AES_NONCE_LENGTH, openAes, sealAes } from "./aes.ts";
import { encodeText } from "./bytes.ts";
import { decodeEnvelope, encodeEnvelope } from "./cms.ts";
import { DER_TAG, DerReader } from "./der.ts";
import { AuthenticationError, ProtocolError } from "./errors.ts";

/** Bits of a new key's modulus; about 128 bits of strength. */
const KEY_BITS = 3072;
/** Bits of the largest modulus accepted: the runtime reads no larger public key. */
const MAX_KEY_BITS = 4096;
const PUBLIC_EXPONENT = 65537n;
const OAEP = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha256" } as const;
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } as const;

// --- Keys ----------------------------------------------------------------------------------------------------------

/** A public key: of 3072 to 4096 bits, with the exponent 65537. */
export class RsaPublicKey {
  /** For node:crypto. */
  readonly key: KeyObject;
  /** SubjectPublicKeyInfo (RFC 5280 §4.1) in DER: the key's form on the wire. */
  readonly der: Uint8Array;

  /**
   * The key of node:crypto.
   * @throws {ProtocolError} if it is no such key
   */
  constructor(key: KeyObject) {
    checkKey(key);
    this.key = key;
    this.der = new Uint8Array(key.export({ format: "der", type: "spki" }) as unknown as Uint8Array);
  }

  /** The key of SubjectPublicKeyInfo in DER, or in a PEM file. Throws as the constructor does. */
  static parse(encoded: Uint8Array | string): RsaPublicKey {
    if (typeof encoded !== "string") {
      return new RsaPublicKey(parseKey(() => createPublicKey({ key: encoded as never, format: "der", type: "spki" })));
    }
    // createPublicKey makes a public key of a private one as well: nobody should hand that over.
    if (encoded.includes("PRIVATE KEY")) throw new ProtocolError("Cannot use key: it is a private one, not to be told");
    return new RsaPublicKey(parseKey(() => createPublicKey(encoded)));
  }

  /** For a PEM file. */
  toPem(): string {
    return this.key.export({ format: "pem", type: "spki" }) as string;
  }

  /** What people compare: `SHA256:` and the unpadded base64 of the digest of {@linkcode der}. */
  get fingerprint(): string {
    return `SHA256:${createHash("sha256").update(this.der).digest("base64").replace(/=+$/, "")}`;
  }

  /** SHA-1 of the key as a certificate has it (RFC 5280 §4.2.1.2): a name, no protection. */
  get identifier(): Uint8Array {
    const info = new DerReader(this.der).enter(DER_TAG.sequence);
    info.take(DER_TAG.sequence);
    const bits = info.take(DER_TAG.bitString).subarray(1); // after the number of unused bits
    return new Uint8Array(createHash("sha1").update(bits).digest());
  }
}

/** A private key: of 3072 to 4096 bits, with the exponent 65537. */
export class RsaPrivateKey {
  /** For node:crypto. */
  readonly key: KeyObject;
  /** The public key that belongs to it. */
  readonly publicKey: RsaPublicKey;

  private constructor(key: KeyObject) {
    this.key = key;
    this.publicKey = new RsaPublicKey(createPublicKey(key));
  }

  /** A new one. It takes a second or so: make it once, and keep it. */
  static generate(): Promise<RsaPrivateKey> {
    return new Promise((resolve, reject) =>
      generateKeyPair(
        "rsa",
        { modulusLength: KEY_BITS, publicExponent: Number(PUBLIC_EXPONENT) },
        (error, _publicKey, privateKey) => error ? reject(error) : resolve(new RsaPrivateKey(privateKey)),
      )
    );
  }

  /**
   * The key of a PEM file, as `openssl genpkey -algorithm RSA` writes it.
   * @throws {ProtocolError} if it is no such key
   */
  static parse(pem: string): RsaPrivateKey {
    return new RsaPrivateKey(parseKey(() => createPrivateKey(pem)));
  }

  /** For a PEM file (PKCS #8). */
  toPem(): string {
    return this.key.export({ format: "pem", type: "pkcs8" }) as string;
  }
}

function parseKey(parse: () => KeyObject): KeyObject {
  try {
    return parse();
  } catch (cause) {
    throw new ProtocolError(`Cannot read key: it is no RSA key of up to ${MAX_KEY_BITS} bits`, { cause });
  }
}

function checkKey({ asymmetricKeyType, asymmetricKeyDetails = {} }: KeyObject): void {
  const { modulusLength = 0, publicExponent } = asymmetricKeyDetails;
  if (asymmetricKeyType !== "rsa") {
    throw new ProtocolError(`Cannot use key: it is of type ${asymmetricKeyType}, not rsa`);
  }
  if (modulusLength < KEY_BITS || modulusLength > MAX_KEY_BITS || publicExponent !== PUBLIC_EXPONENT) {
    throw new ProtocolError(
      `Cannot use RSA key of ${modulusLength} bits with exponent ${publicExponent}: ` +
        `${KEY_BITS} to ${MAX_KEY_BITS} bits with ${PUBLIC_EXPONENT} are accepted`,
    );
  }
}

// --- Encryption ----------------------------------------------------------------------------------------------------

/** RSA-OAEP with SHA-256 and no label: as many bytes as the modulus has. At most 318 bytes fit a key of 3072 bits. */
export function encryptOaep({ key }: RsaPublicKey, plaintext: Uint8Array): Uint8Array {
  return new Uint8Array(publicEncrypt({ key, ...OAEP }, plaintext));
}

/**
 * The plaintext of {@linkcode encryptOaep}.
 * @throws {AuthenticationError} whatever is wrong: which part it was would be an oracle (RFC 8017 §7.1.2)
 */
export function decryptOaep({ key }: RsaPrivateKey, ciphertext: Uint8Array): Uint8Array {
  try {
    return new Uint8Array(privateDecrypt({ key, ...OAEP }, ciphertext));
  } catch {
    throw undecipherable();
  }
}

/** Encrypts a message of any length for whoever has the private key. It does not tell who has sent it: anyone can. */
export function encryptMessage(publicKey: RsaPublicKey, plaintext: Uint8Array): Uint8Array<ArrayBuffer> {
  const key = crypto.getRandomValues(new Uint8Array(AES_KEY_LENGTH));
  const nonce = crypto.getRandomValues(new Uint8Array(AES_NONCE_LENGTH));
  const sealed = sealAes(plaintext, { key, nonce });
  return encodeEnvelope({ encryptedKey: encryptOaep(publicKey, key), nonce, sealed }, publicKey.identifier);
}

/**
 * The plaintext of {@linkcode encryptMessage}, or nothing at all.
 * @throws {ProtocolError} if it is no such message
 * @throws {AuthenticationError} if it is for another key, or any bit was changed
 */
export function decryptMessage(privateKey: RsaPrivateKey, message: Uint8Array): Uint8Array<ArrayBuffer> {
  const { encryptedKey, nonce, sealed } = decodeEnvelope(message);
  const key = decryptOaep(privateKey, encryptedKey);
  if (key.length !== AES_KEY_LENGTH) throw undecipherable();
  try {
    return openAes(sealed, { key, nonce });
  } catch {
    throw undecipherable();
  }
}

function undecipherable(): AuthenticationError {
  return new AuthenticationError("Cannot decrypt message: it is for another key, or it was changed");
}

// --- Signatures ----------------------------------------------------------------------------------------------------

/** RSA-PSS with SHA-256: as many bytes as the modulus has. */
export function signPss({ key }: RsaPrivateKey, message: Uint8Array): Uint8Array {
  return new Uint8Array(sign("sha256", message, { key, ...PSS }));
}

/** Whether who has the private key has signed the message. */
export function verifyPss({ key }: RsaPublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verify("sha256", message, { key, ...PSS }, signature);
  } catch {
    return false; // it has another length
  }
}

/** A signed reply to an encrypted request. Layout: `signature (as long as the modulus) || reply`. */
export function signReply(privateKey: RsaPrivateKey, request: Uint8Array, reply: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat([signPss(privateKey, signedReply(request, reply)), reply]);
}

/**
 * The reply of {@linkcode signReply}, once it is sure who has signed it and to which request.
 * @throws {AuthenticationError} if the signature is wrong
 */
export function verifyReply(publicKey: RsaPublicKey, request: Uint8Array, signed: Uint8Array): Uint8Array {
  const length = Math.ceil(publicKey.key.asymmetricKeyDetails!.modulusLength! / 8);
  const reply = signed.subarray(length);
  if (verifyPss(publicKey, signedReply(request, reply), signed.subarray(0, length))) return reply;
  throw new AuthenticationError("Cannot verify the server: its signature is wrong");
}

/** What a reply's signature covers: it fits no other request, and nothing else that the key may sign. */
function signedReply(request: Uint8Array, reply: Uint8Array): Uint8Array {
  const digest = new Uint8Array(createHash("sha256").update(request).digest());
  return concat([encodeText("netlab rsa/1 reply\0"), digest, reply]);
}

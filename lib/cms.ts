/**
 * The Cryptographic Message Syntax, as far as one message for one recipient needs it: AuthEnvelopedData (RFC 5083) with a
 * key under RSA-OAEP (RFC 3560) and contents under AES-256-GCM (RFC 5084), in DER. `openssl cms` reads and writes the same:
 * docs/protocols/rsa.md shows how.
 * @module
 */
import { concat, equals } from "@std/bytes";
import { AES_NONCE_LENGTH, AES_TAG_LENGTH } from "./aes.ts";
import { DER_TAG, DerReader, encodeDer } from "./der.ts";
import { ProtocolError } from "./errors.ts";

/** A message for one recipient, in its parts. */
export interface CmsEnvelope {
  /** The content key, encrypted with the recipient's public key. */
  readonly encryptedKey: Uint8Array;
  /** 12 bytes. */
  readonly nonce: Uint8Array;
  /** `ciphertext || tag (16 bytes)`. */
  readonly sealed: Uint8Array;
}

const { integer, octetString, oid, sequence, set } = DER_TAG;
/** Context-specific tags: `[0]` with values in it, and in place of the tag of an octet string. */
const IN_CONTEXT_0 = 0xa0;
const AS_CONTEXT_0 = 0x80;

const identifier = (hex: string) => encodeDer(oid, Uint8Array.fromHex(hex));
const number = (value: number) => encodeDer(integer, Uint8Array.of(value));
const AUTH_ENVELOPED_DATA = identifier("2a864886f70d0109100117"); // 1.2.840.113549.1.9.16.1.23
const DATA = identifier("2a864886f70d010701"); // 1.2.840.113549.1.7.1
const AES_256_GCM = identifier("60864801650304012e"); // 2.16.840.1.101.3.4.1.46

/** RSA-OAEP with SHA-256 in both places and an empty label (RFC 4055 §4.1). Some write a NULL after the hash's name. */
const [RSA_OAEP, RSA_OAEP_WITH_NULL] = [[], [Uint8Array.of(5, 0)]].map((parameters) => {
  const sha256 = encodeDer(sequence, identifier("608648016503040201"), ...parameters); // 2.16.840.1.101.3.4.2.1
  const mgf1 = encodeDer(sequence, identifier("2a864886f70d010108"), sha256); // 1.2.840.113549.1.1.8
  const choices = encodeDer(sequence, encodeDer(IN_CONTEXT_0, sha256), encodeDer(IN_CONTEXT_0 + 1, mgf1));
  return encodeDer(sequence, identifier("2a864886f70d010107"), choices); // 1.2.840.113549.1.1.7
}) as [Uint8Array, Uint8Array];

/** The message as one DER value; `keyIdentifier` tells which public key it is for. */
export function encodeEnvelope(
  { encryptedKey, nonce, sealed }: CmsEnvelope,
  keyIdentifier: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const recipient = encodeDer(
    sequence,
    number(2),
    encodeDer(AS_CONTEXT_0, keyIdentifier),
    RSA_OAEP,
    encodeDer(octetString, encryptedKey),
  );
  const parameters = encodeDer(sequence, encodeDer(octetString, nonce), number(AES_TAG_LENGTH));
  const contents = encodeDer(
    sequence,
    DATA,
    encodeDer(sequence, AES_256_GCM, parameters),
    encodeDer(AS_CONTEXT_0, sealed.subarray(0, -AES_TAG_LENGTH)),
  );
  const tag = encodeDer(octetString, sealed.subarray(-AES_TAG_LENGTH));
  const envelope = encodeDer(sequence, number(0), encodeDer(set, recipient), contents, tag);
  return encodeDer(sequence, AUTH_ENVELOPED_DATA, encodeDer(IN_CONTEXT_0, envelope));
}

/**
 * The parts of a message.
 * @throws {ProtocolError} if it is none, for several recipients, or made with other algorithms
 */
export function decodeEnvelope(message: Uint8Array): CmsEnvelope {
  const whole = new DerReader(message);
  const outer = whole.enter(sequence);
  whole.end();
  expect(outer.takeWhole(oid), "the kind of message", AUTH_ENVELOPED_DATA);
  const box = outer.enter(IN_CONTEXT_0);
  outer.end();
  const envelope = box.enter(sequence);
  box.end();
  expect(envelope.takeWhole(integer), "the version", number(0));
  const encryptedKey = readRecipient(envelope.enter(set));
  const contents = envelope.enter(sequence);
  const tag = envelope.take(octetString);
  envelope.end();
  expect(contents.takeWhole(oid), "the kind of contents", DATA);
  const cipher = contents.enter(sequence);
  const ciphertext = contents.take(AS_CONTEXT_0);
  contents.end();
  expect(cipher.takeWhole(oid), "the cipher", AES_256_GCM);
  const parameters = cipher.enter(sequence);
  cipher.end();
  const nonce = parameters.take(octetString);
  expect(parameters.takeWhole(integer), "the tag's length", number(AES_TAG_LENGTH));
  parameters.end();
  if (nonce.length !== AES_NONCE_LENGTH || tag.length !== AES_TAG_LENGTH) {
    throw new ProtocolError("Cannot read message: nonce or tag is not as long as it should be");
  }
  return { encryptedKey, nonce, sealed: concat([ciphertext, tag]) };
}

/** The encrypted content key for the one recipient, who is named by a key identifier or by a certificate. */
function readRecipient(recipients: DerReader): Uint8Array {
  const recipient = recipients.enter(sequence);
  if (!recipients.done) { // each would cost an RSA decryption
    throw new ProtocolError("Cannot read message: it is for several recipients, one is what is supported");
  }
  const version = recipient.takeWhole(integer);
  expect(version, "the recipient's version", number(0), number(2));
  recipient.take(equals(version, number(2)) ? AS_CONTEXT_0 : sequence);
  expect(recipient.takeWhole(sequence), "the key's algorithm", RSA_OAEP, RSA_OAEP_WITH_NULL);
  const encryptedKey = recipient.take(octetString);
  recipient.end();
  return encryptedKey;
}

function expect(value: Uint8Array, what: string, ...expected: readonly Uint8Array[]): void {
  if (expected.some((one) => equals(value, one))) return;
  throw new ProtocolError(`Cannot read message: ${what} is one that is not supported`);
}

/**
 * Diffie-Hellman key exchange, the exercise: two ends that share no key agree on one before everybody's eyes. That alone
 * does not tell whom one has agreed with; hence three modes: `anonymous` (nobody is verified), `psk` (both show that they
 * know a secret of 32 bytes), `sign` (both sign with Ed25519 keys that the other end trusts).
 *
 * Each message has its length (2 bytes, big-endian) in front:
 * `C -> S: hello: "netlab diffie_hellman/1" || group (2) || mode (1) || nonce_c (32) || Y_c`,
 * `S -> C: nonce_s (32) || Y_s || sealed proof_s`, `C -> S: sealed proof_c`, where
 * `proof = identity (32, mode sign) || signature (64, mode sign) || HMAC (32)`. It is the shape of SIGMA and TLS 1.3.
 *
 * A composition of standard parts for study. The secure channel is the one to rely on. See docs/protocols/diffie_hellman.md.
 * @module
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { concat, equals } from "@std/bytes";
import { AES_KEY_LENGTH, AES_NONCE_LENGTH, AES_TAG_LENGTH, AesMessages, openAes, sealAes } from "./aes.ts";
import { encodeText, readUint, writeUint } from "./bytes.ts";
import type { Conversation } from "./conversation.ts";
import { DH_GROUPS, type DhGroup, type GroupName, type RandomSource, systemRandom } from "./dh_groups.ts";
import { ED25519_KEY_LENGTH, ED25519_SIGNATURE_LENGTH, type Ed25519Identity, verifyEd25519 } from "./ed25519.ts";
import { AuthenticationError, FrameTooLargeError, ProtocolError } from "./errors.ts";
import { encodeFrame } from "./framing.ts";
import { hkdfExpand, hkdfExtract } from "./hkdf.ts";
import type { Role } from "./hmac_auth.ts";

const NAME = "netlab diffie_hellman/1";
const NONCE_LENGTH = 32;
const MAC_LENGTH = 32;
/** Bytes of a pre-shared key. */
const PSK_LENGTH = 32;
/** Bytes of the fingerprint: too many for someone in between to find a key that has the same. */
const FINGERPRINT_LENGTH = 16;
/** The longest message, in bytes; what announces more is refused before it is read. */
const MAX_MESSAGE = 1024;

/** Whether and how each end verifies the other; both must have the same. */
export type DhMode = "anonymous" | "psk" | "sign";
const MODES: readonly DhMode[] = ["anonymous", "psk", "sign"]; // by their number in a message

/** A mode with what it needs. */
export type Authentication =
  | { readonly mode: "anonymous" }
  | {
    readonly mode: "psk";
    /** 32 random bytes. A password is no such key: its guesses can be tested on what one recorded or provoked. */
    readonly psk: Uint8Array;
  }
  | {
    readonly mode: "sign";
    readonly identity: Ed25519Identity;
    /** Whether the peer's public key (32 bytes) is one that is pinned. */
    readonly trusts: (publicKey: Uint8Array) => boolean;
  };

/** What an end brings into an exchange. */
export interface AgreeOptions {
  /** Must be of the same mode on both ends. */
  readonly authentication: Authentication;
  /** Where nonces and private keys come from. */
  readonly random?: RandomSource;
}

/** What both ends have at the end, and nobody else. */
export interface DhSession {
  /** The one that the client chose. */
  readonly group: GroupName;
  /** The same on both ends, unless someone in between has agreed with each of them: 16 bytes in hex. */
  readonly fingerprint: string;
  /** The messages to send. */
  readonly send: AesMessages;
  /** The messages that come. */
  readonly receive: AesMessages;
}

/** The client's first message. */
export interface DhHello {
  /** The group that it chooses. */
  readonly group: DhGroup;
  /** The mode that it wants. */
  readonly mode: DhMode;
  /** Its public value, unchecked. */
  readonly peerValue: Uint8Array;
  /** All of it, for the transcript. */
  readonly bytes: Uint8Array;
}

/**
 * The client's side. It verifies the server before it says who it is.
 *
 * ```ts
 * const exchange = agreeAsClient({ group: "x25519", authentication: { mode: "anonymous" } });
 * const step = exchange.next(new Uint8Array()).value; // { send: the hello }
 * ```
 * @throws {AuthenticationError} if the server cannot prove who it is
 * @throws {ProtocolError} if it says anything else than the protocol wants
 */
export function* agreeAsClient(
  { group: name, authentication, random = systemRandom }: AgreeOptions & { readonly group: GroupName },
): Conversation<DhSession> {
  const group = DH_GROUPS[name];
  const keys = group.generate(random);
  const head = new Uint8Array(3);
  writeUint(head, group.id, { width: 2 });
  head[2] = MODES.indexOf(authentication.mode);
  const hello = concat([encodeText(NAME), head, random(NONCE_LENGTH), keys.publicValue]);
  yield sendMessage(hello);
  const openLength = NONCE_LENGTH + group.length;
  const answer = yield* readMessage("answer", openLength + proofLength(authentication.mode));
  const open = answer.subarray(0, openLength);
  const schedule = new KeySchedule(authentication, keys.agree(open.slice(NONCE_LENGTH)), [hello, open]);
  schedule.verify("server", answer.subarray(openLength));
  yield sendMessage(schedule.prove("client"));
  return schedule.finish("client", name);
}

/**
 * The server's side; the client chooses the group.
 * @throws {AuthenticationError} if the client cannot prove who it is
 * @throws {ProtocolError} if it says anything else than the protocol wants
 */
export function* agreeAsServer(options: AgreeOptions): Conversation<DhSession> {
  return yield* answerHello(yield* readHello(), options);
}

/**
 * The first half of {@linkcode agreeAsServer}: what the client wants.
 * @throws {ProtocolError} if it is no hello
 */
export function* readHello(): Conversation<DhHello> {
  const bytes = yield* readMessage("hello");
  const name = encodeText(NAME);
  const [id, mode] = [readUint(bytes.subarray(name.length, name.length + 2)), MODES[bytes[name.length + 2] ?? -1]];
  const group = Object.values(DH_GROUPS).find((group) => group.id === id);
  if (!equals(bytes.subarray(0, name.length), name) || group === undefined || mode === undefined) {
    throw new ProtocolError(`Cannot read hello: it is not one of ${NAME}, or of an unknown group or mode`);
  }
  const peerValue = bytes.slice(name.length + 3 + NONCE_LENGTH);
  return { group, mode, peerValue, bytes };
}

/** The second half of {@linkcode agreeAsServer}. Throws as it does. */
export function* answerHello(
  { group, mode, peerValue, bytes: hello }: DhHello,
  { authentication, random = systemRandom }: AgreeOptions,
): Conversation<DhSession> {
  if (mode !== authentication.mode) {
    throw new ProtocolError(`Cannot agree on a key: the client wants mode ${mode}, here it is ${authentication.mode}`);
  }
  const keys = group.generate(random);
  const secret = keys.agree(peerValue);
  const open = concat([random(NONCE_LENGTH), keys.publicValue]);
  const schedule = new KeySchedule(authentication, secret, [hello, open]);
  yield sendMessage(concat([open, schedule.prove("server")]));
  schedule.verify("client", yield* readMessage("proof", proofLength(mode)));
  return schedule.finish("server", group.name);
}

/**
 * The keys that follow from the shared secret and from all that was said, T, a list of byte strings with their lengths
 * before them: whoever has heard anything else has other keys.
 */
class KeySchedule {
  readonly #authentication: Authentication;
  readonly #secret: Uint8Array;
  readonly #transcript: Uint8Array[] = [];

  constructor(authentication: Authentication, shared: Uint8Array, transcript: readonly Uint8Array[]) {
    this.#authentication = authentication;
    const psk = authentication.mode === "psk" ? authentication.psk : new Uint8Array(PSK_LENGTH);
    if (psk.length !== PSK_LENGTH) {
      throw new TypeError(`Cannot agree on a key: a pre-shared key has ${PSK_LENGTH} bytes`);
    }
    this.#secret = hkdfExtract(hkdfExtract(new Uint8Array(MAC_LENGTH), psk), shared);
    for (const bytes of transcript) this.#add(bytes);
  }

  /** Our proof, sealed. */
  prove(role: Role): Uint8Array {
    const { key, macKey } = this.#proofKeys(role);
    const proof: Uint8Array[] = [];
    const say = (bytes: Uint8Array) => {
      proof.push(bytes);
      this.#add(bytes);
    };
    if (this.#authentication.mode === "sign") {
      const { identity } = this.#authentication;
      say(identity.publicKey);
      say(identity.sign(this.#signedBy(role)));
    }
    say(this.#mac(macKey));
    return sealAes(concat(proof), { key, nonce: FIRST_NONCE });
  }

  /** Verifies the peer's sealed proof. */
  verify(role: Role, sealed: Uint8Array): void {
    const refuse = (why: string, cause?: unknown) =>
      new AuthenticationError(`Cannot verify the ${role}: ${why}`, { cause });
    const { key, macKey } = this.#proofKeys(role);
    let proof: Uint8Array;
    try {
      proof = openAes(sealed, { key, nonce: FIRST_NONCE });
    } catch (cause) {
      throw refuse("it has another secret, or someone in between has changed a message", cause);
    }
    const take = (length: number) => {
      const taken = proof.subarray(0, length);
      proof = proof.subarray(length);
      return taken;
    };
    if (this.#authentication.mode === "sign") {
      const publicKey = take(ED25519_KEY_LENGTH);
      this.#add(publicKey);
      const signed = this.#signedBy(role);
      const signature = take(ED25519_SIGNATURE_LENGTH);
      if (!this.#authentication.trusts(publicKey.slice())) throw refuse("its key is not the one that is pinned");
      if (!verifyEd25519(publicKey, signed, signature)) throw refuse("its signature is wrong");
      this.#add(signature);
    }
    const mac = take(MAC_LENGTH);
    if (!timingSafeEqual(mac, this.#mac(macKey))) throw refuse("its MAC is wrong");
    this.#add(mac);
  }

  /** The keys for what follows: over all that was said, both proofs included. */
  finish(role: Role, group: GroupName): DhSession {
    const messages = (from: Role) => new AesMessages(this.#derive(`${from} messages`, AES_KEY_LENGTH));
    return {
      group,
      fingerprint: this.#derive("fingerprint", FINGERPRINT_LENGTH).toHex(),
      send: messages(role),
      receive: messages(role === "client" ? "server" : "client"),
    };
  }

  #proofKeys(role: Role): { readonly key: Uint8Array; readonly macKey: Uint8Array } {
    return { key: this.#derive(`${role} proof`, AES_KEY_LENGTH), macKey: this.#derive(`${role} mac`, MAC_LENGTH) };
  }

  #derive(purpose: string, length: number): Uint8Array {
    return hkdfExpand(this.#secret, concat([encodeText(`${NAME} ${purpose}\0`), this.#hash()]), length);
  }

  /** What a signature is made over: a text that no other protocol signs, then T with the identity (RFC 8446 §4.4.3). */
  #signedBy(role: Role): Uint8Array {
    return concat([encodeText(`${" ".repeat(64)}${NAME} ${role}\0`), this.#hash()]);
  }

  #mac(key: Uint8Array): Uint8Array {
    return new Uint8Array(createHmac("sha256", key).update(this.#hash()).digest());
  }

  #hash(): Uint8Array {
    const hash = createHash("sha256");
    for (const bytes of this.#transcript) hash.update(bytes);
    return new Uint8Array(hash.digest());
  }

  #add(bytes: Uint8Array): void {
    this.#transcript.push(withLength(bytes));
  }
}

/** A proof key seals one proof. */
const FIRST_NONCE = new Uint8Array(AES_NONCE_LENGTH);

function proofLength(mode: DhMode): number {
  return (mode === "sign" ? ED25519_KEY_LENGTH + ED25519_SIGNATURE_LENGTH : 0) + MAC_LENGTH + AES_TAG_LENGTH;
}

function withLength(bytes: Uint8Array): Uint8Array {
  return encodeFrame(bytes, { width: 2 });
}

function sendMessage(bytes: Uint8Array): { readonly send: Uint8Array } {
  return { send: withLength(bytes) };
}

/** Reads a message, of exactly `length` bytes where that is known. */
function* readMessage(what: string, length?: number): Conversation<Uint8Array> {
  const announced = readUint(yield { need: 2 });
  if (announced > MAX_MESSAGE) {
    throw new FrameTooLargeError(`Cannot accept ${what} of ${announced} bytes: limit is ${MAX_MESSAGE} bytes`);
  }
  if (length !== undefined && announced !== length) {
    throw new ProtocolError(`Cannot accept ${what} of ${announced} bytes: it has ${length}`);
  }
  return yield { need: announced };
}

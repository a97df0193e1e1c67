/**
 * The Noise Protocol Framework, revision 34 (https://noiseprotocol.org/noise.html): any handshake of its pattern table, with
 * X25519. The whole machine is one table of patterns and one loop over their tokens.
 * @module
 */
import { concat } from "@std/bytes";
import { encodeText } from "./bytes.ts";
import { AuthenticationError, ProtocolError } from "./errors.ts";
import { type Aead, type Hash, makeAead, makeHash, x25519, type X25519KeyPair } from "./noise_primitives.ts";
import { type CipherSuite, KEY_LENGTH, TAG_LENGTH } from "./record_cipher.ts";

/** The longest message, in bytes (§3). */
const MAX_MESSAGE = 65535;
/** Bytes of a public key. */
const DH_LENGTH = 32;
const NOTHING = new Uint8Array();

/** What a message holds or mixes in (§7.1): a public key, the secret of two keys, a pre-shared key. */
export type Token = "e" | "s" | "ee" | "es" | "se" | "ss" | "psk";

/** The messages of each pattern, initiator first: the one-way (§7.4), fundamental (§7.5) and deferred (§18.1) patterns. */
const PATTERNS: Record<string, string> = {
  N: "e es",
  K: "e es ss",
  X: "e es s ss",
  NN: "e, e ee",
  NK: "e es, e ee",
  NX: "e, e ee s es",
  KN: "e, e ee se",
  KK: "e es ss, e ee se",
  KX: "e, e ee se s es",
  XN: "e, e ee, s se",
  XK: "e es, e ee, s se",
  XX: "e, e ee s es, s se",
  IN: "e s, e ee se",
  IK: "e es s ss, e ee se",
  IX: "e s, e ee se s es",
  NK1: "e, e ee es",
  NX1: "e, e ee s, es",
  X1N: "e, e ee, s, se",
  X1K: "e es, e ee, s, se",
  XK1: "e, e ee es, s se",
  X1K1: "e, e ee es, s, se",
  X1X: "e, e ee s es, s, se",
  XX1: "e, e ee s, es s se",
  X1X1: "e, e ee s, es s, se",
  K1N: "e, e ee, se",
  K1K: "e es, e ee, se",
  KK1: "e, e ee se es",
  K1K1: "e, e ee es, se",
  K1X: "e, e ee s es, se",
  KX1: "e, e ee se s, es",
  K1X1: "e, e ee s, se es",
  I1N: "e s, e ee, se",
  I1K: "e es s, e ee, se",
  IK1: "e s, e ee se es",
  I1K1: "e s, e ee es, se",
  I1X: "e s, e ee s es, se",
  IX1: "e s, e ee se s, es",
  I1X1: "e s, e ee s, se es",
};

/** What a protocol name says. */
export interface NoiseProtocol {
  /** The tokens of each message. */
  readonly messages: readonly (readonly Token[])[];
  /** Whether the responder knows the initiator's static key beforehand, and the initiator the responder's. */
  readonly known: { readonly initiator: boolean; readonly responder: boolean };
  /** The cipher's name (§12). */
  readonly cipher: CipherSuite;
  /** The hash's name. */
  readonly hash: string;
}

/**
 * Reads a protocol name (§8): `Noise_PATTERN_25519_CIPHER_HASH` with the pattern's name and its `psk` modifiers (§9).
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(parseProtocol("Noise_NNpsk0_25519_AESGCM_SHA256").messages, [["psk", "e"], ["e", "ee"]]);
 * ```
 * @throws {RangeError} if it is none that is known here
 */
export function parseProtocol(name: string): NoiseProtocol {
  const [, base = "", modifiers = "", cipher, hash] =
    /^Noise_([A-Z0-9]+)((?:psk\d(?:\+psk\d)*)?)_25519_(AESGCM|ChaChaPoly)_(SHA256|SHA512|BLAKE2s|BLAKE2b)$/.exec(
      name,
    ) ??
      [];
  const pattern = Object.hasOwn(PATTERNS, base) ? PATTERNS[base] : undefined;
  if (pattern === undefined) throw new RangeError(`Cannot use protocol ${JSON.stringify(name)}: it is not known`);
  const messages = pattern.split(", ").map((message) => message.split(" ") as Token[]);
  for (const [, digit] of modifiers.matchAll(/psk(\d)/g)) {
    const place = Number(digit);
    if (place > messages.length) throw new RangeError(`Cannot use protocol ${name}: it has no message ${place}`);
    if (place === 0) messages[0]!.unshift("psk");
    else messages[place - 1]!.push("psk");
  }
  const oneWay = messages.length === 1;
  const known = { initiator: base.startsWith("K"), responder: oneWay || /^.1?K/.test(base) };
  return { messages, known, cipher: cipher as CipherSuite, hash: hash! };
}

/** The cipher that a handshake has agreed on so far: none, or a key and the count of its uses (§5.1). */
class CipherState {
  readonly #aead: Aead;
  #key: Uint8Array | undefined;
  #counter = 0;

  constructor(cipher: CipherSuite) {
    this.#aead = makeAead(cipher);
  }

  get hasKey(): boolean {
    return this.#key !== undefined;
  }

  initialize(key: Uint8Array): void {
    this.#key?.fill(0);
    this.#key = key;
    this.#counter = 0;
  }

  encrypt(associatedData: Uint8Array, plaintext: Uint8Array): Uint8Array {
    return this.#key === undefined ? plaintext : this.#aead.seal(this.#key, this.#counter++, associatedData, plaintext);
  }

  decrypt(associatedData: Uint8Array, sealed: Uint8Array): Uint8Array {
    return this.#key === undefined ? sealed : this.#aead.open(this.#key, this.#counter++, associatedData, sealed);
  }

  clear(): void {
    this.#key?.fill(0);
    this.#key = undefined;
  }
}

/** What a handshake has said and agreed on so far (§5.2): the hash `h` of the first, the chaining key `ck` of the second. */
class SymmetricState {
  readonly cipher: CipherState;
  readonly #hash: Hash;
  #chainingKey: Uint8Array;
  /** The hash of everything said. */
  h: Uint8Array;

  constructor(name: string, { cipher, hash }: NoiseProtocol) {
    this.cipher = new CipherState(cipher);
    this.#hash = makeHash(hash);
    const bytes = encodeText(name);
    this.h = new Uint8Array(this.#hash.length);
    if (bytes.length > this.h.length) this.h = this.#hash.digest(bytes);
    else this.h.set(bytes);
    this.#chainingKey = this.h;
  }

  mixHash(bytes: Uint8Array): void {
    this.h = this.#hash.digest(concat([this.h, bytes]));
  }

  mixKey(material: Uint8Array): void {
    const [chainingKey, key] = this.#hash.hkdf(this.#chainingKey, material, 2);
    this.#chainingKey = chainingKey!;
    this.cipher.initialize(key!.slice(0, KEY_LENGTH));
  }

  mixKeyAndHash(material: Uint8Array): void {
    const [chainingKey, hash, key] = this.#hash.hkdf(this.#chainingKey, material, 3);
    this.#chainingKey = chainingKey!;
    this.mixHash(hash!);
    this.cipher.initialize(key!.slice(0, KEY_LENGTH));
  }

  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const sealed = this.cipher.encrypt(this.h, plaintext);
    this.mixHash(sealed);
    return sealed;
  }

  decryptAndHash(sealed: Uint8Array): Uint8Array {
    const plaintext = this.cipher.decrypt(this.h, sealed);
    this.mixHash(sealed);
    return plaintext;
  }

  /** The keys of the two directions, the initiator's first. */
  split(): [Uint8Array, Uint8Array] {
    const [first, second] = this.#hash.hkdf(this.#chainingKey, NOTHING, 2);
    this.#chainingKey.fill(0);
    this.cipher.clear();
    return [first!.slice(0, KEY_LENGTH), second!.slice(0, KEY_LENGTH)];
  }
}

/** Whether a side begins the handshake or answers. */
export type NoiseRole = "initiator" | "responder";

/** What a side brings to a handshake. */
export interface HandshakeOptions {
  /** `Noise_XX_25519_AESGCM_SHA256`. */
  readonly protocol: string;
  /** Which side we are. */
  readonly role: NoiseRole;
  /** What both sides must have seen alike before; empty by default. */
  readonly prologue?: Uint8Array;
  /** Our static key, where the pattern has one. */
  readonly staticKey?: X25519KeyPair | undefined;
  /** The peer's static key, where the pattern has it known beforehand. */
  readonly remoteStatic?: Uint8Array | undefined;
  /** The pre-shared keys in the order of the pattern, each 32 random bytes: no password (§9). */
  readonly psks?: readonly Uint8Array[];
}

/** The keys of the messages that follow a handshake. */
export interface SplitKeys {
  /** What we send with: 32 bytes; empty if a one-way pattern has no such direction. */
  readonly send: Uint8Array;
  /** What the peer sends with: the same. */
  readonly receive: Uint8Array;
}

/**
 * One side of a handshake: it writes and reads messages in turn until it is {@linkcode complete}, and then hands over the
 * keys. A fresh ephemeral key is made inside. After any error it is of no use.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const protocol = "Noise_NN_25519_ChaChaPoly_SHA256";
 * const alice = new Handshake({ protocol, role: "initiator" });
 * const bob = new Handshake({ protocol, role: "responder" });
 * bob.read(alice.write());
 * alice.read(bob.write());
 * assertEquals(alice.split().send, bob.split().receive);
 * ```
 */
export class Handshake {
  readonly #protocol: NoiseProtocol;
  readonly #role: NoiseRole;
  readonly #symmetric: SymmetricState;
  readonly #staticKey: X25519KeyPair | undefined;
  readonly #psks: Uint8Array[];
  #ephemeral: X25519KeyPair | undefined;
  #remoteStatic: Uint8Array | undefined;
  #remoteEphemeral: Uint8Array | undefined;
  #turn = 0; // index of the next message
  #pskTurn = 0; // index of the next pre-shared key
  #failed = false;

  /**
   * Begins with the prologue and the keys that are known beforehand (§5.3, Initialize).
   * @throws {RangeError} if the protocol is not known, or a key has not 32 bytes
   * @throws {TypeError} if a key that the pattern needs is missing, or one is given that it has no place for
   */
  constructor({ protocol, role, prologue = NOTHING, staticKey, remoteStatic, psks = [] }: HandshakeOptions) {
    this.#protocol = parseProtocol(protocol);
    this.#role = role;
    this.#staticKey = staticKey;
    this.#remoteStatic = remoteStatic;
    this.#psks = [...psks];
    this.#checkKeys(protocol);
    this.#symmetric = new SymmetricState(protocol, this.#protocol);
    this.#symmetric.mixHash(prologue);
    for (const owner of ["initiator", "responder"] as const) {
      if (!this.#protocol.known[owner]) continue;
      this.#symmetric.mixHash(owner === role ? staticKey!.publicKey : remoteStatic!);
    }
  }

  /** Whether the last message has been written or read. */
  get complete(): boolean {
    return this.#turn === this.#protocol.messages.length;
  }

  /** Whether the next message is ours to write. */
  get writes(): boolean {
    return !this.complete && (this.#turn % 2 === 0) === (this.#role === "initiator");
  }

  /** The peer's static key, as soon as it is known; who it is has been proved by the end of the handshake. */
  get remoteStatic(): Uint8Array | undefined {
    return this.#remoteStatic;
  }

  /** The hash of the whole handshake, the same on both sides and of no other session: a channel binding (§11.2). */
  get hash(): Uint8Array {
    return this.#symmetric.h;
  }

  /** The next message, with a payload. */
  write(payload: Uint8Array = NOTHING): Uint8Array {
    if (!this.writes) throw new TypeError("Cannot write a handshake message: it is not our turn");
    return this.#step((tokens) => {
      const parts = tokens.map((token) => this.#writeToken(token));
      return concat([...parts, this.#symmetric.encryptAndHash(payload)]);
    });
  }

  /**
   * The payload of the next message.
   * @throws {AuthenticationError} if it was not made with the keys that it should be
   * @throws {ProtocolError} if it has a wrong length
   */
  read(message: Uint8Array): Uint8Array {
    if (this.complete || this.writes) throw new TypeError("Cannot read a handshake message: it is not the peer's turn");
    return this.#step((tokens) => {
      if (message.length > MAX_MESSAGE) {
        throw new ProtocolError(`Cannot read a handshake message of ${message.length} bytes: limit is ${MAX_MESSAGE}`);
      }
      const rest = tokens.reduce((rest, token) => this.#readToken(token, rest), message);
      return this.#symmetric.decryptAndHash(rest);
    });
  }

  /**
   * The keys that follow; to be taken once. Whoever takes them overwrites them after use.
   * @throws {TypeError} before the handshake is complete
   */
  split(): SplitKeys {
    if (!this.complete) throw new TypeError("Cannot split: the handshake is not complete");
    const [first, second] = this.#step(() => this.#symmetric.split());
    this.#failed = true; // once
    const back = this.#protocol.messages.length === 1 ? NOTHING : second;
    return this.#role === "initiator" ? { send: first, receive: back } : { send: back, receive: first };
  }

  /** A new ephemeral key. Tests with published vectors override it; nothing else may. */
  protected generateEphemeral(): X25519KeyPair {
    return x25519.generate();
  }

  #step<Result>(run: (tokens: readonly Token[]) => Result): Result {
    if (this.#failed) throw new TypeError("Cannot go on: the handshake has ended");
    this.#failed = true;
    const result = run(this.#protocol.messages[this.#turn] ?? []);
    this.#failed = false;
    if (!this.complete) this.#turn++;
    return result;
  }

  #writeToken(token: Token): Uint8Array {
    if (token === "e") {
      this.#ephemeral = this.generateEphemeral();
      this.#mixEphemeral(this.#ephemeral.publicKey);
      return this.#ephemeral.publicKey;
    }
    if (token === "s") return this.#symmetric.encryptAndHash(this.#staticKey!.publicKey);
    this.#mixSecret(token);
    return NOTHING;
  }

  #readToken(token: Token, message: Uint8Array): Uint8Array {
    if (token !== "e" && token !== "s") {
      this.#mixSecret(token);
      return message;
    }
    const length = DH_LENGTH + (token === "s" && this.#symmetric.cipher.hasKey ? TAG_LENGTH : 0);
    if (message.length < length) throw new ProtocolError("Cannot read a handshake message: it is too short");
    const part = message.slice(0, length);
    if (token === "e") {
      this.#remoteEphemeral = part;
      this.#mixEphemeral(part);
    } else {
      this.#remoteStatic = this.#symmetric.decryptAndHash(part);
    }
    return message.subarray(length);
  }

  #mixEphemeral(key: Uint8Array): void {
    this.#symmetric.mixHash(key);
    if (this.#psks.length > 0) this.#symmetric.mixKey(key); // §9.2
  }

  /** Mixes in the pre-shared key, or the secret of one key of each side; the first letter is the initiator's. */
  #mixSecret(token: Exclude<Token, "e" | "s">): void {
    if (token === "psk") return this.#symmetric.mixKeyAndHash(this.#psks[this.#pskTurn++]!);
    const initiates = this.#role === "initiator";
    const ours = token[initiates ? 0 : 1] === "e" ? this.#ephemeral! : this.#staticKey!;
    const theirs = token[initiates ? 1 : 0] === "e" ? this.#remoteEphemeral! : this.#remoteStatic!;
    const secret = x25519.sharedSecret(ours, theirs);
    if (secret === undefined) throw new AuthenticationError("Cannot agree on a key: the peer's public key is void");
    this.#symmetric.mixKey(secret);
    secret.fill(0);
  }

  #checkKeys(name: string): void {
    const { messages, known } = this.#protocol;
    const other = this.#role === "initiator" ? "responder" : "initiator";
    const sent = messages.some((tokens, i) => tokens.includes("s") && (i % 2 === 0) === (this.#role === "initiator"));
    if ((sent || known[this.#role]) && this.#staticKey === undefined) {
      throw new TypeError(`Cannot use ${name}: our static key is missing`);
    }
    if (known[other] !== (this.#remoteStatic !== undefined)) {
      throw new TypeError(`Cannot use ${name}: the peer's static key is ${known[other] ? "missing" : "not known yet"}`);
    }
    const wanted = messages.flat().filter((token) => token === "psk").length;
    if (this.#psks.length !== wanted) {
      throw new TypeError(`Cannot use ${name}: it takes ${wanted} pre-shared keys, not ${this.#psks.length}`);
    }
    for (const key of [...this.#psks, ...(this.#remoteStatic === undefined ? [] : [this.#remoteStatic])]) {
      if (key.length !== KEY_LENGTH) {
        throw new RangeError(`Cannot use a key of ${key.length} bytes: it has ${KEY_LENGTH}`);
      }
    }
  }
}

/**
 * The key that follows `key` (§4.2, Rekey): the first 32 bytes of the encryption of 32 zero bytes under the nonce 2^64 - 1.
 *
 * ```ts
 * import { assertNotEquals } from "@std/assert";
 * assertNotEquals(nextKey("AESGCM", new Uint8Array(32)), new Uint8Array(32));
 * ```
 */
export function nextKey(cipher: CipherSuite, key: Uint8Array): Uint8Array {
  const sealed = makeAead(cipher).seal(key, 2n ** 64n - 1n, NOTHING, new Uint8Array(KEY_LENGTH));
  return sealed.slice(0, KEY_LENGTH);
}

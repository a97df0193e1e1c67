/**
 * How a secure channel begins: a preamble that names the protocol, a handshake of the Noise Protocol Framework, and a record
 * that confirms it.
 *
 * ```text
 * preamble:           "NPS1" || length (u8) || protocol name         in the clear
 * prologue:           preamble || length (u8) || application         never sent: both sides hash it
 * handshake message:  length (u16) || message, at most 1024 bytes
 * confirmation:       an empty record, number 0, from the side that read the last handshake message
 * ```
 *
 * With XX, XK and XXpsk3 the responder confirms, so that the initiator learns whether it is let in; with IK, NK and NNpsk0 the
 * initiator does, so that the responder acts on no replayed message. Then records follow: {@link ./secure_records.ts}.
 * See docs/protocols/secure_channel.md.
 * @module
 */
import { concat, equals } from "@std/bytes";
import { decodeText, encodeText, readUint, writeUint } from "./bytes.ts";
import type { Step } from "./conversation.ts";
import { ProtocolError } from "./errors.ts";
import { Handshake, type NoiseRole, parseProtocol } from "./noise.ts";
import { makeAead, type X25519KeyPair } from "./noise_primitives.ts";
import { type DirectionKey, EMPTY_RECORD, EMPTY_RECORD_LENGTH } from "./secure_records.ts";

/** The patterns that a channel may use (Noise, §7.5 and §9): who knows whom beforehand. */
export const CHANNEL_PATTERNS = ["XX", "XK", "IK", "NK", "XXpsk3", "NNpsk0"] as const;
/** The longest handshake message, in bytes: none of ours has more than 96. */
export const MAX_HANDSHAKE_MESSAGE = 1024;

const MAGIC = encodeText("NPS1");
const MESSAGE_LENGTH_WIDTH = 2;
const NOTHING = new Uint8Array();

/** A step of a handshake: as in a conversation, or the question whether to trust the peer, whose static key this is. */
export type ChannelStep = Step | { readonly trust: Uint8Array };

/**
 * A handshake as a value. It is given an empty array after a `send`, and after a `trust` if the peer is trusted; if not, it is
 * not continued.
 */
export type ChannelHandshake = Generator<ChannelStep, ChannelKeys, Uint8Array>;

/** What a handshake ends with. */
export interface ChannelKeys {
  /** `Noise_XX_25519_AESGCM_SHA256`. */
  readonly protocol: string;
  /** What we send with. */
  readonly send: DirectionKey;
  /** What the peer sends with. */
  readonly receive: DirectionKey;
  /** The same on both sides and of no other channel: what people may compare, and other proofs may be bound to. */
  readonly handshakeHash: Uint8Array;
  /** The peer's static key, which it has proved to have; undefined if it has none. */
  readonly remoteStatic: Uint8Array | undefined;
}

/** What both sides bring to a handshake. */
export interface ChannelOptions {
  /** What is spoken inside, `chat/1`: both sides must mean the same. At most 255 bytes. */
  readonly application: string;
  /** Our static key, if the pattern has one. */
  readonly staticKey?: X25519KeyPair | undefined;
  /** 32 random bytes that both sides have, if the pattern has them. */
  readonly psk?: Uint8Array | undefined;
}

/** What the initiator brings. */
export interface InitiatorOptions extends ChannelOptions {
  /** The exact name of a Noise protocol with one of {@linkcode CHANNEL_PATTERNS}. */
  readonly protocol: string;
  /** The responder's static key, if the pattern wants it known. */
  readonly remoteStatic?: Uint8Array | undefined;
}

/** What the responder brings. */
export interface ResponderOptions extends ChannelOptions {
  /** The protocols that it takes: there is nothing to choose, and so nothing to talk it into. */
  readonly protocols: readonly string[];
}

/**
 * The initiator's side. With XX and XXpsk3 it asks whether to trust the responder before it shows who it is itself.
 *
 * ```ts
 * const options = { application: "echo/1", psk: new Uint8Array(32) };
 * const protocol = "Noise_NNpsk0_25519_AESGCM_SHA256";
 * const alice = initiate({ ...options, protocol });
 * alice.next(new Uint8Array()); // { send: the preamble and the first message }
 * ```
 * @throws {ProtocolError} if the responder does not keep to the protocol, AuthenticationError if it has not the right keys
 * @throws {TypeError} if a key that the pattern needs is missing
 * @throws {RangeError} if a key has not 32 bytes, or the pattern is none of a channel
 */
export function* initiate({ protocol, application, remoteStatic, staticKey, psk }: InitiatorOptions): ChannelHandshake {
  const preamble = concat([MAGIC, withLength(protocol)]);
  const handshake = openHandshake("initiator", protocol, { application, staticKey, psk, remoteStatic });
  return yield* shake(handshake, protocol, preamble);
}

/**
 * The responder's side. It asks whether to trust the initiator as soon as it knows who that claims to be, and before it tells
 * whether it does.
 * @throws {ProtocolError} if the initiator does not keep to the protocol or asks for another one, AuthenticationError if it
 * has not the right keys
 */
export function* respond({ protocols, ...options }: ResponderOptions): ChannelHandshake {
  const head = yield { need: MAGIC.length + 1 };
  if (!equals(head.subarray(0, MAGIC.length), MAGIC)) {
    throw new ProtocolError("Cannot begin: the peer does not ask for a secure channel");
  }
  const longest = Math.max(...protocols.map((name) => name.length));
  const length = head[MAGIC.length]!;
  if (length > longest) throw new ProtocolError("Cannot begin: the peer asks for a protocol that is not offered");
  const protocol = decodeText(yield { need: length });
  if (!protocols.includes(protocol)) {
    throw new ProtocolError(`Cannot begin: the peer asks for ${JSON.stringify(protocol)}, which is not offered`);
  }
  return yield* shake(openHandshake("responder", protocol, options), protocol);
}

function openHandshake(
  role: NoiseRole,
  protocol: string,
  { application, staticKey, psk, remoteStatic }: ChannelOptions & Pick<InitiatorOptions, "remoteStatic">,
): Handshake {
  const pattern = protocol.split("_")[1];
  if (!CHANNEL_PATTERNS.some((name) => name === pattern)) {
    throw new RangeError(`Cannot use pattern ${pattern}: ${CHANNEL_PATTERNS.join(", ")} are for channels`);
  }
  const prologue = concat([MAGIC, withLength(protocol), withLength(application)]);
  return new Handshake({ role, protocol, prologue, staticKey, remoteStatic, psks: psk === undefined ? [] : [psk] });
}

/** Exchanges the handshake messages, the initiator's first one after the preamble, and confirms the keys. */
function* shake(handshake: Handshake, protocol: string, preamble = NOTHING): ChannelHandshake {
  let wasOurs = false;
  for (let prefix = preamble, knew = handshake.remoteStatic !== undefined, first = true; !handshake.complete;) {
    wasOurs = handshake.writes;
    if (wasOurs) {
      yield { send: concat([prefix, frame(handshake.write())]) };
      prefix = NOTHING;
    } else {
      const payload = handshake.read(yield* receiveMessage());
      if (first && payload.length > 0) throw new ProtocolError("Cannot read the first message: it has a payload");
      if (!knew && handshake.remoteStatic !== undefined) yield { trust: handshake.remoteStatic };
      knew = handshake.remoteStatic !== undefined;
    }
    first = false;
  }
  const { hash: handshakeHash, remoteStatic } = handshake;
  const { send, receive } = handshake.split();
  const suite = parseProtocol(protocol).cipher;
  const aead = makeAead(suite);
  if (wasOurs) yield* receiveConfirmation((sealed) => aead.open(receive, 0, NOTHING, sealed));
  else yield { send: frame(aead.seal(send, 0, NOTHING, EMPTY_RECORD)) };
  return {
    protocol,
    send: { suite, key: send, counter: wasOurs ? 0 : 1 },
    receive: { suite, key: receive, counter: wasOurs ? 1 : 0 },
    handshakeHash,
    remoteStatic,
  };
}

function* receiveMessage(): Generator<ChannelStep, Uint8Array, Uint8Array> {
  const length = readUint(yield { need: MESSAGE_LENGTH_WIDTH });
  if (length <= MAX_HANDSHAKE_MESSAGE) return yield { need: length };
  throw new ProtocolError(`Cannot read a handshake message of ${length} bytes: limit is ${MAX_HANDSHAKE_MESSAGE}`);
}

function* receiveConfirmation(
  open: (sealed: Uint8Array) => Uint8Array,
): Generator<ChannelStep, void, Uint8Array> {
  const record = yield { need: EMPTY_RECORD_LENGTH };
  const sealed = record.subarray(MESSAGE_LENGTH_WIDTH);
  if (readUint(record.subarray(0, MESSAGE_LENGTH_WIDTH)) !== sealed.length || !equals(open(sealed), EMPTY_RECORD)) {
    throw new ProtocolError("Cannot begin: the peer does not confirm the handshake by an empty record");
  }
}

function frame(message: Uint8Array): Uint8Array {
  const length = new Uint8Array(MESSAGE_LENGTH_WIDTH);
  writeUint(length, message.length, { width: MESSAGE_LENGTH_WIDTH });
  return concat([length, message]);
}

function withLength(text: string): Uint8Array {
  const bytes = encodeText(text);
  if (bytes.length > 255) throw new RangeError(`Cannot name ${JSON.stringify(text)}: limit is 255 bytes`);
  return concat([Uint8Array.of(bytes.length), bytes]);
}

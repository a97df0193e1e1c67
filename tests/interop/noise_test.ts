import { Handshake, type HandshakeOptions, parseProtocol } from "../../lib/noise.ts";
import { makeAead, x25519, type X25519KeyPair } from "../../lib/noise_primitives.ts";
import { assertEquals } from "../assert.ts";
import { testWithVectors } from "../vectors.ts";

/** One vector of cacophony: all in hex. */
interface NoiseVector {
  readonly protocol_name: string;
  readonly handshake_hash: string;
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[];
  readonly init_prologue: string;
  readonly init_ephemeral?: string;
  readonly init_static?: string;
  readonly init_remote_static?: string;
  readonly init_psks?: readonly string[];
  readonly resp_prologue: string;
  readonly resp_ephemeral?: string;
  readonly resp_static?: string;
  readonly resp_remote_static?: string;
  readonly resp_psks?: readonly string[];
}

/** A side whose ephemeral key is not random. */
class FixedHandshake extends Handshake {
  readonly #ephemeral: X25519KeyPair | undefined;
  constructor(options: HandshakeOptions, ephemeral: string | undefined) {
    super(options);
    this.#ephemeral = keyPair(ephemeral);
  }
  protected override generateEphemeral(): X25519KeyPair {
    return this.#ephemeral!;
  }
}

const bytes = (hex: string) => Uint8Array.fromHex(hex);
const keyPair = (hex: string | undefined) => hex === undefined ? undefined : x25519.fromPrivate(bytes(hex));

function side(vector: NoiseVector, role: "initiator" | "responder"): Handshake {
  const prefix = role === "initiator" ? "init" : "resp";
  const remoteStatic = vector[`${prefix}_remote_static`];
  return new FixedHandshake({
    protocol: vector.protocol_name,
    role,
    prologue: bytes(vector[`${prefix}_prologue`]),
    staticKey: keyPair(vector[`${prefix}_static`]),
    remoteStatic: remoteStatic === undefined ? undefined : bytes(remoteStatic),
    psks: (vector[`${prefix}_psks`] ?? []).map(bytes),
  }, vector[`${prefix}_ephemeral`]);
}

function check(vector: NoiseVector): void {
  const [initiator, responder] = [side(vector, "initiator"), side(vector, "responder")];
  const { messages: handshakeMessages, cipher } = parseProtocol(vector.protocol_name);
  const oneWay = handshakeMessages.length === 1;
  vector.messages.slice(0, handshakeMessages.length).forEach(({ payload, ciphertext }, i) => {
    const [writer, reader] = i % 2 === 0 ? [initiator, responder] : [responder, initiator];
    assertEquals(writer.write(bytes(payload)).toHex(), ciphertext);
    assertEquals(reader.read(bytes(ciphertext)).toHex(), payload);
  });
  for (const end of [initiator, responder]) assertEquals(end.hash.toHex(), vector.handshake_hash);
  const aead = makeAead(cipher);
  const keys = [initiator.split(), responder.split()] as const;
  const counters = [0, 0];
  vector.messages.slice(handshakeMessages.length).forEach(({ payload, ciphertext }, i) => {
    const from = oneWay || (handshakeMessages.length + i) % 2 === 0 ? 0 : 1;
    const counter = counters[from]!++;
    assertEquals(aead.seal(keys[from].send, counter, new Uint8Array(), bytes(payload)).toHex(), ciphertext);
    assertEquals(keys[1 - from]!.receive, keys[from].send);
  });
}

for (const cipher of ["AESGCM", "ChaChaPoly"]) {
  testWithVectors([`noise_cacophony_25519_${cipher}.json`], `Handshake: all of cacophony with ${cipher}`, (content) => {
    const { vectors } = content as { vectors: NoiseVector[] };
    assertEquals(vectors.length, 177);
    for (const vector of vectors) {
      try {
        check(vector);
      } catch (cause) {
        throw new Error(vector.protocol_name, { cause });
      }
    }
  });
}

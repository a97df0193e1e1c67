/**
 * Challenge-response: who knows the shared secret shows it without sending it.
 *
 * One way (the server verifies the client):
 * `S -> C: challenge (32 random bytes)`, `C -> S: HMAC-SHA256(secret, challenge) (32 bytes)`.
 *
 * Mutual: `S -> C: nonce_s (32)`, `C -> S: nonce_c (32) || mac(client) (32)`, `S -> C: mac(server) (32)`, where
 * `mac(role) = HMAC-SHA256(secret, "netlab hmac_auth/1 " || role || 0x00 || nonce_s || nonce_c)`.
 *
 * HMAC is RFC 2104 with SHA-256 (RFC 4231). See docs/protocols/hmac_auth.md.
 * @module
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { concat } from "@std/bytes";
import { encodeText } from "./bytes.ts";
import type { Conversation } from "./conversation.ts";
import { AuthenticationError } from "./errors.ts";

/** Bytes of a challenge or nonce: too many to guess or to meet twice. */
export const CHALLENGE_LENGTH = 32;

/** How the answer to a challenge is made: `sha1` is the form of older courses, hex of SHA-1(secret || challenge), and weak. */
export type Digest = "hmac-sha256" | "sha1";
/** The two ends, as the MAC of the mutual form names them. */
export type Role = "client" | "server";

const MAC_LENGTH = 32;
const ANSWER_LENGTH: Record<Digest, number> = { "hmac-sha256": MAC_LENGTH, sha1: 40 };

/**
 * The answer to a challenge: 32 bytes with `hmac-sha256`, 40 lower-case hex digits with `sha1`.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(answer(new TextEncoder().encode("secret"), new Uint8Array(32)).length, 32);
 * ```
 */
export function answer(secret: Uint8Array, challenge: Uint8Array, digest: Digest = "hmac-sha256"): Uint8Array {
  return digest === "sha1"
    ? encodeText(createHash("sha1").update(secret).update(challenge).digest("hex"))
    : hmac(secret, challenge);
}

/** What one end proves in the mutual form: the role and both nonces are under the MAC, so that it fits no other place. */
export function mutualMac(
  secret: Uint8Array,
  role: Role,
  serverNonce: Uint8Array,
  clientNonce: Uint8Array,
): Uint8Array {
  return hmac(secret, concat([encodeText(`netlab hmac_auth/1 ${role}\0`), serverNonce, clientNonce]));
}

/** What a side that verifies needs. */
export interface AuthOptions {
  /** The shared secret; RFC 2104 §3 wants at least 32 bytes of it. */
  readonly secret: Uint8Array;
  /** 32 random bytes of one's own, new for every conversation. */
  readonly nonce: Uint8Array;
}

/**
 * The server's side of the one-way form.
 * @throws {AuthenticationError} if the answer is wrong
 */
export function* verifyClient(
  { secret, nonce: challenge, digest = "hmac-sha256" }: AuthOptions & { readonly digest?: Digest },
): Conversation {
  yield { send: challenge };
  verify(yield { need: ANSWER_LENGTH[digest] }, answer(secret, challenge, digest), "client");
}

/** The client's side of the one-way form. It learns nothing about the server. */
export function* answerServer(
  { secret, digest = "hmac-sha256" }: { readonly secret: Uint8Array; readonly digest?: Digest },
): Conversation {
  const challenge = yield { need: CHALLENGE_LENGTH };
  yield { send: answer(secret, challenge, digest) };
}

/**
 * The server's side of the mutual form: it proves itself only to a client that has proved itself.
 * @throws {AuthenticationError} if the client's proof is wrong
 */
export function* verifyMutuallyAsServer({ secret, nonce }: AuthOptions): Conversation {
  yield { send: nonce };
  const clientNonce = yield { need: CHALLENGE_LENGTH };
  verify(yield { need: MAC_LENGTH }, mutualMac(secret, "client", nonce, clientNonce), "client");
  yield { send: mutualMac(secret, "server", nonce, clientNonce) };
}

/**
 * The client's side of the mutual form.
 * @throws {AuthenticationError} if the server's proof is wrong
 */
export function* verifyMutuallyAsClient({ secret, nonce }: AuthOptions): Conversation {
  const serverNonce = yield { need: CHALLENGE_LENGTH };
  yield { send: concat([nonce, mutualMac(secret, "client", serverNonce, nonce)]) };
  verify(yield { need: MAC_LENGTH }, mutualMac(secret, "server", serverNonce, nonce), "server");
}

/** Compares in constant time: how many leading bytes were right must not show. */
function verify(given: Uint8Array, expected: Uint8Array, role: Role): void {
  if (!timingSafeEqual(given, expected)) throw new AuthenticationError(`Cannot verify the ${role}: wrong answer`);
}

function hmac(secret: Uint8Array, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac("sha256", secret).update(bytes).digest());
}

/**
 * A handshake as a value: a generator that yields what it sends and how many bytes it needs next, and is given those bytes.
 * It reads like the protocol's diagram, knows nothing of sockets, and two of them can talk in a test without any.
 * @module
 */

/** One step: bytes for the peer, or the exact number of bytes that the peer must send before the next step. */
export type Step = { readonly send: Uint8Array } | { readonly need: number };

/**
 * A conversation that ends with a `Result`, or by throwing a `ProtocolError`. It is given an empty array after a `send`.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { answer, answerServer, type Conversation } from "@netlab/netlab";
 *
 * // `write` and `readExactly` are those of any byte stream.
 * async function hold<Result>(
 *   conversation: Conversation<Result>,
 *   write: (bytes: Uint8Array) => Promise<void>,
 *   readExactly: (count: number) => Promise<Uint8Array>,
 * ): Promise<Result> {
 *   const nothing: Uint8Array = new Uint8Array();
 *   for (let received = nothing;;) {
 *     const { done, value } = conversation.next(received);
 *     if (done) return value;
 *     if ("send" in value) await write(value.send);
 *     received = "need" in value ? await readExactly(value.need) : nothing;
 *   }
 * }
 *
 * const [secret, challenge, sent] = [new Uint8Array(32).fill(7), new Uint8Array(32), [] as Uint8Array[]];
 * await hold(answerServer({ secret }), async (bytes) => void sent.push(bytes), async () => challenge);
 * assertEquals(sent, [answer(secret, challenge, "hmac-sha256")]);
 * ```
 */
export type Conversation<Result = void> = Generator<Step, Result, Uint8Array>;

/**
 * A handshake as a value: a generator that yields what it sends and how many bytes it needs next, and is given those bytes.
 * It reads like the protocol's diagram, knows nothing of sockets, and two of them can talk in a test without any.
 * @module
 */

/** One step: bytes for the peer, or the exact number of bytes that the peer must send before the next step. */
export type Step = { readonly send: Uint8Array } | { readonly need: number };

/** A conversation that ends with a `Result`, or by throwing a `ProtocolError`. It is given an empty array after a `send`. */
export type Conversation<Result = void> = Generator<Step, Result, Uint8Array>;

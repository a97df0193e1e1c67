/**
 * A link: one direction of a relayed connection, as a value. What one side sends goes in, what the other side is to get
 * comes out, later, slower, cut, changed or not at all, as the faults say. The clock is a parameter: milliseconds that only
 * grow, from any zero.
 * @module
 */

/** `up` is from the client to the target, `down` the way back. */
export type Direction = "up" | "down";

/** What is to be done next with what a link holds. */
export type Step =
  /** Send these bytes to the other side. */
  | { readonly type: "pass"; readonly bytes: Uint8Array }
  /** Nothing may leave before so many ms have passed. */
  | { readonly type: "wait"; readonly ms: number }
  /** All has been passed on: now the end of the stream. */
  | { readonly type: "end" }
  /** The stream has ended, but the other side is not to hear of it. */
  | { readonly type: "stalled" }
  /** Close both sides at once. */
  | { readonly type: "cut" };

/** What every link does. */
export interface Link {
  /** Takes a copy of what one side has sent. Returns what befalls it, for people, if anything does. */
  receive(bytes: Uint8Array, now: number): string | undefined;
  /** What to do now; undefined: nothing before more is received. */
  next(now: number): Step | undefined;
}

/** The most that a link holds while it delays, in bytes. */
export const LINK_CAPACITY = 2 ** 20;
/** What holding a chunk costs besides its bytes: many tiny ones must not fill the memory either. */
export const CHUNK_COST = 256;

/** How far a pace may run ahead, or catch up after a late timer, in ms. */
const BURST_MS = 20;

/** When the next bytes may leave, at a rate in bytes per second. */
export class Pace {
  /** The most to send at a time, in bytes: what the rate lets through in 20 ms, at least 1. */
  readonly burst: number;
  readonly #msPerByte: number;
  #free = -Infinity;

  /** Without a `rate`: at any time. */
  constructor(rate = Infinity) {
    this.burst = Math.max(1, Math.floor(rate * BURST_MS / 1000));
    this.#msPerByte = 1000 / rate;
  }

  /** When the next bytes may leave, in ms. */
  get free(): number {
    return this.#free;
  }

  /** So many bytes leave now. */
  spend(bytes: number, now: number): void {
    this.#free = Math.max(this.#free, now - BURST_MS) + bytes * this.#msPerByte;
  }
}

/**
 * Pseudo-random numbers in [0, 1), the same for the same seeds (SplitMix32, good enough for dice and nothing secret).
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(seededRandom(7, 1)(), seededRandom(7, 1)());
 * ```
 */
export function seededRandom(...seeds: readonly number[]): () => number {
  let state = 0;
  const next = () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  for (const seed of seeds) state = next() ^ seed;
  return () => next() / 2 ** 32;
}

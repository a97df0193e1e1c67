/**
 * When to try again after a break: five times by itself, each wait twice as long as the one before; then the user decides.
 * @module
 */

/** Tries without progress before the user is asked. */
export const MAX_TRIES = 5;
/** The first wait and the longest one, in ms. */
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
/** How far a wait may be from its nominal length, so that many clients do not come back at the same moment. */
const JITTER = 0.2;
/** Bytes that count as progress: after it the counting begins anew. */
const PROGRESS_SIZE = 2 ** 20;

/** One try to come. */
export interface Try {
  /** 1 to {@linkcode MAX_TRIES}. */
  readonly number: number;
  /** How long to wait before it, in ms. */
  readonly wait: number;
}

/**
 * Counts the tries of one transfer: waits of 0.5, 1, 2, 4 and 8 s, each ± 20 %.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const retry = new Retry(() => 0.5);
 * assertEquals([retry.next(0), retry.next(0)], [{ number: 1, wait: 500 }, { number: 2, wait: 1000 }]);
 * assertEquals(retry.next(2 ** 20), { number: 1, wait: 500 }); // there was progress
 * ```
 */
export class Retry {
  readonly #random: () => number;
  #tries = 0;
  #position = 0; // when the counting began, in bytes

  /** `random` gives numbers from 0 up to, not including, 1. */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** The next try, now that `position` bytes of the file have arrived for certain; undefined: ask the user. */
  next(position: number): Try | undefined {
    if (position >= this.#position + PROGRESS_SIZE) this.restart();
    if (position < this.#position || this.#tries === 0) this.#position = position;
    if (this.#tries === MAX_TRIES) return undefined;
    const nominal = Math.min(FIRST_WAIT_MS * 2 ** this.#tries, LONGEST_WAIT_MS);
    return { number: ++this.#tries, wait: nominal * (1 + JITTER * (2 * this.#random() - 1)) };
  }

  /** The user wants more. */
  restart(): void {
    this.#tries = 0;
  }
}

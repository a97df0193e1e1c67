/**
 * How fast a transfer may be, how slow, and how fast it was.
 * @module
 */

/** Holds a transfer to at most so many bytes a second. */
export class RateLimit {
  readonly #bytesPerSecond: number;
  #free = 0; // when the next byte may pass, in ms

  /** 0: as fast as it goes. */
  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** The most that one step should move, in bytes: a twentieth of a second's worth. */
  get step(): number {
    return this.#bytesPerSecond === 0 ? Infinity : Math.max(1, Math.ceil(this.#bytesPerSecond / 20));
  }

  /** Counts bytes that were moved at `now` (ms); how long to wait before the next ones, in ms. */
  moved(count: number, now: number): number {
    if (this.#bytesPerSecond === 0) return 0;
    this.#free = Math.max(this.#free, now) + 1000 * count / this.#bytesPerSecond;
    return this.#free - now;
  }
}

/** Finds a transfer that moves fewer than so many bytes a second over a window of time. */
export class LeastRate {
  readonly #window: number;
  readonly #least: number; // bytes in a window
  #since: number;
  #count = 0;

  /** Begins at `now`, with windows of `window` (both ms); with 0 bytes a second nothing is too slow. */
  constructor(bytesPerSecond: number, window: number, now: number) {
    this.#window = window;
    this.#least = bytesPerSecond * window / 1000;
    this.#since = now;
  }

  /** Counts bytes that were moved at `now` (ms); whether the window that ends is too slow. */
  moved(count: number, now: number): boolean {
    this.#count += count;
    if (now - this.#since < this.#window) return false;
    const isSlow = this.#count < this.#least;
    this.#since = now;
    this.#count = 0;
    return isSlow;
  }
}

/** Rate of a transfer for people: `840.0 Mbit/s 1.250 s`. */
export function formatRate(bytes: number, ms: number): string {
  const seconds = Math.max(ms, 0.001) / 1000;
  return `${(8 * bytes / 1e6 / seconds).toFixed(1)} Mbit/s ${(ms / 1000).toFixed(3)} s`;
}

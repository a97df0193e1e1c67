/**
 * How fast one peer may ask.
 * @module
 */
import type { Action } from "./messages.ts";

/** How a {@linkcode TokenBucket} fills. */
export interface RateLimit {
  /** Tokens per second. */
  readonly perSecond: number;
  /** Tokens that it holds at most, and at the beginning. */
  readonly burst: number;
}

/**
 * A token bucket: it holds up to `burst` tokens, gets `perSecond` new ones every second, and whoever wants something takes
 * one or more.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const bucket = new TokenBucket({ perSecond: 1, burst: 2 }, 0);
 * assertEquals([bucket.take(0), bucket.take(0), bucket.take(0)], [true, true, false]);
 * assertEquals(bucket.take(1000), true);
 * ```
 */
export class TokenBucket {
  readonly #limit: RateLimit;
  #tokens: number;
  #filledAt: number;

  /** A full one. `now` is the time in ms. */
  constructor(limit: RateLimit, now: number) {
    this.#limit = limit;
    this.#tokens = limit.burst;
    this.#filledAt = now;
  }

  /** Takes `count` tokens if there are as many. */
  take(now: number, count = 1): boolean {
    const { perSecond, burst } = this.#limit;
    this.#tokens = Math.min(burst, this.#tokens + Math.max(0, now - this.#filledAt) * perSecond / 1000);
    this.#filledAt = now;
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }
}

const COSTS: Partial<Record<Action, number>> = { history: 10, get_users: 10, who: 10, authenticate: 10, register: 10 };

/** What a request takes of what its sender may ask for: 1, unless it makes the server search, list or compute. */
export function costOf(action: Action | undefined): number {
  return (action && COSTS[action]) ?? 1;
}

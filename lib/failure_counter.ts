/**
 * How often who fails: what a log tells of a flood, without a line for each.
 * @module
 */

/** How long failures are added up, in ms. */
const WINDOW_MS = 60_000;
/** The sources that are remembered, at most: of more, the one that has been counted longest is forgotten. */
const MAX_SOURCES = 1024;

/** Counts failures by their source, each source for a minute from its first one on. */
export class FailureCounter {
  readonly #now: () => number;
  readonly #counts = new Map<string, { since: number; count: number }>();

  /** `now` is a clock in ms that never goes back. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Notes a failure and returns how many of this source there have been within the minute, this one included. */
  add(source: string): number {
    const now = this.#now();
    const known = this.#counts.get(source);
    if (known !== undefined && now - known.since < WINDOW_MS) return ++known.count;
    this.#counts.delete(source);
    this.#counts.set(source, { since: now, count: 1 });
    if (this.#counts.size > MAX_SOURCES) this.#counts.delete(this.#counts.keys().next().value!);
    return 1;
  }
}

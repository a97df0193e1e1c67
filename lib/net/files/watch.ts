/**
 * One clock for the deadlines of many connections.
 * @module
 */

/** The longest time between two looks at the deadlines, in ms. */
const MAX_LOOK_MS = 1000;

/** What waits, and until when. */
export interface Wait {
  /** The deadline on the clock of `performance.now()`, in ms; Infinity: none. */
  until: number;
  /** Called once the deadline is over, at each look until there is none. */
  late(): void;
}

/** Looks at all that wait every now and then: a timer for each read would cost more than the read. */
export class Watch implements Disposable {
  readonly #waits = new Set<Wait>();
  readonly #timer: ReturnType<typeof setInterval>;

  /** Deadlines of `shortest` ms and more are kept, to a quarter of it or a second. */
  constructor(shortest: number) {
    this.#timer = setInterval(() => this.#look(), Math.min(shortest / 4, MAX_LOOK_MS));
  }

  add(wait: Wait): void {
    this.#waits.add(wait);
  }

  delete(wait: Wait): void {
    this.#waits.delete(wait);
  }

  #look(): void {
    const now = performance.now();
    for (const wait of this.#waits) if (wait.until <= now) wait.late();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

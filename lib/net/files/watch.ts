/**
 * One clock for the deadlines of many connections, and fair turns for those that move many bytes.
 * @module
 */

/** The longest time between two looks at the deadlines, in ms. */
const MAX_LOOK_MS = 1000;
/** How long transfers may keep the thread before the other connections have a turn, in ms. */
const TURN_MS = 1;

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

/**
 * Turns of the one thread. A transfer whose socket is always ready keeps the event loop from looking at the other sockets for
 * up to 0.4 s. So all transfers pause together, every {@linkcode TURN_MS}, while anybody else is connected.
 */
export class Turns {
  readonly #isShared: () => boolean;
  readonly #look: () => Promise<void>;
  #since = performance.now();
  #pause: Promise<void> | undefined;

  /** `isShared` tells whether there are others; `look` has the event loop look at its sockets. */
  constructor(isShared: () => boolean, look: () => Promise<void>) {
    this.#isShared = isShared;
    this.#look = look;
  }

  /** To be awaited after each block; undefined: go on at once. */
  take(): Promise<void> | undefined {
    if (this.#pause !== undefined || !this.#isShared() || performance.now() - this.#since < TURN_MS) return this.#pause;
    this.#pause = this.#look().then(() => {
      this.#pause = undefined;
      this.#since = performance.now();
    });
    return this.#pause;
  }
}

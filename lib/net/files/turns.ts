/**
 * Fair turns for connections that move many bytes.
 * @module
 */

/** How long transfers may keep the thread before the other connections have a turn, in ms. */
const TURN_MS = 1;

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

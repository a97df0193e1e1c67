/**
 * Turns for the connections of a server that are busy at the same time.
 * @module
 */
import { SelfPipe, TURN_BUDGET } from "./self_pipe.ts";

/** After how long the next read waits for a look, in ms: what follows a read may be much work, as inside a secure channel. */
const TURN_MS = 4;
/** So many reads begin in any case: where messages are rare, a look at each of them would cost as much as they do. */
const MIN_READS = 8;

/**
 * Lets as many reads begin as one turn of the event loop completes, or as come within {@linkcode TURN_MS}; the next ones wait
 * until it has looked at all sockets, each in its turn. An operation that begins completes before those that wait if its
 * bytes are there: of 512 busy connections about 128 would be served again and again, and the others wait for half a second.
 */
export class Turnstile implements Disposable {
  readonly #pipe = new SelfPipe();
  readonly #waiting: (() => void)[] = [];
  #begun = 0; // since the last look
  #lookedAt = performance.now();
  #isLooking = false;

  /** Begins a read, at once or in its turn, and resolves to what it resolves to. Reads begin in the order of the calls. */
  pass<T>(read: () => Promise<T>): Promise<T> {
    if (!this.#isLooking && this.#hasTurn()) return read();
    return new Promise((resolve) => {
      this.#waiting.push(() => resolve(read()));
      if (!this.#isLooking) this.#look();
    });
  }

  #hasTurn(): boolean {
    if (++this.#begun <= MIN_READS) return true;
    return this.#begun <= TURN_BUDGET && performance.now() - this.#lookedAt < TURN_MS;
  }

  #look(): void {
    this.#isLooking = true;
    this.#pipe.look().then(this.#admit);
  }

  readonly #admit = (): void => {
    this.#lookedAt = performance.now();
    const admitted = this.#waiting.splice(0, TURN_BUDGET);
    this.#begun = admitted.length;
    for (const begin of admitted) begin();
    if (this.#waiting.length > 0) this.#look();
    else this.#isLooking = false;
  };

  [Symbol.dispose](): void {
    this.#pipe[Symbol.dispose]();
  }
}

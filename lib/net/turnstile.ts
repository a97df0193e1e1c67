/**
 * Turns for the connections of a server that are busy at the same time.
 * @module
 */
import { SelfPipe, TURN_BUDGET } from "./self_pipe.ts";

/**
 * Lets as many reads begin as one turn of the event loop completes; the next ones wait until it has looked at all sockets,
 * each in its turn. An operation that begins completes before those that wait if its bytes are there: of 512 busy
 * connections about 128 would be served again and again, and the others wait for half a second.
 */
export class Turnstile implements Disposable {
  readonly #pipe = new SelfPipe();
  readonly #waiting: (() => void)[] = [];
  #begun = 0; // since the last look
  #isLooking = false;

  /** To be awaited before a read; undefined: it begins at once. */
  pass(): Promise<void> | undefined {
    if (!this.#isLooking && ++this.#begun <= TURN_BUDGET) return undefined;
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (!this.#isLooking) this.#look();
    });
  }

  #look(): void {
    this.#isLooking = true;
    this.#pipe.look().then(this.#admit);
  }

  readonly #admit = (): void => {
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

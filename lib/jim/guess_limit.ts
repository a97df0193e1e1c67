/**
 * How often one address may guess a password.
 * @module
 */
import { networkOf } from "../address.ts";

/** Wrong passwords in a row that an address may send before it has to wait. */
const FREE_FAILURES = 5;
/** How long it waits then, in ms; each further failure doubles it. */
const FIRST_WAIT_MS = 1000;
/** The longest that it waits, in ms. */
const MAX_WAIT_MS = 60_000;
/** How long a failure is remembered, in ms. */
const MEMORY_MS = 15 * 60_000;
/** Addresses that are remembered at a time: the oldest is forgotten first. */
const MAX_ADDRESSES = 10_000;

/** The wrong passwords of an address. */
interface Failures {
  readonly count: number;
  /** When the last one came, in ms. */
  readonly at: number;
  /** Whose password it was each time; undefined: of several. */
  readonly name: string | undefined;
}

/** What became of a guess; `wait`: nobody has looked at it, and the next one must wait for so many ms. */
export type Guess = { readonly right: boolean; readonly wait?: never } | {
  readonly right?: never;
  readonly wait: number;
};

/**
 * Slows down the guessing of passwords: after five failures in a row an address waits, for longer and longer. Of those that
 * come at the same time one is looked at after the other, so that nobody gets more by asking on many connections. A right
 * password ends the row if all the wrong ones were for the same name: nobody gets more by logging in now and then.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const limit = new GuessLimit(() => 0);
 * const guess = () => limit.guess("192.0.2.1", "bob", () => Promise.resolve(false));
 * for (let i = 0; i < 5; i++) assertEquals(await guess(), { right: false });
 * assertEquals(await guess(), { wait: 1000 });
 * ```
 */
export class GuessLimit {
  readonly #now: () => number;
  readonly #failures = new Map<string, Failures>();
  readonly #atWork = new Map<string, Promise<unknown>>();

  /** `now` gives the time in ms, on a clock that nobody sets. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Lets an address guess the password of `name`, if it need not wait: `isRight` looks at the guess. */
  guess(address: string, name: string, isRight: () => Promise<boolean>): Promise<Guess> {
    return this.inTurn(address, () => this.#look(networkOf(address), name, isRight));
  }

  /** Does what takes long for an address after all else that it wants done: others need not wait for all of it. */
  async inTurn<T>(address: string, work: () => Promise<T>): Promise<T> {
    const key = networkOf(address);
    const earlier = this.#atWork.get(key) ?? Promise.resolve();
    const result = earlier.then(work);
    const ended = result.catch(() => {});
    this.#atWork.set(key, ended);
    try {
      return await result;
    } finally {
      if (this.#atWork.get(key) === ended) this.#atWork.delete(key);
    }
  }

  async #look(key: string, name: string, isRight: () => Promise<boolean>): Promise<Guess> {
    const wait = this.#waitOf(key);
    if (wait > 0) return { wait };
    const right = await isRight();
    if (!right) this.#hasFailed(key, name);
    else if (this.#failuresOf(key)?.name === name) this.#failures.delete(key);
    return { right };
  }

  #waitOf(key: string): number {
    const failures = this.#failuresOf(key);
    if (failures === undefined || failures.count < FREE_FAILURES) return 0;
    const wait = Math.min(FIRST_WAIT_MS * 2 ** (failures.count - FREE_FAILURES), MAX_WAIT_MS);
    return failures.at + wait - this.#now();
  }

  #hasFailed(key: string, name: string): void {
    const earlier = this.#failuresOf(key) ?? { count: 0, name };
    this.#failures.delete(key); // so that it becomes the youngest
    const same = earlier.name === name ? name : undefined;
    this.#failures.set(key, { count: earlier.count + 1, at: this.#now(), name: same });
    if (this.#failures.size > MAX_ADDRESSES) this.#failures.delete(this.#failures.keys().next().value!);
  }

  #failuresOf(key: string): Failures | undefined {
    const failures = this.#failures.get(key);
    return failures !== undefined && this.#now() - failures.at < MEMORY_MS ? failures : undefined;
  }
}

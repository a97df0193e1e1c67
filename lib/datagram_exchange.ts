/**
 * Questions and answers by datagrams, of which some are lost: ask, wait, ask again; and tell what else arrives. See
 * docs/protocols/udp_echo.md.
 * @module
 */
import { equals } from "@std/bytes";

/** How many questions back a datagram is still recognized as an answer to one of them. */
const REMEMBERED = 16;

/** What there is to do: wait for a datagram or the time-out, send the question again, or nothing more. */
export type ExchangeStep = "wait" | "again" | "answered" | "unanswered";

/**
 * What arrived: the answer; one that comes `late`, after another to the same question; one that came `doubled`, more
 * often than the question was sent; or a datagram that nobody waits for.
 */
export type ExchangeReply = "answer" | "late" | "doubled" | "unexpected";

/** How patient one is. */
export interface ExchangeOptions {
  /** How long to wait for the answer before the question is sent again, in ms; 0: for ever. */
  readonly timeout: number;
  /** How often it is sent again at the most. */
  readonly retries: number;
}

/** A question, what is known to answer it, and how often each was seen. */
interface Question {
  readonly message: Uint8Array;
  answer: Uint8Array | undefined;
  sent: number;
  received: number;
}

/**
 * Asks one question after another. `now` is the time in ms.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const exchange = new DatagramExchange({ timeout: 1000, retries: 1 });
 * const hello = new TextEncoder().encode("hello");
 * exchange.ask(hello, 0);
 * assertEquals(exchange.next(999), "wait");
 * assertEquals(exchange.next(1000), "again"); // lost, or late
 * assertEquals(exchange.receive(hello), "answer");
 * assertEquals(exchange.receive(hello), "late"); // it was sent twice
 * assertEquals(exchange.receive(hello), "doubled");
 * ```
 */
export class DatagramExchange {
  readonly #timeout: number;
  readonly #retries: number;
  /** The last questions, the current one first. */
  #questions: Question[] = [];
  #deadline = 0;

  /** Has asked nothing yet. */
  constructor({ timeout, retries }: ExchangeOptions) {
    this.#timeout = timeout;
    this.#retries = retries;
  }

  /** How often the current question has been sent. */
  get tries(): number {
    return this.#questions[0]?.sent ?? 0;
  }

  /** How long {@linkcode next} says "wait" from `now` on, in ms; undefined: until something arrives. */
  patience(now: number): number | undefined {
    return this.#timeout === 0 ? undefined : this.#deadline - now;
  }

  /** The answer to the current question, once it has come. */
  get answer(): Uint8Array | undefined {
    return this.#questions[0]?.answer;
  }

  /** Turns to the next question, which is sent at `now`. */
  ask(message: Uint8Array, now: number): void {
    this.#questions = [{ message, answer: undefined, sent: 1, received: 0 }, ...this.#questions.slice(0, REMEMBERED)];
    this.#deadline = now + (this.#timeout || Infinity);
  }

  /** What to do at `now`. */
  next(now: number): ExchangeStep {
    const [question] = this.#questions;
    if (question === undefined || question.answer !== undefined) return "answered";
    if (now < this.#deadline) return "wait";
    if (question.sent > this.#retries) return "unanswered";
    question.sent++;
    this.#deadline = now + this.#timeout;
    return "again";
  }

  /**
   * Takes a datagram. An echo server answers with the question itself; what is unlike any question and answer so far is
   * taken for the answer of a server that has something else to say.
   */
  receive(datagram: Uint8Array): ExchangeReply {
    const is = (bytes: Uint8Array | undefined) => bytes !== undefined && equals(bytes, datagram);
    const matching = this.#questions.filter(({ message, answer }) => is(message) || is(answer));
    const [current] = this.#questions;
    if (current !== undefined && current.answer === undefined && (is(current.message) || matching.length === 0)) {
      current.answer = datagram.slice();
      current.received++;
      return "answer";
    }
    const question = matching.find(({ sent, received }) => received < sent) ?? matching[0];
    if (question === undefined) return "unexpected";
    return ++question.received <= question.sent ? "late" : "doubled";
  }
}

/**
 * Where messages on a bare byte stream stuck together or broke: the sizes of the messages that were sent, held against
 * the sizes of the reads that they came back in.
 * @module
 */
import { ProtocolError, TruncatedError } from "./errors.ts";

/**
 * Tells which messages, or parts of them, each read held.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const report = new StickyReport([3, 5]);
 * assertEquals(report.receive(4), "read 1: 4 bytes: message 1 + message 2 (bytes 1-1 of 5)");
 * assertEquals(report.receive(4), "read 2: 4 bytes: message 2 (bytes 2-5 of 5)");
 * assertEquals(report.end(), "messages: 2, reads: 2, reads with several messages: 1, messages broken: 1");
 * ```
 */
export class StickyReport {
  readonly #sizes: readonly number[];
  #message = 0; // the one that the next byte belongs to
  #taken = 0; // bytes of it that have come
  #reads = 0;
  #stuck = 0;
  #broken = 0;

  /**
   * `sizes` are the messages' bytes.
   * @throws {RangeError} if a message is empty: nothing of it would travel
   */
  constructor(sizes: readonly number[]) {
    const empty = sizes.indexOf(0);
    if (empty !== -1) throw new RangeError(`Cannot follow message ${empty + 1}: nothing of an empty message travels`);
    this.#sizes = sizes;
  }

  /** Whether all the messages have come. */
  get complete(): boolean {
    return this.#message === this.#sizes.length;
  }

  /**
   * One line on a read of `count` bytes.
   * @throws {ProtocolError} if more came than was sent
   */
  receive(count: number): string {
    const parts = [];
    for (let rest = count; rest > 0;) {
      const size = this.#sizes[this.#message];
      if (size === undefined) throw new ProtocolError(`Cannot match a read of ${count} bytes: ${rest} were never sent`);
      const first = this.#taken + 1;
      const last = Math.min(this.#taken + rest, size);
      const name = `message ${this.#message + 1}`;
      parts.push(first === 1 && last === size ? name : `${name} (bytes ${first}-${last} of ${size})`);
      rest -= last - this.#taken;
      this.#taken = last % size;
      if (last === size) {
        this.#message++;
        if (first > 1) this.#broken++;
      }
    }
    if (parts.length > 1) this.#stuck++;
    return `read ${++this.#reads}: ${count} bytes: ${parts.join(" + ")}`;
  }

  /**
   * The summary, as one line.
   * @throws {TruncatedError} if not all has come back
   */
  end(): string {
    const size = this.#sizes[this.#message];
    if (size !== undefined) {
      const place = `message ${this.#message + 1} of ${this.#sizes.length}`;
      throw new TruncatedError(`Cannot read ${place}: the stream ended after ${this.#taken} of its ${size} bytes`);
    }
    return `messages: ${this.#sizes.length}, reads: ${this.#reads}, ` +
      `reads with several messages: ${this.#stuck}, messages broken: ${this.#broken}`;
  }
}

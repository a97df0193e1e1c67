/**
 * Bytes that have arrived and are not yet understood: the place between a byte stream and a protocol.
 * @module
 */
import { FrameTooLargeError } from "./errors.ts";

const MIN_CAPACITY = 512;
/** What an empty buffer may keep for the next burst, in bytes. */
const MAX_SPARE_CAPACITY = 64 * 1024;
const LF = 0x0a;
const CR = 0x0d;

/**
 * A first-in-first-out buffer of bytes. It never limits what it holds: whoever takes from it checks limits first, and
 * gives it no more before it has taken all that it can.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const buffer = new ReceiveBuffer();
 * buffer.receive(new TextEncoder().encode("ECHO hi\r\nbody"));
 * assertEquals(new TextDecoder().decode(buffer.takeLine(80)), "ECHO hi");
 * assertEquals(buffer.takeExactly(5), undefined); // only 4 are there
 * assertEquals(buffer.takeAtMost(5).length, 4);
 * ```
 */
export class ReceiveBuffer {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #start = 0;
  #end = 0;
  #searched = 0; // bytes from #start that are known to hold no LF

  /** How many bytes wait. */
  get length(): number {
    return this.#end - this.#start;
  }

  /** Appends a copy of the chunk. */
  receive(chunk: Uint8Array): void {
    if (this.#end + chunk.length > this.#bytes.length) this.#makeRoom(chunk.length);
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /** The first `count` bytes without taking them, valid until the next call; undefined if fewer are there. */
  peek(count: number): Uint8Array | undefined {
    return count > this.length ? undefined : this.#bytes.subarray(this.#start, this.#start + count);
  }

  /** Takes exactly `count` bytes, or none (undefined) if fewer are there. */
  takeExactly(count: number): Uint8Array<ArrayBuffer> | undefined {
    return count > this.length ? undefined : this.#take(count);
  }

  /** Takes what is there, up to `count` bytes. */
  takeAtMost(count: number): Uint8Array<ArrayBuffer> {
    return this.#take(Math.min(count, this.length));
  }

  /**
   * Takes a line that ends in LF or CRLF, without its end; undefined if there is none yet.
   * @throws {FrameTooLargeError} if more than `maxLength` bytes come before the LF
   */
  takeLine(maxLength: number): Uint8Array<ArrayBuffer> | undefined {
    const index = this.#bytes.subarray(this.#start + this.#searched, this.#end).indexOf(LF);
    const length = index === -1 ? this.length : this.#searched + index;
    if (length > maxLength) throw new FrameTooLargeError(`Cannot accept a line: limit is ${maxLength} bytes`);
    if (index === -1) {
      this.#searched = length;
      return undefined;
    }
    const line = this.#take(length + 1);
    return line.subarray(0, line[length - 1] === CR ? length - 1 : length);
  }

  #take(count: number): Uint8Array<ArrayBuffer> {
    const taken = this.#bytes.slice(this.#start, this.#start + count);
    this.#start += count;
    this.#searched = 0;
    if (this.#start === this.#end) {
      this.#start = this.#end = 0;
      if (this.#bytes.length > MAX_SPARE_CAPACITY) this.#bytes = new Uint8Array(0);
    }
    return taken;
  }

  /** Moves what waits to the front, of a buffer twice as large if need be. */
  #makeRoom(count: number): void {
    const needed = this.length + count;
    const waiting = this.#bytes.subarray(this.#start, this.#end);
    if (needed > this.#bytes.length) this.#bytes = new Uint8Array(Math.max(MIN_CAPACITY, needed, 2 * this.length));
    this.#bytes.set(waiting, 0);
    this.#end -= this.#start;
    this.#start = 0;
  }
}

/**
 * Searches a byte stream for a text, also where chunk borders cut it.
 * @module
 */
import { concat, indexOfNeedle } from "@std/bytes";
import { encodeText } from "../bytes.ts";

/**
 * Finds the first place of a text (its UTF-8 bytes) in a stream that comes in chunks.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const finder = new TextFinder("secret");
 * assertEquals(finder.receive(new TextEncoder().encode("a sec")), undefined);
 * assertEquals(finder.receive(new TextEncoder().encode("ret")), 2);
 * ```
 */
export class TextFinder {
  readonly #text: Uint8Array;
  #tail: Uint8Array = new Uint8Array(); // what may be the beginning of the text
  #offset = 0; // of the tail in the stream

  /** @throws {RangeError} if the text is empty */
  constructor(text: string) {
    if (text === "") throw new RangeError("Cannot search for an empty text");
    this.#text = encodeText(text);
  }

  /** The offset of the text in the stream once its last byte has come, or undefined. */
  receive(chunk: Uint8Array): number | undefined {
    const bytes: Uint8Array = concat([this.#tail, chunk]);
    const index: number = indexOfNeedle(bytes, this.#text);
    if (index !== -1) return this.#offset + index;
    const kept = Math.min(bytes.length, this.#text.length - 1);
    this.#offset += bytes.length - kept;
    this.#tail = bytes.slice(bytes.length - kept);
    return undefined;
  }
}

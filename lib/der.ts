/**
 * DER (ITU-T X.690 §10): values as `tag (1 byte) || length || contents`, in the only encoding that each has.
 * @module
 */
import { concat } from "@std/bytes";
import { readUint, writeUint } from "./bytes.ts";
import { ProtocolError } from "./errors.ts";

/** The tags that are used here (X.680 §8.4). */
export const DER_TAG = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  sequence: 0x30,
  set: 0x31,
} as const;

/**
 * The encoding of a value whose contents are these bytes, one after the other.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(encodeDer(DER_TAG.octetString, Uint8Array.of(7, 8)), Uint8Array.of(4, 2, 7, 8));
 * ```
 */
export function encodeDer(tag: number, ...contents: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = contents.reduce((sum, { length }) => sum + length, 0);
  if (length < 0x80) return concat([Uint8Array.of(tag, length), ...contents]);
  let width = 1;
  while (length >= 256 ** width) width++;
  const head = new Uint8Array(2 + width);
  head.set([tag, 0x80 | width]);
  writeUint(head, length, { width, offset: 2 });
  return concat([head, ...contents]);
}

/** Takes values from bytes that strangers may have made. */
export class DerReader {
  #rest: Uint8Array;

  /** Reads the values that these bytes hold, one after the other. */
  constructor(bytes: Uint8Array) {
    this.#rest = bytes;
  }

  /**
   * Takes the next value and gives its contents; no copy.
   * @throws {ProtocolError} if it has another tag, is cut or is not encoded by the rules
   */
  take(tag: number): Uint8Array {
    return this.#take(tag).contents;
  }

  /** The same with its tag and length in front: to compare it as a whole. */
  takeWhole(tag: number): Uint8Array {
    return this.#take(tag).whole;
  }

  /** Takes the next value and reads the values in it. */
  enter(tag: number): DerReader {
    return new DerReader(this.take(tag));
  }

  /** Whether all has been taken. */
  get done(): boolean {
    return this.#rest.length === 0;
  }

  /**
   * There must be nothing more.
   * @throws {ProtocolError} if there is
   */
  end(): void {
    if (!this.done) throw new ProtocolError(`Cannot read DER: ${this.#rest.length} bytes too many`);
  }

  #take(tag: number): { readonly contents: Uint8Array; readonly whole: Uint8Array } {
    const rest = this.#rest;
    if (rest[0] !== tag) throw new ProtocolError(`Cannot read DER: the tag is ${rest[0] ?? "missing"}, not ${tag}`);
    const first = rest[1] ?? 0x80; // 0x80 is an indefinite length, which DER does not have
    const width = first < 0x80 ? 0 : first & 0x7f;
    const digits = rest.subarray(2, 2 + width);
    const length = width === 0 ? first : readUint(digits);
    const shortest = width === 0 ? first < 0x80 : digits[0] !== 0 && length >= 0x80;
    if (width > 4 || digits.length < width || !shortest) throw new ProtocolError("Cannot read DER: a length is wrong");
    const end = 2 + width + length;
    if (end > rest.length) throw new ProtocolError(`Cannot read DER: ${end - rest.length} bytes are missing`);
    this.#rest = rest.subarray(end);
    return { contents: rest.subarray(2 + width, end), whole: rest.subarray(0, end) };
  }
}

/**
 * Unsigned integers and text as bytes.
 * @module
 */

/** The order of an integer's bytes: `big` (network byte order, RFC 1700) or `little`. */
export type Endian = "big" | "little";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The UTF-8 bytes of a text. */
export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/** The text of UTF-8 bytes; what is no UTF-8 becomes U+FFFD. */
export function decodeText(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** A line without its LF or CRLF; no copy. */
export function withoutLineEnd(line: Uint8Array): Uint8Array {
  if (line.at(-1) !== 0x0a) return line;
  return line.subarray(0, line.at(-2) === 0x0d ? -2 : -1);
}

/**
 * Writes an unsigned integer of `width` bytes (1 to 6) at `offset`.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const bytes = new Uint8Array(4);
 * writeUint(bytes, 5, { width: 4, endian: "little" });
 * assertEquals(bytes, Uint8Array.of(5, 0, 0, 0));
 * ```
 * @throws {RangeError} if it is negative, no integer, or does not fit the width or the bytes
 */
export function writeUint(
  bytes: Uint8Array,
  value: number,
  { width, endian = "big", offset = 0 }: { readonly width: number; readonly endian?: Endian; readonly offset?: number },
): void {
  const max = 2 ** (8 * width) - 1;
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new RangeError(`Cannot write ${value} in ${width} bytes: 0 to ${max} fit`);
  }
  if (offset + width > bytes.length) {
    throw new RangeError(`Cannot write ${width} bytes at ${offset}: there are ${bytes.length} bytes`);
  }
  for (let i = 0, rest = value; i < width; i++, rest = Math.floor(rest / 256)) {
    bytes[offset + (endian === "big" ? width - 1 - i : i)] = rest; // stored modulo 256
  }
}

/** Reads the unsigned integer that all of `bytes` (1 to 6) make. */
export function readUint(bytes: Uint8Array, endian: Endian = "big"): number {
  const add = (value: number, byte: number) => value * 256 + byte;
  return endian === "big" ? bytes.reduce(add, 0) : bytes.reduceRight(add, 0);
}

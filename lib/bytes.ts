/**
 * Unsigned integers and text as bytes.
 * @module
 */

/** The order of an integer's bytes: `big` (network byte order, RFC 1700) or `little`. */
export type Endian = "big" | "little";

const encoder = new TextEncoder();

/** The UTF-8 bytes of a text. */
export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/** The text of UTF-8 bytes; what is no UTF-8 becomes U+FFFD. */
export function decodeText(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/**
 * Writes an unsigned integer of `width` bytes (1 to 6) at `offset`.
 * @throws {RangeError} if it is negative, no integer or does not fit
 */
export function writeUint(
  bytes: Uint8Array,
  value: number,
  { width, endian = "big", offset = 0 }: { width: number; endian?: Endian; offset?: number },
): void {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * width)) {
    throw new RangeError(`Cannot write ${value}: an unsigned integer of ${width} bytes is needed`);
  }
  let rest = value;
  for (let i = 0; i < width; i++) {
    bytes[offset + (endian === "big" ? width - 1 - i : i)] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}

/** Reads the unsigned integer that all of `bytes` (1 to 6) make. */
export function readUint(bytes: Uint8Array, endian: Endian = "big"): number {
  const digits = endian === "big" ? bytes : bytes.toReversed();
  return digits.reduce((value, byte) => value * 256 + byte, 0);
}

/**
 * Bytes for people: offset, hex and text, 16 to a row.
 * @module
 */

const ROW = 16;
const HALF = ROW / 2;

/** How {@linkcode formatChunk} shows a chunk. */
export interface ChunkFormat {
  /** The offset of its first byte in the stream. Default 0. */
  readonly offset?: number;
  /** The most bytes to show; the rest becomes one line that counts it. */
  readonly limit: number;
}

/**
 * The rows of a chunk: the decimal offset of the row's first byte, the bytes in hex, and as ASCII where a dot stands for
 * whatever is no printable character.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(formatChunk(Uint8Array.of(0x68, 0x69, 0x0a), { limit: 256 }), [
 *   "       0  68 69 0a                                          |hi.|",
 * ]);
 * ```
 */
export function formatChunk(chunk: Uint8Array, { offset = 0, limit }: ChunkFormat): string[] {
  const shown = chunk.subarray(0, limit);
  const rows = [];
  for (let start = 0; start < shown.length; start += ROW) {
    const row = shown.subarray(start, start + ROW);
    rows.push(`${`${offset + start}`.padStart(8)}  ${hexColumn(row)}  |${textColumn(row)}|`);
  }
  const rest = chunk.length - shown.length;
  if (rest > 0 && limit > 0) rows.push(`${"".padStart(8)}  … ${rest} more bytes`);
  return rows;
}

function hexColumn(row: Uint8Array): string {
  const hex = Array.from(row, (byte) => byte.toString(16).padStart(2, "0"));
  return `${hex.slice(0, HALF).join(" ")}  ${hex.slice(HALF).join(" ")}`.padEnd(3 * ROW);
}

function textColumn(row: Uint8Array): string {
  return Array.from(row, (byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".").join("");
}

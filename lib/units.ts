/**
 * Durations and sizes as people write them: `30s`, `5m`, `64KiB`, `1MB`.
 * @module
 */
import { UsageError } from "./errors.ts";

const MILLISECONDS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const BYTES: Record<string, number> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};
const QUANTITY = /^(\d+(?:\.\d+)?)([a-z]*)$/i;

/**
 * Milliseconds of a duration with its unit: `ms`, `s`, `m`, `h` or `d`. A bare `0` needs none and means "never" where a
 * program has a time-out.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(parseDuration("1.5s"), 1500);
 * ```
 * @throws {UsageError} if it is no number with a known unit
 */
export function parseDuration(text: string): number {
  const [, amount, unit] = QUANTITY.exec(text) ?? [];
  if (amount !== undefined && Number(amount) === 0 && unit === "") return 0;
  const factor = unit === undefined ? undefined : MILLISECONDS[unit];
  if (factor === undefined) {
    throw new UsageError(`${JSON.stringify(text)} is no duration: write 500ms, 30s, 5m, 2h or 7d`);
  }
  return Number(amount) * factor;
}

/**
 * Bytes of a size: a whole number of `B` (or no unit), `kB`, `MB`, `GB` (powers of 1000), `KiB`, `MiB`, `GiB` (powers of
 * 1024), in any case of letters.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(parseSize("64KiB"), 65536);
 * ```
 * @throws {UsageError} if it is no size, or no whole number of bytes up to 2^53 - 1
 */
export function parseSize(text: string): number {
  const [, amount, unit] = QUANTITY.exec(text) ?? [];
  const size = Number(amount) * (BYTES[unit?.toLowerCase() ?? "none"] ?? NaN);
  if (!Number.isSafeInteger(size)) {
    throw new UsageError(`${JSON.stringify(text)} is no size: write 512, 64KiB, 1MiB or 2GB`);
  }
  return size;
}

/** A duration for people, in the largest unit that is exact enough: `250 ms`, `1.5 s`, `5 min`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Number(ms.toPrecision(3))} ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(2))} s`;
  return `${Number((ms / 60_000).toFixed(1))} min`;
}

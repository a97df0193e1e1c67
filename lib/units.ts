/**
 * Durations, sizes and shares as people write them: `30s`, `5m`, `64KiB`, `1MB`, `10%`.
 * @module
 */
import { UsageError } from "./errors.ts";

const MILLISECONDS = new Map([["ms", 1], ["s", 1000], ["m", 60_000], ["h", 3_600_000], ["d", 86_400_000]]);
const BYTES = new Map([
  ["", 1],
  ["b", 1],
  ["kb", 1e3],
  ["mb", 1e6],
  ["gb", 1e9],
  ["kib", 2 ** 10],
  ["mib", 2 ** 20],
  ["gib", 2 ** 30],
]);
/** The longest duration, in ms: a timer of 2^31 ms (24.8 days) or more would fire at once. */
const MAX_DURATION_MS = 24 * 86_400_000;
const QUANTITY = /^(\d+)(?:\.(\d+))?([a-z]*)$/i;

/** What the text stands for in the smallest unit, NaN without a number and a known unit. Decimal places are exact. */
function quantity(text: string, units: Map<string, number>): number {
  const [, whole = "", fraction = "", unit = ""] = QUANTITY.exec(text) ?? [];
  return whole === "" ? NaN : Number(whole + fraction) * (units.get(unit) ?? NaN) / 10 ** fraction.length;
}

/**
 * Milliseconds of a duration with its unit: `ms`, `s`, `m`, `h` or `d`. A bare `0` needs none and means "never" where a
 * program has a time-out.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(parseDuration("1.5s"), 1500);
 * ```
 * @throws {UsageError} if it is no number with a known unit, or more than 24 days
 */
export function parseDuration(text: string): number {
  const ms = text === "0" ? 0 : quantity(text, MILLISECONDS);
  if (Number.isNaN(ms)) {
    throw new UsageError(`${JSON.stringify(text)} is no duration: write 500ms, 30s, 5m, 2h or 7d`);
  }
  if (ms > MAX_DURATION_MS) throw new UsageError(`${JSON.stringify(text)} is longer than 24 days`);
  return ms;
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
  const size = quantity(text.toLowerCase(), BYTES);
  if (!Number.isSafeInteger(size)) {
    throw new UsageError(`${JSON.stringify(text)} is no size: write 512, 64KiB, 1MiB or 2GB`);
  }
  return size;
}

/**
 * The share that a percentage is, from 0 to 1.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(parsePercent("2.5%"), 0.025);
 * ```
 * @throws {UsageError} if it is no number from 0 to 100 with `%`
 */
export function parsePercent(text: string): number {
  const [, percent] = /^(\d+(?:\.\d+)?)%$/.exec(text) ?? [];
  const share = Number(percent) / 100;
  if (!(share <= 1)) throw new UsageError(`${JSON.stringify(text)} is no percentage: write 0.5%, 10% or 100%`);
  return share;
}

/** A duration for people, in the largest unit that is exact enough: `250 ms`, `1.5 s`, `5 min`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Number(ms.toPrecision(3))} ms`;
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(2))} s`;
  return `${Number((ms / 60_000).toFixed(1))} min`;
}

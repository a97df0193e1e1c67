/**
 * How far a transfer is, how fast, and how long it will take: as numbers, as a line for a terminal, and as the last line.
 * @module
 */

/** The time over which the rate is smoothed, in ms. */
const SMOOTHING_MS = 3000;
/** A transfer that has not moved for this long is stalled, in ms. */
const STALLED_MS = 5000;
/** Width of the bar, in characters. */
const BAR_WIDTH = 20;

/** Follows the position of a transfer; all times are ms of one clock. */
export class Meter {
  readonly size: number;
  #position: number;
  #at: number;
  #movedAt: number;
  #rate: number | undefined; // bytes a ms

  /** Begins at `position` of `size` bytes. */
  constructor(size: number, position: number, now: number) {
    this.size = size;
    this.#position = position;
    this.#at = this.#movedAt = now;
  }

  /** Bytes that have arrived. */
  get position(): number {
    return this.#position;
  }

  /** It is at `position` now. The rate follows as a moving average: what is 3 s old counts 1/e. */
  moveTo(position: number, now: number): void {
    const elapsed = now - this.#at;
    if (elapsed <= 0) return;
    const rate = Math.max(0, position - this.#position) / elapsed;
    const weight = 1 - Math.exp(-elapsed / SMOOTHING_MS);
    this.#rate = this.#rate === undefined ? rate : this.#rate + weight * (rate - this.#rate);
    if (position > this.#position) this.#movedAt = now;
    this.#position = position;
    this.#at = now;
  }

  /** Bytes a second, 0 while nothing is known. */
  get rate(): number {
    return 1000 * (this.#rate ?? 0);
  }

  /** Seconds to the end at this rate; Infinity while nothing moves. */
  get secondsLeft(): number {
    return (this.size - this.#position) / this.rate;
  }

  /** Whether nothing has moved for 5 s. */
  isStalled(now: number): boolean {
    return now - this.#movedAt >= STALLED_MS;
  }
}

/**
 * The line of a terminal: `photo.jpg  41 % [========            ] 412/1024 MiB  201.1 MB/s  ETA 0:03`. On a narrow terminal
 * the bar goes first, then the name's end.
 */
export function formatProgress(name: string, meter: Meter, { now, columns }: { now: number; columns: number }): string {
  const share = meter.size === 0 ? 1 : meter.position / meter.size;
  const mebibytes = (bytes: number) => Math.floor(bytes / 2 ** 20);
  const speed = meter.isStalled(now) ? "stalled" : `${(meter.rate / 1e6).toFixed(1)} MB/s  ETA ${formatEta(meter)}`;
  const percent = `${Math.floor(100 * share)} %`.padStart(5);
  const amount = `${mebibytes(meter.position)}/${mebibytes(meter.size)} MiB  ${speed}`;
  const bar = `[${"=".repeat(Math.floor(BAR_WIDTH * share)).padEnd(BAR_WIDTH)}]`;
  const rest = ` ${percent} ${bar} ${amount}`;
  if (widthOf(name) + rest.length < columns) return name + rest;
  const short = ` ${percent} ${amount}`;
  return cut(cut(name, Math.max(1, columns - 1 - short.length)) + short, columns - 1);
}

/** What takes two columns of a terminal (UAX #11): East Asia's letters, emoji. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{1b2ff}\u{1f200}-\u{1f2ff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;
/** What takes none: marks on others. */
const MARK = /[\p{Mn}\p{Me}\p{Cf}]/u;

function columnsOf(character: string): number {
  return WIDE.test(character) ? 2 : MARK.test(character) ? 0 : 1;
}

function widthOf(text: string): number {
  return Array.from(text, columnsOf).reduce((sum, columns) => sum + columns, 0);
}

/** As much of a text's beginning as fits. */
function cut(text: string, columns: number): string {
  let left = columns;
  return Array.from(text).filter((character) => (left -= columnsOf(character)) >= 0).join("");
}

function formatEta({ secondsLeft }: Meter): string {
  if (!Number.isFinite(secondsLeft)) return "-:--";
  const seconds = Math.ceil(secondsLeft);
  const two = (value: number) => `${value % 60}`.padStart(2, "0");
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes}:${two(seconds)}` : `${Math.floor(minutes / 60)}:${two(minutes)}:${two(seconds)}`;
}

/** What a transfer was, when it is over. */
export interface Report {
  readonly command: "put" | "get";
  /** The file here, and its name there. */
  readonly file: string;
  readonly name: string;
  /** Of the whole file, in bytes. */
  readonly size: number;
  /** Bytes that the last try moved, and its time. */
  readonly moved: number;
  readonly seconds: number;
  /** From the beginning of the first try, breaks and waits included. */
  readonly totalSeconds: number;
  /** Bytes that were there before the first try. */
  readonly resumedFrom: number;
  readonly breaks: number;
  /** 64 hex digits; null if nobody hashed. */
  readonly sha256: string | null;
  /** Whether the file was there already, whole. */
  readonly alreadyThere: boolean;
}

/** The last line of a transfer: bytes, seconds, MB/s and Mbit/s, digest, and what went wrong in between. */
export function formatReport(report: Report): string {
  const { name, size, moved, seconds, totalSeconds, resumedFrom, breaks, sha256, alreadyThere } = report;
  const digest = sha256 === null ? "not verified" : `sha256=${sha256}`;
  if (alreadyThere) return `${name}: is there already: ${size} bytes, ${digest}`;
  const parts = [`${name}: ${moved} bytes in ${seconds.toFixed(3)} s, ${formatRates(moved, seconds)}`, digest];
  if (resumedFrom > 0 || breaks > 0) {
    parts.push(`resumed from ${resumedFrom}, ${breaks} ${breaks === 1 ? "break" : "breaks"}`);
    const gained = size - resumedFrom;
    parts.push(`in all ${gained} bytes in ${totalSeconds.toFixed(3)} s, ${formatRates(gained, totalSeconds)}`);
  }
  return parts.join(", ");
}

/** `824.1 MB/s, 6592.8 Mbit/s`. */
function formatRates(bytes: number, seconds: number): string {
  const megabytes = bytes / 1e6 / Math.max(seconds, 1e-6);
  return `${megabytes.toFixed(1)} MB/s, ${(8 * megabytes).toFixed(1)} Mbit/s`;
}

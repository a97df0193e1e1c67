/**
 * Numbered datagrams to an echo server, and the statistics of what comes back.
 *
 * Layout of a datagram: `number (4 bytes, unsigned, big-endian) || "." (as many as the size asks for)`. One of less than
 * 4 bytes carries the low bytes of its number. See docs/protocols/udp_echo.md.
 * @module
 */
import { readUint, writeUint } from "./bytes.ts";

/** Bytes of a number, where there is room. */
const NUMBER_WIDTH = 4;
const FILLER = ".".charCodeAt(0);

/** What came back: the first echo of a datagram, a further one of the same, or nothing that was ever sent. */
export type ProbeReply = "echo" | "duplicate" | "foreign";

/** How many datagrams of how many bytes. */
export interface ProbeOptions {
  /** Datagrams to send. */
  readonly count: number;
  /** Bytes of each, 0 to 65,507. */
  readonly size: number;
}

/** What has been counted. */
export interface ProbeStatistics {
  /** Datagrams sent. */
  readonly sent: number;
  /** Those of which an echo has come. */
  readonly received: number;
  /** Those of which none has. */
  readonly lost: number;
  /** Echoes beyond the first of their datagram. */
  readonly duplicated: number;
  /** First echoes that came after the echo of a datagram sent later (RFC 4737 §3.3). */
  readonly reordered: number;
  /** Round-trip times of the first echoes in ms, ascending. */
  readonly rtts: Float64Array;
}

/**
 * Counts what happens to `count` datagrams of `size` bytes.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const probe = new DatagramProbe({ count: 2, size: 64 });
 * const first = probe.next(0).slice();
 * probe.next(1);
 * assertEquals(probe.receive(first, 5), "echo");
 * assertEquals(probe.receive(first, 6), "duplicate");
 * assertEquals(formatStatistics(probe.statistics()), "sent 2, received 1, lost 1 (50%), duplicated 1, reordered 0, rtt min/median/p99/max 5.000/5.000/5.000/5.000 ms");
 * ```
 */
export class DatagramProbe {
  readonly #width: number;
  readonly #datagram: Uint8Array;
  /** When each number was sent, in ms. */
  readonly #sentAt: Float64Array;
  /** Echoed datagrams by the number that they carried. */
  readonly #echoes: Uint32Array;
  readonly #rtts: Float64Array;
  #sent = 0;
  #received = 0;
  #duplicated = 0;
  #reordered = 0;
  #highest = -1; // number echoed

  /** Prepares the datagrams; the memory is 20 bytes for each. */
  constructor({ count, size }: ProbeOptions) {
    this.#width = Math.min(size, NUMBER_WIDTH);
    this.#datagram = new Uint8Array(size).fill(FILLER);
    this.#sentAt = new Float64Array(count);
    this.#echoes = new Uint32Array(Math.min(count, this.#modulus));
    this.#rtts = new Float64Array(count);
  }

  /** How many numbers differ on the wire. */
  get #modulus(): number {
    return 256 ** this.#width;
  }

  /** How many datagrams have been sent. */
  get sent(): number {
    return this.#sent;
  }

  /** Whether all have been sent and echoed. */
  get complete(): boolean {
    return this.#received === this.#sentAt.length;
  }

  /** The next datagram, sent at `now` (ms); valid until the next call. */
  next(now: number): Uint8Array {
    const number = this.#sent++;
    this.#sentAt[number] = now;
    writeUint(this.#datagram, number % this.#modulus, { width: this.#width });
    return this.#datagram;
  }

  /** Takes what arrived at `now` (ms). Where several datagrams carried the same low bytes, it echoes the oldest that has no echo. */
  receive(datagram: Uint8Array, now: number): ProbeReply {
    if (datagram.length !== this.#datagram.length) return "foreign";
    const carried = readUint(datagram.subarray(0, this.#width));
    const echoes = this.#echoes[carried] ?? 0;
    const number = carried + echoes * this.#modulus;
    if (number >= this.#sent) {
      if (echoes === 0) return "foreign";
      this.#duplicated++;
      return "duplicate";
    }
    this.#echoes[carried] = echoes + 1;
    this.#rtts[this.#received++] = now - this.#sentAt[number]!;
    if (number < this.#highest) this.#reordered++;
    else this.#highest = number;
    return "echo";
  }

  /** What has been counted so far. */
  statistics(): ProbeStatistics {
    return {
      sent: this.#sent,
      received: this.#received,
      lost: this.#sent - this.#received,
      duplicated: this.#duplicated,
      reordered: this.#reordered,
      rtts: this.#rtts.slice(0, this.#received).sort(),
    };
  }
}

/** The smallest of the ascending values that `percent` of them do not exceed: the nearest-rank percentile. */
export function percentile(ascending: ArrayLike<number>, percent: number): number | undefined {
  return ascending[Math.max(Math.ceil(ascending.length * percent / 100) - 1, 0)];
}

/** The statistics as one line; `-` stands for the round-trip times when nothing came back. */
export function formatStatistics({ rtts, ...counts }: ProbeStatistics): string {
  const { sent, received, lost, duplicated, reordered } = counts;
  const share = Number((100 * lost / Math.max(sent, 1)).toPrecision(3));
  const times = [0, 50, 99, 100].map((percent) => percentile(rtts, percent)?.toFixed(3)).join("/");
  return `sent ${sent}, received ${received}, lost ${lost} (${share}%), duplicated ${duplicated}, ` +
    `reordered ${reordered}, rtt min/median/p99/max ${rtts.length === 0 ? "-" : `${times} ms`}`;
}

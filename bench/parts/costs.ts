/**
 * The table of a load: what a message costs the server, and how long it takes.
 * @module
 */
import type { Contender } from "../contenders.ts";
import { digits, type Table } from "../report.ts";
import type { Samples } from "../rounds.ts";

/** What every load generator measures. */
export interface Figures {
  /** Messages per second. */
  readonly perSecond: number;
  /** CPU microseconds of the server process a message: all threads, user and system. */
  readonly cpuUs: number;
  /** Microseconds from sending to the last byte back: the median, and what the slowest hundredth exceeds. */
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Which figures a table shows. */
export interface CostsOptions<Sample, Of extends Figures> {
  readonly caption: string;
  readonly contenders: readonly Contender[];
  readonly samples: Samples<Sample>;
  /** The figures of a sample that the table is about. */
  readonly of: (sample: Sample) => Of;
  /** The contender that the others are compared with. */
  readonly peer: Contender;
  /** What a message is called. */
  readonly message: string;
  /** One more column. */
  readonly extra?: { readonly title: string; readonly figure: (figures: Of) => number };
}

/** One row a contender: medians of the rounds, and the median ratio to the peer. */
export function costs<Sample, Of extends Figures>(
  { caption, contenders, samples, of, peer, message, extra }: CostsOptions<Sample, Of>,
): Table {
  const row = ({ name }: Contender) => {
    const at = (figure: (figures: Of) => number) => samples.median(name, (sample) => figure(of(sample)));
    return [
      at(({ cpuUs }) => cpuUs),
      samples.medianRatio(name, peer.name, (sample) => of(sample).cpuUs),
      at(({ perSecond }) => perSecond),
      at(({ p50Us }) => p50Us / 1000),
      at(({ p99Us }) => p99Us / 1000),
      ...extra === undefined ? [] : [at(extra.figure)],
    ];
  };
  return {
    caption,
    head: [
      "",
      "CPU µs",
      `× ${peer.name}`,
      `${message}s/s`,
      "p50 ms",
      "p99 ms",
      ...extra === undefined ? [] : [extra.title],
    ],
    rows: contenders.map((contender) => [contender.name, ...row(contender).map(digits)]),
  };
}

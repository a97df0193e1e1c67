/**
 * Rounds: every contender is measured once a round, and compared with what another one did in the same round. What slows
 * the whole machine for a while then slows both, and a median forgets it.
 * @module
 */
/** What the rounds of each contender gave, by its name. */
export class Samples<Sample> {
  readonly #rounds = new Map<string, Sample[]>();

  add(name: string, sample: Sample): void {
    this.#rounds.set(name, [...this.all(name), sample]);
  }

  /** In the order of the rounds; empty if it was left out. */
  all(name: string): readonly Sample[] {
    return this.#rounds.get(name) ?? [];
  }

  /** The median of one figure. */
  median(name: string, figure: (sample: Sample) => number): number {
    return median(this.all(name).map(figure));
  }

  /** The median of {@linkcode ratios}. */
  medianRatio(name: string, peer: string, figure: (sample: Sample) => number): number {
    return median(this.ratios(name, peer, figure));
  }

  /** One figure of a contender divided by that of a peer, round by round; empty if one of them was left out. */
  ratios(name: string, peer: string, figure: (sample: Sample) => number): number[] {
    const peers = this.all(peer);
    return peers.length === 0 ? [] : this.all(name).map((sample, round) => figure(sample) / figure(peers[round]!));
  }
}

/** Measures each contender once a round; each round begins with another one. */
export async function inRounds<Contender extends { readonly name: string }, Sample>(
  contenders: readonly Contender[],
  { rounds, part }: { rounds: number; part: string },
  measure: (contender: Contender) => Promise<Sample>,
): Promise<Samples<Sample>> {
  const samples = new Samples<Sample>();
  for (let round = 0; round < rounds; round++) {
    console.error(`${part}: round ${round + 1} of ${rounds}`);
    const first = round % contenders.length;
    for (const contender of [...contenders.slice(first), ...contenders.slice(0, first)]) {
      samples.add(contender.name, await measure(contender));
    }
  }
  return samples;
}

/** The middle value; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/**
 * One direction of UDP between a client and the target, with the faults that datagrams can suffer. See
 * docs/protocols/wiretap.md.
 * @module
 */
import { CHUNK_COST, type Link, LINK_CAPACITY, Pace, type Step } from "./link.ts";

/** How long a datagram is held back for the next one to overtake it, in ms. */
export const REORDER_TIMEOUT_MS = 100;

/** What happens to datagrams; what is absent does not happen. The shares are probabilities from 0 to 1. */
export interface DatagramFaults {
  /** Each datagram arrives so many ms later. */
  readonly delay?: number | undefined;
  /** At most so many bytes per second pass. */
  readonly rate?: number | undefined;
  /** The share that is lost. */
  readonly drop?: number | undefined;
  /** The share that arrives twice. */
  readonly duplicate?: number | undefined;
  /** The share that is overtaken by the next one. */
  readonly reorder?: number | undefined;
}

/** A datagram on its way. */
interface Held {
  readonly bytes: Uint8Array;
  /** When it may leave, in ms. */
  readonly leavesAt: number;
}

/**
 * Passes datagrams on whole, or not.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const link = new DatagramLink({ drop: 0.1 }, () => 0.05); // dice that always show 0.05
 * assertEquals(link.receive(Uint8Array.of(1), 0), "dropped");
 * assertEquals(link.next(0), undefined);
 * ```
 */
export class DatagramLink implements Link {
  readonly #faults: DatagramFaults;
  readonly #random: () => number;
  readonly #pace: Pace;
  readonly #queue: Held[] = [];
  #late: Held[] = []; // held back until the next datagram has passed
  #held = 0; // bytes on their way, and the cost of their datagrams

  /** `random` gives numbers in [0, 1); each datagram takes three, whatever the faults: one for each kind of accident. */
  constructor(faults: DatagramFaults, random: () => number) {
    this.#faults = faults;
    this.#random = random;
    this.#pace = new Pace(faults.rate);
  }

  receive(datagram: Uint8Array, now: number): string | undefined {
    const { drop = 0, duplicate = 0, reorder = 0, delay = 0 } = this.#faults;
    const [dropped, doubled, late] = [drop, duplicate, reorder].map((share) => this.#random() < share);
    if (dropped) return "dropped";
    if (this.#held >= LINK_CAPACITY) return "dropped: too many are on their way";
    const held = { bytes: datagram.slice(), leavesAt: now + delay };
    const copies = doubled ? [held, held] : [held];
    this.#held += copies.length * (datagram.length + CHUNK_COST);
    const heldBack = late && this.#late.length === 0;
    if (heldBack) {
      this.#late = copies.map((copy) => ({ ...copy, leavesAt: held.leavesAt + REORDER_TIMEOUT_MS }));
    } else {
      this.#queue.push(...copies, ...this.#late.map((copy) => ({ ...copy, leavesAt: held.leavesAt })));
      this.#late = [];
    }
    const notes = [...doubled ? ["doubled"] : [], ...heldBack ? ["held back"] : []];
    return notes.length === 0 ? undefined : notes.join(", ");
  }

  next(now: number): Step | undefined {
    const line = this.#queue.length > 0 ? this.#queue : this.#late;
    const head = line[0];
    if (head === undefined) return undefined;
    const wait = Math.max(head.leavesAt, this.#pace.free) - now;
    if (wait > 0) return { type: "wait", ms: wait };
    line.shift();
    this.#held -= head.bytes.length + CHUNK_COST;
    this.#pace.spend(head.bytes.length, now);
    return { type: "pass", bytes: head.bytes };
  }
}

/**
 * What a client has of a server's messages over one connection or several: which it has seen, from where on some may be
 * missing, and which wait until older ones have come.
 * @module
 */
import type { Message } from "./messages.ts";

/** Messages that came so short a time before the connection was lost may have overtaken others that did not, in ms. */
const OVERLAP_MS = 30_000;
/** Messages that are remembered, and that are held back. */
const MEMORY = 10_000;

/**
 * The messages that have come. Times are in ms on a clock that never goes back.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const inbox = new Inbox(() => 0);
 * assertEquals([inbox.see(1, 1763712000), inbox.see(1, 1763712000)], [true, false]);
 * ```
 */
export class Inbox {
  readonly #now: () => number;
  /** By id and time: a server may begin to count anew. */
  readonly #seen = new Set<string>();
  /** When the latest of them came. */
  readonly #recent: { readonly id: number; readonly at: number }[] = [];
  #floor: number | undefined;
  /** Messages that came while others that are older were being asked for. */
  #held: Message[] | undefined;

  /** An empty one. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Up to this id nothing is missing; undefined: that is not known. */
  get floor(): number | undefined {
    return this.#floor;
  }

  /** Whether new messages are to be held back. */
  get holds(): boolean {
    return this.#held !== undefined;
  }

  /** Learns the newest id that the server has given when the first login was made. */
  begin(newest: number): void {
    const earliest = Math.min(Infinity, ...this.#recent.map(({ id }) => id));
    this.#floor = Math.min(newest, earliest - 1);
  }

  /** Learns that the server had given no id then. */
  beginEmpty(): void {
    this.#floor ??= 0;
  }

  /** Whether a message is known. */
  hasSeen(id: number, time: number): boolean {
    return this.#seen.has(keyOf(id, time));
  }

  /** Remembers a message; false if it was known. */
  see(id: number, time: number): boolean {
    if (this.hasSeen(id, time)) return false;
    this.#seen.add(keyOf(id, time));
    if (this.#seen.size > MEMORY) this.#seen.delete(this.#seen.values().next().value!);
    this.settle();
    this.#recent.push({ id, at: this.#now() });
    if (this.#floor !== undefined && id <= this.#floor) this.#floor = id - 1; // it has waited, and so may have others
    return true;
  }

  /** Raises the floor to the messages that came long enough ago. */
  settle(): void {
    const settled = this.#now() - OVERLAP_MS;
    while (this.#recent.length > 0 && (this.#recent[0]!.at <= settled || this.#recent.length > MEMORY)) {
      const { id } = this.#recent.shift()!;
      if (this.#floor !== undefined && !this.holds) this.#floor = Math.max(this.#floor, id);
    }
  }

  /** Begins to hold messages back. */
  startHolding(): void {
    this.#held ??= [];
  }

  /** Holds messages back, and gives those that are too many to be held. */
  hold(messages: readonly Message[]): Message[] {
    const held = this.#held ??= [];
    held.push(...messages);
    return held.length > MEMORY ? inOrder(held.splice(0)) : [];
  }

  /** Gives the messages that were held back, in the server's order, and holds no more. */
  release(): Message[] {
    const held = this.#held ?? [];
    this.#held = undefined;
    return inOrder(held);
  }
}

function keyOf(id: number, time: number): string {
  return `${id} ${time}`;
}

function inOrder(messages: Message[]): Message[] {
  return messages.sort((a, b) => (a.id ?? 0) - (b.id ?? 0));
}

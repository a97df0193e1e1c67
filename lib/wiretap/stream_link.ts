/**
 * One direction of a TCP connection, with the faults that a byte stream can suffer. See docs/protocols/wiretap.md.
 * @module
 */
import { concat } from "@std/bytes";
import { CHUNK_COST, type Link, LINK_CAPACITY, Pace, type Step } from "./link.ts";

/** What happens to a stream; what is absent does not happen. Offsets count the bytes received, from 0. */
export interface StreamFaults {
  /** Everything arrives so many ms later. */
  readonly delay?: number | undefined;
  /** At most so many bytes per second pass. */
  readonly rate?: number | undefined;
  /** Chunks are cut into pieces of so many bytes. */
  readonly split?: number | undefined;
  /** What arrives within so many ms of a chunk is merged with it. */
  readonly glue?: number | undefined;
  /** So many bytes pass, then both sides are closed. */
  readonly cutAfter?: number | undefined;
  /** So many bytes pass, then no more, nor the end of the stream. */
  readonly stallAfter?: number | undefined;
  /** All bits of the byte at this offset are inverted. */
  readonly corruptAt?: number | undefined;
}

/** A chunk on its way, or several that were merged. */
interface Held {
  parts: Uint8Array[];
  /** Until when what arrives is merged with it, in ms. */
  readonly openUntil: number;
  /** When it may leave, in ms. */
  readonly leavesAt: number;
}

/**
 * Passes chunks on as they came, or as its faults have it. Bytes never change their order.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const link = new StreamLink({ delay: 50, split: 2 });
 * link.receive(Uint8Array.of(1, 2, 3), 1000);
 * assertEquals(link.next(1000), { type: "wait", ms: 50 });
 * assertEquals(link.next(1050), { type: "pass", bytes: Uint8Array.of(1, 2) });
 * assertEquals(link.next(1050), { type: "pass", bytes: Uint8Array.of(3) });
 * assertEquals(link.next(1050), undefined);
 * ```
 */
export class StreamLink implements Link {
  readonly #faults: StreamFaults;
  readonly #limit: number; // bytes that pass
  readonly #pace: Pace;
  readonly #capacity: number;
  readonly #queue: Held[] = [];
  #received = 0; // bytes, also those that do not pass
  #held = 0; // bytes in the queue, and the cost of its chunks
  #endsAt: number | undefined;

  constructor(faults: StreamFaults = {}) {
    this.#faults = faults;
    this.#limit = Math.min(faults.cutAfter ?? Infinity, faults.stallAfter ?? Infinity);
    this.#pace = new Pace(faults.rate);
    this.#capacity = faults.delay || faults.glue ? LINK_CAPACITY : 1;
  }

  /**
   * Whether to read no more for now: without `delay` and `glue` as soon as anything waits, with them at 1 MiB. What is not
   * read makes the sender wait, as if there were no relay.
   */
  get full(): boolean {
    return this.#held >= this.#capacity;
  }

  receive(chunk: Uint8Array, now: number): string | undefined {
    const start = this.#received;
    this.#received += chunk.length;
    const bytes = chunk.slice(0, Math.max(0, this.#limit - start));
    const notes = [];
    const target = (this.#faults.corruptAt ?? -1) - start;
    if (target in bytes) {
      bytes[target]! ^= 0xff;
      notes.push(`byte ${this.#faults.corruptAt} corrupted`);
    }
    if (bytes.length < chunk.length) notes.push(`${bytes.length} of them pass`);
    if (bytes.length > 0) this.#hold(bytes, now);
    return notes.length === 0 ? undefined : notes.join(", ");
  }

  /** Tells that the stream has ended. */
  end(now: number): void {
    this.#endsAt = now + (this.#faults.delay ?? 0);
  }

  next(now: number): Step | undefined {
    const head = this.#queue[0];
    if (head === undefined) return this.#nextWithoutBytes(now);
    const wait = Math.max(head.leavesAt, this.#pace.free) - now;
    if (wait > 0) return { type: "wait", ms: wait };
    const bytes = head.parts.length === 1 ? head.parts[0]! : concat(head.parts);
    const piece = bytes.subarray(0, this.#faults.split ?? this.#pace.burst);
    const rest = piece.length < bytes.length ? [bytes.subarray(piece.length)] : [];
    this.#held -= piece.length + CHUNK_COST * (head.parts.length - rest.length);
    head.parts = rest;
    if (rest.length === 0) this.#queue.shift();
    this.#pace.spend(piece.length, now);
    return { type: "pass", bytes: piece };
  }

  #nextWithoutBytes(now: number): Step | undefined {
    const ended = this.#endsAt !== undefined;
    if (this.#received >= this.#limit) {
      if (this.#limit === this.#faults.cutAfter) return { type: "cut" };
      return ended ? { type: "stalled" } : undefined;
    }
    if (!ended) return undefined;
    const wait = this.#endsAt! - now;
    return wait > 0 ? { type: "wait", ms: wait } : { type: "end" };
  }

  #hold(bytes: Uint8Array, now: number): void {
    const last = this.#queue.at(-1);
    this.#held += bytes.length + CHUNK_COST;
    if (last !== undefined && now < last.openUntil) {
      last.parts.push(bytes);
      return;
    }
    const openUntil = now + (this.#faults.glue ?? 0);
    this.#queue.push({ parts: [bytes], openUntil, leavesAt: openUntil + (this.#faults.delay ?? 0) });
  }
}

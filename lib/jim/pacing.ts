/**
 * How many objects go into one write, and when. Programs that take what one `recv` brings for one object lose the second
 * of two that arrive together, so that they get one object in a write and a pause after it; whoever has shown that it reads
 * streams gets all at once.
 * @module
 */
import { concat } from "@std/bytes";

/** The pause after an object for a client that reads no streams, in ms: long enough for a thread that waits in `recv`. */
export const OBJECT_GAP_MS = 20;
/** The most bytes of one write to a client that reads streams, unless a single object has more. */
export const MAX_WRITE = 64 * 1024;

/** How a client reads. */
export interface Reader {
  /** It finds the objects of one write by itself. */
  readonly streams: boolean;
  /** It leaves what it did not ask for unread for so many ms. Default 0. */
  readonly pollInterval?: number;
}

/** An answer to what the client has asked, or an event. */
export type Kind = "answer" | "event";

/** What to do now. */
export type Pace =
  /** Write this, then ask again. */
  | { readonly type: "write"; readonly bytes: Uint8Array }
  /** Ask again in so many ms, or when the client is found to read streams. */
  | { readonly type: "wait"; readonly ms: number };

/**
 * The queue of objects for one client. Times are in ms on any clock that only goes forward.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const pacer = new Pacer();
 * const [one, two] = [Uint8Array.of(1), Uint8Array.of(2)];
 * pacer.push([one, two], "event");
 * const next = (now: number) => pacer.next({ streams: false }, () => now);
 * assertEquals(next(1000), { type: "write", bytes: one });
 * assertEquals(next(1005), { type: "wait", ms: 15 });
 * assertEquals(next(1020), { type: "write", bytes: two });
 * assertEquals(next(1020), undefined); // nothing is left
 * ```
 */
export class Pacer {
  #objects: Uint8Array[] = [];
  #kinds: Kind[] = []; // of each
  #queued = 0;
  #writtenAt = -Infinity;

  /** Bytes that wait. */
  get queued(): number {
    return this.#queued;
  }

  /** Appends objects. They are not copied. */
  push(objects: readonly Uint8Array[], kind: Kind): void {
    for (const bytes of objects) {
      this.#objects.push(bytes);
      this.#kinds.push(kind);
      this.#queued += bytes.length;
    }
  }

  /** What to do when all earlier writes have ended; undefined: nothing waits. For who reads streams nobody asks the time. */
  next({ streams, pollInterval = 0 }: Reader, now: () => number): Pace | undefined {
    if (this.#objects.length === 0) return undefined;
    if (streams) return { type: "write", bytes: this.#take(0, this.#fittingObjects()) };
    // A client that polls waits for an answer when it has asked: answers overtake events.
    const index = pollInterval === 0 ? 0 : Math.max(this.#kinds.indexOf("answer"), 0);
    const gap = this.#kinds[index] === "event" ? Math.max(pollInterval, OBJECT_GAP_MS) : OBJECT_GAP_MS;
    const time = now();
    const ms = this.#writtenAt + gap - time;
    if (ms > 0) return { type: "wait", ms };
    this.#writtenAt = time;
    return { type: "write", bytes: this.#take(index, 1) };
  }

  /** How many objects fit one write; at least one. */
  #fittingObjects(): number {
    if (this.#queued <= MAX_WRITE) return this.#objects.length;
    let left = MAX_WRITE;
    return Math.max(this.#objects.findIndex(({ length }) => (left -= length) < 0), 1);
  }

  #take(index: number, count: number): Uint8Array {
    const objects = this.#objects.splice(index, count);
    this.#kinds.splice(index, count);
    const bytes = objects.length === 1 ? objects[0]! : join(objects);
    this.#queued -= bytes.length;
    return bytes;
  }
}

/** What was joined last: all members of a room get the same objects in the same turn, and share the bytes of their write. */
let joined: { readonly objects: readonly Uint8Array[]; readonly bytes: Uint8Array } | undefined;

function join(objects: readonly Uint8Array[]): Uint8Array {
  const isSame = objects.length === joined?.objects.length &&
    objects.every((object, i) => object === joined!.objects[i]);
  if (!isSame) joined = { objects, bytes: concat(objects) };
  return joined!.bytes;
}

/**
 * Digests that were computed once and are true as long as the file is the same.
 * @module
 */
import type { Hash } from "node:crypto";
import { TruncatedError } from "../../errors.ts";
import { WORKING } from "../../files/replies.ts";
import { onDisk } from "./disk.ts";
import type { Turns } from "./turns.ts";

/** How many digests are kept. */
const MAX_ENTRIES = 10_000;
/** The most that is read at once, in bytes. */
const READ_SIZE = 2 ** 20;
/** How often a peer that waits for a digest is told that it is computed, in ms. */
const TELL_MS = 1000;

/** What a file was when something was found out about it: when it is changed, so is this. */
function stampOf({ dev, ino, size, mtime, ctime }: Deno.FileInfo): string {
  return [dev, ino, size, mtime?.getTime(), ctime?.getTime()].join(" ");
}

/** Values of files by name, each true for one stamp; the oldest go first. */
export class StampedCache<Value> {
  readonly #entries = new Map<string, { stamp: string; value: Value; time: number }>();
  readonly #maxEntries: number;
  readonly #maxAge: number;

  /** Keeps so many values for `maxAge` ms each. */
  constructor({ maxEntries = MAX_ENTRIES, maxAge = Infinity }: { maxEntries?: number; maxAge?: number } = {}) {
    this.#maxEntries = maxEntries;
    this.#maxAge = maxAge;
  }

  get(name: string, info: Deno.FileInfo): Value | undefined {
    const entry = this.#entries.get(name);
    if (entry === undefined) return undefined;
    if (entry.stamp === stampOf(info) && performance.now() - entry.time <= this.#maxAge) return entry.value;
    this.#entries.delete(name);
    return undefined;
  }

  set(name: string, info: Deno.FileInfo, value: Value): void {
    this.#entries.delete(name);
    this.#entries.set(name, { stamp: stampOf(info), value, time: performance.now() });
    if (this.#entries.size > this.#maxEntries) this.#entries.delete(this.#entries.keys().next().value!);
  }

  delete(name: string): void {
    this.#entries.delete(name);
  }
}

/** What hashing a long file needs. */
export interface HashOptions {
  readonly turns: Turns;
  /** Told every second how far it is. */
  readonly tell: (text: string) => void;
  /** Whether nobody waits for it any more. */
  readonly isVain: () => boolean;
}

const buffer = new Uint8Array(READ_SIZE); // filled and hashed in one go: all may share it

/**
 * Adds the bytes `from` to `to` of a file to a digest; a file that is shorter is hashed to its end.
 * @throws {TruncatedError} if the peer that it is for has gone
 */
export async function hashRange(
  file: Deno.FsFile,
  hash: Hash,
  { from, to, turns, tell, isVain }: HashOptions & { readonly from: number; readonly to: number },
): Promise<void> {
  let told = performance.now();
  let at = from;
  while (at < to) {
    const count = onDisk(() => {
      file.seekSync(at, Deno.SeekMode.Start); // somebody else may have used the file during a pause
      return file.readSync(buffer.subarray(0, Math.min(READ_SIZE, to - at)));
    });
    if (count === null) break;
    hash.update(buffer.subarray(0, count));
    at += count;
    const now = performance.now();
    if (now - told >= TELL_MS) {
      told = now;
      tell(WORKING.format({ percent: Math.floor(100 * at / to) }));
    }
    await turns.take();
    if (isVain()) throw new TruncatedError("Cannot complete the digest: the peer has gone");
  }
}

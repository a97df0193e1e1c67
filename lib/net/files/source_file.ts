/**
 * A file that is being uploaded: read once, hashed on its way.
 * @module
 */
import type { BodyEnd } from "../../files/client_talk.ts";
import { CODE } from "../../files/replies.ts";
import { encodeLine } from "../../files/session.ts";
import { attempt, AttemptError } from "../failure.ts";
import { delay } from "../timing.ts";
import { DiskError, onDisk } from "./disk.ts";
import { isBreak, type Link, type Notice } from "./link.ts";
import { PrefixHash } from "./prefix_hash.ts";

/** The size of each of the two blocks: one is on its way while the other is read and hashed. */
const BLOCK_SIZE = 2 ** 20;
/** How long hashing may keep Ctrl-C waiting, in ms. */
const TURN_MS = 100;

/** The file has changed while it was read: what was sent is neither the old one nor the new one. */
class SourceChangedError extends Error {
  override name = "SourceChangedError";

  /** `how` it has changed. */
  constructor(path: string, how: string) {
    super(`Cannot go on with ${path}: ${how}`);
  }
}

/** Has the hash see the first `to` bytes of a file, those that it has seen not again. Ends early when the signal is aborted. */
export async function hashFile(
  file: Deno.FsFile,
  hash: PrefixHash,
  { path, to, signal }: { path: string; to: number; signal: AbortSignal },
): Promise<void> {
  hash.rewind(to);
  const block = new Uint8Array(Math.min(BLOCK_SIZE, Math.max(1, to - hash.position)));
  onDisk(() => file.seekSync(hash.position, Deno.SeekMode.Start));
  for (let since = performance.now(); hash.position < to && !signal.aborted;) {
    const count = readNext(file, block.subarray(0, Math.min(block.length, to - hash.position)), path);
    if (count === null) throw new SourceChangedError(path, "it has become shorter while it was read");
    hash.update(block.subarray(0, count));
    if (performance.now() - since < TURN_MS) continue;
    await delay(0);
    since = performance.now();
  }
}

/**
 * Reads what comes next of a file.
 * @throws {AttemptError} that names it
 */
function readNext(file: Deno.FsFile, block: Uint8Array, path: string): number | null {
  try {
    return file.readSync(block);
  } catch (error) {
    throw new AttemptError(`read ${path}`, new DiskError(error));
  }
}

/** What is to be sent. */
export interface SendOptions {
  readonly from: number;
  readonly count: number;
  /** Whether the digest follows the body, as a line. */
  readonly digestFollows: boolean;
  /** Whether anything is hashed. */
  readonly verify: boolean;
  readonly notice: Notice;
}

/** A plain file, open from the first try to the last. */
export class SourceFile implements Disposable {
  readonly path: string;
  readonly size: number;
  readonly #file: Deno.FsFile;
  readonly #signal: AbortSignal;
  #seen: Deno.FileInfo;
  readonly #hash = new PrefixHash();
  /** Whether the last byte was sent once. */
  isSent = false;

  private constructor(path: string, file: Deno.FsFile, signal: AbortSignal) {
    this.path = path;
    this.#file = file;
    this.#signal = signal;
    this.#seen = file.statSync();
    this.size = this.#seen.size;
  }

  /**
   * Opens a file; a link is followed.
   * @throws {AttemptError} if it is none, or no plain one
   */
  static open(path: string, signal: AbortSignal): Promise<SourceFile> {
    return attempt(`read ${path}`, () => {
      if (!Deno.statSync(path).isFile) throw new Error("it is no plain file"); // opening a pipe would wait for its writer
      return new SourceFile(path, Deno.openSync(path), signal);
    });
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }

  /**
   * The file as it is now is what the next try sends.
   * @throws {SourceChangedError} if its size is another
   */
  look(): void {
    const before = this.#seen;
    this.#seen = this.#file.statSync();
    const { size, mtime, ctime } = this.#seen;
    if (size !== this.size) {
      throw new SourceChangedError(this.path, `it had ${this.size} bytes and now has ${size}`);
    }
    if (mtime?.getTime() !== before.mtime?.getTime() || ctime?.getTime() !== before.ctime?.getTime()) {
      this.#hash.reset();
    }
  }

  /** The SHA-256 of the first `count` bytes; sending goes on from there. */
  async hash(count: number): Promise<string> {
    await hashFile(this.#file, this.#hash, { path: this.path, to: count, signal: this.#signal });
    return this.#hash.digest();
  }

  /** Sends a range, and resolves to what the server answers: after its end, or before if it refuses. */
  send(link: Link, options: SendOptions): Promise<BodyEnd> {
    return link.busy(async () => {
      const answer = link.reply(options.notice);
      const body = this.#sendBody(link, options);
      answer.catch(() => {}); // both are awaited below, one of them first
      try {
        const first = await Promise.race([body, answer]);
        if (typeof first === "object" && first.code !== CODE.done) return { answer: first, sha256: undefined };
        return { sha256: await body, answer: await answer };
      } catch (error) {
        body.catch(() => {});
        if (!isBreak(error)) throw error; // the server knows nothing of it, and waits for the rest
        return { answer: await answer.catch(() => Promise.reject(error)), sha256: undefined }; // it has refused first
      }
    });
  }

  async #sendBody(link: Link, { from, count, digestFollows, verify }: SendOptions): Promise<string | undefined> {
    this.#hash.rewind(from); // it is there, or nobody hashes
    onDisk(() => this.#file.seekSync(from, Deno.SeekMode.Start));
    const blocks = [new Uint8Array(Math.min(BLOCK_SIZE, count)), new Uint8Array(Math.min(BLOCK_SIZE, count))];
    let left = count;
    const readBlock = (turn: number): Uint8Array => {
      const block = blocks[turn]!.subarray(0, left);
      const read = block.length === 0 ? 0 : readNext(this.#file, block, this.path);
      if (read === null) throw new SourceChangedError(this.path, "it has become shorter while it was sent");
      left -= read;
      const bytes = block.subarray(0, read);
      if (verify) this.#hash.update(bytes);
      if (left === 0) this.#checkSame(); // before the last byte leaves: where nobody hashes, it would be stored
      return bytes;
    };
    let block = readBlock(0);
    for (let turn = 1; block.length > 0; turn = 1 - turn) {
      const sent = link.write(block);
      sent.catch(() => {}); // it is awaited below, after what may throw
      const next = readBlock(turn);
      await sent;
      block = next;
    }
    this.isSent = true;
    const sha256 = verify ? this.#hash.digest() : undefined;
    if (digestFollows) await link.write(encodeLine(`${sha256}`));
    return sha256;
  }

  #checkSame(): void {
    const { size, mtime } = this.#file.statSync();
    if (size === this.size && mtime?.getTime() === this.#seen.mtime?.getTime()) return;
    throw new SourceChangedError(this.path, "it has changed while it was sent: nothing is stored");
  }
}

/**
 * A file that is being downloaded. Its bytes are in `.NAME.ID.download` beside it, what they belong to in the same name with
 * `.json`; under its own name it appears when it is whole, verified and durable.
 * @module
 */
import { decodeText, encodeText } from "../../bytes.ts";
import type { BodyEnd, RemoteSource } from "../../files/client_talk.ts";
import { partialName } from "../../files/partial.ts";
import { attempt } from "../failure.ts";
import { isPlain, look, onDisk, removeFile, syncFolder, waitForDisk } from "./disk.ts";
import type { Link } from "./link.ts";
import { PrefixHash } from "./prefix_hash.ts";
import { hashFile } from "./source_file.ts";

/** The most that one read takes, in bytes. */
const READ_SIZE = 2 ** 20;

/** Where a download goes. */
export interface TargetOptions {
  /** The file's final path. */
  readonly path: string;
  /** The server and the name there: another one has another partial. */
  readonly host: string;
  readonly name: string;
  /** Whether a file of this path may be replaced. */
  readonly overwrite: boolean;
  readonly signal: AbortSignal;
}

/** What a body is to become. */
export interface ReceiveOptions {
  readonly from: number;
  readonly count: number;
  readonly source: RemoteSource;
  /** Whether anything is hashed. */
  readonly verify: boolean;
  /** Shown the position after each block. */
  readonly moved: (position: number) => void;
}

/** A partial, open and locked from the first try to the last. */
export class TargetFile implements Disposable {
  readonly #options: TargetOptions;
  readonly #folder: string;
  readonly #partial: string;
  readonly #file: Deno.FsFile;
  readonly #hash = new PrefixHash();
  #isOver = false;

  private constructor(options: TargetOptions, file: Deno.FsFile) {
    this.#options = options;
    [this.#folder, this.#partial] = placeOf(options);
    this.#file = file;
  }

  /**
   * Opens the partial, or makes it.
   * @throws {AttemptError} if what has its name is no plain file, or another download is writing it
   */
  static open(options: TargetOptions): Promise<TargetFile> {
    const [, partial] = placeOf(options);
    const open = async () => new TargetFile(options, await openAlone(partial));
    return attempt(`keep what comes of ${options.path} in ${partial}`, open);
  }

  /** Closes the partial; one without a byte is removed. */
  [Symbol.dispose](): void {
    if (this.#isOver) return;
    if (this.have === 0) return this.remove();
    this.#file.close();
    this.#isOver = true;
  }

  /** Bytes that have come. */
  get have(): number {
    return onDisk(() => this.#file.statSync()).size;
  }

  /** What they belong to; undefined if that was not kept, or is damaged. */
  get source(): RemoteSource | undefined {
    const record = recordOf(this.#partial);
    const info = look(record);
    if (info === undefined || !isPlain(info)) return undefined;
    try {
      const { size, mtime, sha256 } = JSON.parse(decodeText(onDisk(() => Deno.readFileSync(record))));
      return Number.isSafeInteger(size) && Number.isSafeInteger(mtime) ? { size, mtime, sha256 } : undefined;
    } catch {
      return undefined;
    }
  }

  /** The SHA-256 of the first `count` bytes; receiving goes on from there. */
  async hash(count: number): Promise<string> {
    await hashFile(this.#file, this.#hash, { path: this.#partial, to: count, signal: this.#options.signal });
    return this.#hash.digest();
  }

  /** Throws away what has come. */
  discard(): void {
    onDisk(() => this.#file.truncateSync(0));
    this.#hash.reset();
  }

  /** Appends a body, and resolves to the reply that follows it. */
  receive(link: Link, { from, count, source, verify, moved }: ReceiveOptions): Promise<BodyEnd> {
    return link.busy(async () => {
      this.#keepSource(source);
      this.#hash.rewind(from); // it is there, or nobody hashes
      onDisk(() => {
        this.#file.truncateSync(from);
        this.#file.seekSync(from, Deno.SeekMode.Start);
      });
      const blocks = [new Uint8Array(Math.min(READ_SIZE, count)), new Uint8Array(Math.min(READ_SIZE, count))];
      let written = Promise.resolve();
      try {
        for (let left = count, turn = 0; left > 0; turn = 1 - turn) {
          const bytes = await link.readBody(blocks[turn]!.subarray(0, left));
          await written;
          written = this.#write(bytes, { beside: verify });
          written.catch(() => {}); // it is awaited below, after what may throw
          if (verify) this.#hash.update(bytes);
          left -= bytes.length;
          moved(from + count - left);
        }
      } finally {
        await written; // what has come before a break is used
      }
      const answer = await link.reply();
      return { answer, sha256: verify ? this.#hash.digest() : undefined };
    });
  }

  /** Writes in another thread, beside this one that hashes; in this one when it has nothing to hash, which is quicker. */
  #write(bytes: Uint8Array, { beside }: { beside: boolean }): Promise<void> {
    return waitForDisk(async () => {
      for (let rest = bytes; rest.length > 0;) {
        rest = rest.subarray(beside ? await this.#file.write(rest) : this.#file.writeSync(rest));
      }
    });
  }

  /** Writes the record whole or not at all, never through a link. */
  #keepSource(source: RemoteSource): void {
    const record = recordOf(this.#partial);
    const next = `${record}.new`;
    onDisk(() => {
      removeFile(next);
      Deno.writeFileSync(next, encodeText(JSON.stringify({ name: this.#options.name, ...source })), {
        createNew: true,
      });
      Deno.renameSync(next, record);
    });
  }

  /** Gives it its name, durably. */
  async commit(): Promise<void> {
    const { path, overwrite } = this.#options;
    await attempt(`store ${path}`, async () => {
      await waitForDisk(() => this.#file.sync());
      if (overwrite) replace(this.#partial, path);
      else claim(this.#partial, path);
      this.remove();
      await syncFolder(this.#folder);
    });
  }

  /** Removes the partial and its record. */
  remove(): void {
    if (!this.#isOver) this.#file.close();
    this.#isOver = true;
    removePartial(this.#partial);
  }
}

/**
 * Removes what has come of a download; resolves to whether there was any.
 * @throws {AttemptError} if it is under way
 */
export async function removeDownload(options: Pick<TargetOptions, "path" | "host" | "name">): Promise<boolean> {
  const [, partial] = placeOf(options);
  const info = look(partial);
  if (info === undefined || !isPlain(info)) return false;
  await attempt(`remove ${partial}`, async () => {
    using _ = await openAlone(partial);
    removePartial(partial);
  });
  return true;
}

/** Opens a partial, or makes it, and locks it. */
async function openAlone(partial: string): Promise<Deno.FsFile> {
  const seen = look(partial);
  if (seen !== undefined && !isPlain(seen)) throw new Error("it is there and no plain file");
  const file = Deno.openSync(partial, { read: true, write: true, createNew: seen === undefined });
  if (await file.tryLock(true)) {
    const { ino, dev } = file.statSync();
    const now = look(partial); // another download may have given it the file's name before it was locked
    if (now !== undefined && isPlain(now) && now.ino === ino && now.dev === dev) return file;
  }
  file.close();
  throw new Deno.errors.Busy("another download of it is under way");
}

function removePartial(partial: string): void {
  for (const file of [partial, recordOf(partial), `${recordOf(partial)}.new`]) removeFile(file);
}

/** The folder of a target, and its partial. The size of what is there is not known yet: 0 stands for it. */
function placeOf({ path, host, name }: Pick<TargetOptions, "path" | "host" | "name">): [string, string] {
  const end = path.lastIndexOf("/") + 1;
  const folder = path.slice(0, end) || "./";
  return [folder, folder + partialName({ name: path.slice(end), size: 0, token: `${host}\0${name}` }, "download")];
}

function recordOf(partial: string): string {
  return `${partial}.json`;
}

/** Gives the partial a name that nobody has, in one step. */
function claim(partial: string, path: string): void {
  try {
    Deno.linkSync(partial, path);
  } catch (error) {
    if (look(path) !== undefined) throw new Deno.errors.AlreadyExists("it has appeared meanwhile");
    if (error instanceof Deno.errors.NotFound) throw error;
    Deno.renameSync(partial, path); // a disk without links
  }
}

/** Puts the partial in the place of a plain file. */
function replace(partial: string, path: string): void {
  const info = look(path);
  if (info !== undefined && !isPlain(info)) throw new Error("it is there and no plain file");
  Deno.renameSync(partial, path);
}

/**
 * The one folder that the file server keeps its files in: flat, and nothing in it but plain files is ever touched.
 * @module
 */
import { statfsSync } from "node:fs";
import { foldName, safeName } from "../../files/safe_name.ts";
import { attempt } from "../failure.ts";
import { isPlain, look, onDisk, removeFile, syncFolder, waitForDisk } from "./disk.ts";
import type { Turns } from "./turns.ts";

/** What keeps a second server out of the folder. */
const LOCK_NAME = ".lock";
/** How old what is known of other names may be, in ms: to read them all for each upload would cost too much where there are many. */
const FOLD_MS = 1000;

/** A file that is open, and what it was when it was opened. */
export interface OpenFile extends Disposable {
  readonly file: Deno.FsFile;
  readonly info: Deno.FileInfo;
}

/** A name with what stands behind it. */
export interface Entry {
  readonly name: string;
  readonly info: Deno.FileInfo;
}

/** A folder with an exclusive lock. */
export class Folder implements Disposable {
  readonly path: string;
  readonly #lock: Deno.FsFile;
  #folded = new Map<string, string>(); // names by what makes them twins
  #foldedAt = -Infinity;
  readonly #sizes = new Map<string, number>(); // of the files that were looked at in turns
  #measuring: Promise<void> | undefined;

  private constructor(path: string, lock: Deno.FsFile) {
    this.path = path;
    this.#lock = lock;
  }

  /**
   * Takes a folder that exists.
   * @throws {AttemptError} if it cannot be used, or another server has it
   */
  static async open(root: string): Promise<Folder> {
    return await attempt(`serve the folder ${root}`, async () => {
      const path = await Deno.realPath(root);
      if (!(await Deno.stat(path)).isDirectory) throw new Deno.errors.NotADirectory("it is no folder");
      statfsSync(path); // who may not ask for the space would refuse each upload
      const lock = await Deno.open(`${path}/${LOCK_NAME}`, { create: true, write: true });
      if (await lock.tryLock(true)) return new Folder(path, lock);
      lock.close();
      throw new Deno.errors.Busy("another server has it");
    }, (error) => error instanceof Deno.errors.NotFound ? `make it: mkdir ${root}` : undefined);
  }

  [Symbol.dispose](): void {
    this.#lock.close();
  }

  /** Where a file is. */
  pathOf(name: string): string {
    return `${this.path}/${name}`;
  }

  /** What stands behind a name, not following links; undefined: nothing. */
  look(name: string): Deno.FileInfo | undefined {
    return look(this.pathOf(name));
  }

  /** Opens a plain file; undefined if there is none. */
  open(name: string, options: Deno.OpenOptions = { read: true }): OpenFile | undefined {
    const seen = this.look(name);
    if (seen === undefined || !isPlain(seen)) return undefined;
    return onDisk(() => {
      const file = Deno.openSync(this.pathOf(name), options);
      const info = file.statSync();
      if (info.ino === seen.ino && info.dev === seen.dev) return { file, info, [Symbol.dispose]: () => file.close() };
      file.close(); // somebody has put another one there in between
      return undefined;
    });
  }

  /** Another name, there since a second or put there by us, that a folder of Windows or macOS could not keep apart from this one. */
  findTwin(name: string): string | undefined {
    const now = performance.now();
    if (now - this.#foldedAt > FOLD_MS) {
      this.#folded = new Map(this.#names().map((name) => [foldName(name), name]));
      this.#foldedAt = now;
    }
    const twin = this.#folded.get(foldName(name));
    return twin === name || twin === undefined || this.look(twin) === undefined ? undefined : twin;
  }

  /** What stands behind the names that are wanted, by name; each is looked at when it is its turn, among all connections. */
  async *walk(turns: Turns, isWanted: (name: string) => boolean): AsyncGenerator<Entry, void> {
    for (const name of this.#names().sort()) {
      await turns.take();
      const info = isWanted(name) ? this.look(name) : undefined;
      if (info !== undefined) yield { name, info };
    }
  }

  /** The plain files that can be asked for, by name. */
  async *list(turns: Turns): AsyncGenerator<Entry, void> {
    for await (const entry of this.walk(turns, isAskable)) if (isPlain(entry.info)) yield entry;
  }

  #names(): string[] {
    return onDisk(() => Array.from(Deno.readDirSync(this.path), ({ name }) => name));
  }

  /** Bytes that are free on the disk. */
  free(): number {
    return onDisk(() => {
      const { bavail, bsize } = statfsSync(this.path);
      return bavail * bsize;
    });
  }

  /** Looks at the files that do not grow, so that {@linkcode used} has few to look at. */
  measure(turns: Turns): Promise<void> {
    return this.#measuring ??= this.#measure(turns).finally(() => this.#measuring = undefined);
  }

  async #measure(turns: Turns): Promise<void> {
    this.#sizes.clear();
    for await (const { name, info } of this.walk(turns, isAskable)) this.#sizes.set(name, sizeOf(info));
  }

  /** Bytes that all its files have: those of the last {@linkcode measure}, unless they are other ones now, and all others. */
  used(): number {
    return this.#names().reduce((sum, name) => sum + (this.#sizes.get(name) ?? sizeOf(this.look(name))), 0);
  }

  /** Gives a file another name, in place of whatever had it. */
  rename(from: string, to: string): void {
    onDisk(() => Deno.renameSync(this.pathOf(from), this.pathOf(to)));
    this.#sizes.delete(to);
    this.#folded.set(foldName(to), to);
  }

  /** Removes a file; nothing happens if there is none. */
  remove(name: string): void {
    removeFile(this.pathOf(name));
  }

  /** Makes the names durable. */
  sync(): Promise<void> {
    return waitForDisk(() => syncFolder(this.path));
  }
}

function sizeOf(info: Deno.FileInfo | undefined): number {
  return info?.isFile ? info.size : 0;
}

function isAskable(name: string): boolean {
  try {
    return safeName(name) === name;
  } catch {
    return false;
  }
}

/**
 * What touches a disk, the server's or the client's: files as they are, and errors that tell that it was the disk.
 * @module
 */
import { reason } from "../failure.ts";

/** The last time of four-digit years, in ms since 1970. */
const LAST_CHANGE = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** The disk failed. */
export class DiskError extends Error {
  override name = "DiskError";
  /** Whether there is no space. */
  readonly isFull: boolean;

  constructor(cause: unknown) {
    super(reason(cause), { cause });
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    this.isFull = code === "ENOSPC" || /quota exceeded/.test(this.message); // Deno has no code for the second
  }
}

/** Runs what touches the disk. */
export function onDisk<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw error instanceof DiskError ? error : new DiskError(error);
  }
}

/** The same for what takes its time. */
export async function waitForDisk<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw error instanceof DiskError ? error : new DiskError(error);
  }
}

/** Whether it is a plain file with one name: no link, pipe, device or folder. */
export function isPlain(info: Deno.FileInfo): boolean {
  return info.isFile && (info.nlink ?? 1) === 1;
}

/** When a file was last changed, in ms since 1970; at least then, and not after the year 9999: a reply can tell no other. */
export function changedAt({ mtime }: Pick<Deno.FileInfo, "mtime">): number {
  return Math.min(Math.max(0, mtime?.getTime() || 0), LAST_CHANGE);
}

/** What a path is, not following links; undefined: nothing. */
export function look(path: string): Deno.FileInfo | undefined {
  return onDisk(() => {
    try {
      return Deno.lstatSync(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  });
}

/** Removes a file; nothing happens if there is none. */
export function removeFile(path: string): void {
  onDisk(() => {
    try {
      Deno.removeSync(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  });
}

/** Makes the names in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  if (Deno.build.os === "windows") return; // has no such thing
  using folder = await Deno.open(path);
  await folder.sync();
}

/**
 * What decides whether an upload may begin, and what a refusal means for the bytes that follow it.
 * @module
 */
import type { UploadCommand } from "./commands.ts";
import type { PartialRecord } from "./partial.ts";
import { CODE, COMPLETE, OTHER_OFFSET } from "./replies.ts";

/** A reply that ends a command before it has begun. */
export interface Refusal {
  /** Of the reply. */
  readonly code: number;
  /** Of the reply. */
  readonly text: string;
}

/** The longest body that is read and thrown away to stay in step with a client that did not wait, in bytes. */
export const MAX_SKIP = 64 * 2 ** 20;

/**
 * What a refused upload leaves on the wire: nothing from a client that waits for 150, the whole body from another one. One
 * that is too long to be thrown away ends the connection.
 */
export function bodyAfterRefusal({ size, offset = 0, sha256, wait }: UploadCommand): UnwantedBody {
  if (wait) return { count: 0, digestFollows: false, ends: false };
  const count = size - offset;
  return { count, digestFollows: sha256 === "AFTER", ends: count > MAX_SKIP };
}

/** A body that nobody wants. */
export interface UnwantedBody {
  /** In bytes. */
  readonly count: number;
  /** Whether its digest comes after it, as a line. */
  readonly digestFollows: boolean;
  /** Whether it is too long, and the connection must end. */
  readonly ends: boolean;
}

/** A file that has the name already. */
export interface PresentFile {
  /** In bytes. */
  readonly size: number;
  /** Its SHA-256, if it had to be known. */
  readonly sha256: string | undefined;
}

/** Refuses a size above the limit: 552. */
export function refuseSize(size: number, maxFile: number): Refusal | undefined {
  if (size <= maxFile) return undefined;
  return { code: CODE.tooLarge, text: `${size} bytes are too many: limit is ${maxFile} bytes` };
}

/** Whether the digest of the file that is there tells that there is nothing to do. */
export function wantsDigestOf(command: UploadCommand, present: { readonly size: number }): boolean {
  return present.size === command.size && command.sha256 !== undefined && command.sha256 !== "AFTER";
}

/** Answers an upload whose file is there: 213 if it is the same, 555 if it may not be replaced. */
export function judgePresent(command: UploadCommand, present: PresentFile): Refusal | undefined {
  const { name, size, sha256, overwrite } = command;
  if (sha256 !== undefined && present.size === size && present.sha256 === sha256) {
    return { code: CODE.complete, text: COMPLETE.format({ size, sha256, name }) };
  }
  if (overwrite) return undefined;
  return { code: CODE.exists, text: `${name} exists with ${present.size} bytes: OVERWRITE replaces it` };
}

/** The space that there is, in bytes. */
export interface Space {
  /** Free on the disk, and not promised to uploads under way. */
  readonly free: number;
  /** Taken by files and partials, and promised to uploads under way. */
  readonly used: number;
  /** What all may take; 0: whatever fits. */
  readonly quota: number;
}

/** Refuses what does not fit: 452. `offset` is kept. */
export function refuseSpace(needed: number, { free, used, quota }: Space, offset: number): Refusal | undefined {
  const left = Math.min(free, quota === 0 ? Infinity : quota - used);
  if (needed <= left) return undefined;
  const what = left === free ? "disk" : "quota";
  return {
    code: CODE.full,
    text: `no space: ${needed} bytes do not fit, the ${what} has ${Math.max(left, 0)}; kept ${offset}`,
  };
}

/** Refuses to go on where nothing durable is, or with another source: 554. `prefix` is the digest of what is there, if known. */
export function refuseOffset(
  { offset = 0, sha256 }: UploadCommand,
  partial: PartialRecord | undefined,
  prefix: string | undefined,
): Refusal | undefined {
  if (offset === 0) return undefined;
  const have = partial?.offset ?? 0;
  const announced = sha256 === "AFTER" ? undefined : sha256;
  if (announced !== undefined && partial?.sha256 && announced !== partial.sha256) {
    return { code: CODE.differentSource, text: "source changed: its SHA-256 is another, begin anew" };
  }
  if (offset <= have) return undefined;
  return { code: CODE.differentSource, text: OTHER_OFFSET.format({ offset: have, prefix }) };
}

/** Refuses to go on after bytes that the source does not have: 556. */
export function refusePrefix(wanted: string | undefined, actual: string | undefined): Refusal | undefined {
  if (wanted === undefined || wanted === actual) return undefined;
  return { code: CODE.differentPrefix, text: "prefix differs: the first bytes are not those of the source" };
}

/** Refuses a whole that is not what was announced: 557. */
export function refuseDigest(wanted: string | undefined, actual: string | undefined): Refusal | undefined {
  if (wanted === undefined || wanted === actual) return undefined;
  return { code: CODE.corrupt, text: `hash mismatch: what came has sha256=${actual}, nothing is kept` };
}

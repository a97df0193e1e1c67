/**
 * What ends a command, not the connection.
 * @module
 */
import { ProtocolError, TruncatedError } from "../../errors.ts";
import { CODE } from "../../files/replies.ts";
import type { Refusal } from "../../files/upload_rules.ts";
import { DiskError } from "./disk.ts";

/** A command is refused: thrown wherever that is found out, turned into a reply in one place. */
export class RefusedError extends Error implements Refusal {
  override name = "RefusedError";
  /** The reply code. */
  readonly code: number;

  constructor(code: number, text: string) {
    super(text);
    this.code = code;
  }

  /** The reply's text. */
  get text(): string {
    return this.message;
  }

  /** Throws if there is a reason to refuse. */
  static check(refusal: Refusal | undefined): void {
    if (refusal !== undefined) throw new RefusedError(refusal.code, refusal.text);
  }
}

/**
 * The reply that an error becomes: 553 for a name, 452 and 451 for the disk.
 * @throws the error itself, if it is one of the connection
 */
export function asRefusal(error: unknown): Refusal {
  if (error instanceof RefusedError) return error;
  if (error instanceof DiskError) {
    return error.isFull
      ? { code: CODE.full, text: "the disk is full: what has come is kept" }
      : { code: CODE.failed, text: `the server's disk: ${error.message}` };
  }
  if (error instanceof ProtocolError && !(error instanceof TruncatedError)) {
    return { code: CODE.badName, text: error.message };
  }
  throw error;
}

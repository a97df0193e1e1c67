/**
 * What the system or the network refused, in words for the user.
 * @module
 */
import { ProtocolError, UsageError } from "../errors.ts";

/** What was tried when the system or the network said no: the first half of the line that the user reads. */
export class AttemptError extends Error {
  override name = "AttemptError";
  /** What to do about it, as one line. */
  readonly hint: string | undefined;

  constructor(attempt: string, cause: unknown, hint?: string) {
    const once = reason(cause).replace(/: \w+ '(.+)'$/, (call, path) => attempt.includes(path) ? "" : call);
    super(`${attempt}: ${once}`, { cause });
    this.hint = hint;
  }
}

/** Runs `action`; what it throws says what was attempted. `hint` may look at the error. */
export async function attempt<T>(
  what: string,
  action: () => T | Promise<T>,
  hint?: (error: unknown) => string | undefined,
): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw new AttemptError(what, error, hint?.(error));
  }
}

/**
 * Asks for the networking that Deno calls unstable, before it would end the program without it. A checkout's deno.json turns
 * it on.
 * @throws {AttemptError} if it is turned off
 */
export function requireUnstableNet(what: string, api: string): void {
  if ("listenDatagram" in Deno) return;
  throw new AttemptError(what, `${api} is turned off`, "add the flag --unstable-net");
}

/** An error as half a line: what happened, without the system's decoration. */
export function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const message = error.message.replace(/ \(os error \d+\)/g, "").trim().replace(/\s*\n\s*/g, "; ");
  const known = message === "" ? error.name : message;
  return error instanceof ProtocolError || error instanceof AttemptError
    ? known
    : known[0]!.toLowerCase() + known.slice(1);
}

/** How the error of a name that is not known begins: it has neither a class nor a code of its own. */
export const UNKNOWN_NAME = "failed to lookup address information";

/** Whether the network or the system caused the error: a `Deno.errors.*`, or one with the system's code. */
export function isNetworkError(error: unknown): boolean {
  if (error instanceof AttemptError) return isNetworkError(error.cause);
  return error instanceof Error &&
    (error.name in Deno.errors || "code" in error || error.message.startsWith(UNKNOWN_NAME));
}

/** Whether the error is the fault of the network, the system, the peer or the user, and so no bug of ours. */
export function isExpected(error: unknown): boolean {
  if (error instanceof AttemptError) return isExpected(error.cause);
  return error instanceof ProtocolError || error instanceof UsageError || isNetworkError(error);
}

/**
 * Waiting, with an end.
 * @module
 */
import { formatDuration } from "../units.ts";

/** Resolves after `ms`. */
export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * What `action` resolves to, if it does so within `ms`; 0 is without end. The action itself is not stopped.
 * @throws {Deno.errors.TimedOut} if it takes longer
 */
export async function withDeadline<T>(ms: number, action: Promise<T>): Promise<T> {
  if (ms === 0) return await action;
  const { promise: late, reject } = Promise.withResolvers<never>();
  const error = new Deno.errors.TimedOut(`no answer within ${formatDuration(ms)}`);
  const timer = setTimeout(() => reject(error), ms);
  try {
    return await Promise.race([action, late]);
  } finally {
    clearTimeout(timer);
  }
}

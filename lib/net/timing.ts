/**
 * Waiting, with an end.
 * @module
 */
import { formatDuration } from "../units.ts";

/** Resolves after `ms`, or as soon as `signal` is aborted. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
    if (signal?.aborted) end();
  });
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

/** Something that changes again and again, and others wait for it to. */
export class Condition {
  #change = Promise.withResolvers<void>();

  /** It has changed: all that wait go on, and look for themselves. */
  notify(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  /** Resolves at the next change, or after `ms`. */
  async wait(ms?: number): Promise<void> {
    const timer = ms === undefined ? undefined : setTimeout(() => this.notify(), Math.ceil(ms));
    await this.#change.promise;
    clearTimeout(timer);
  }
}

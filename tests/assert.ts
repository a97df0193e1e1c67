/**
 * The assertions of @std/assert that the tests use, with the types that its npm form lacks.
 * @module
 */
import * as std from "@std/assert";

export const assertEquals: <T>(actual: T, expected: T, message?: string) => void = std.assertEquals;
export const assertMatch: (actual: string, expected: RegExp, message?: string) => void = std.assertMatch;
export const assertStringIncludes: (actual: string, expected: string, message?: string) => void =
  std.assertStringIncludes;
type ErrorClass<E extends Error> = abstract new (...args: never[]) => E;
export const assertThrows: <E extends Error>(fn: () => unknown, errorClass: ErrorClass<E>, includes?: string) => E =
  std.assertThrows;
export const assertRejects: <E extends Error>(
  fn: () => PromiseLike<unknown>,
  errorClass: ErrorClass<E>,
  includes?: string,
) => Promise<E> = std.assertRejects;

/** Fails unless the value is true; the compiler knows it afterwards. */
export function assert(value: unknown, message?: string): asserts value {
  std.assert(value, message);
}

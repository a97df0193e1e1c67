/**
 * Loaded before the tests that run real programs (`--preload`): one that hangs fails, and is named, and the others go on.
 * @module
 */

/** A test that takes longer hangs, in ms: the slowest one takes four minutes on a machine that is very busy. */
const LIMIT_MS = 10 * 60_000;

/** The arguments of `Deno.test`, with the limit among its options. */
function limited(args: unknown[]): unknown[] {
  const options = args.findIndex((arg) => typeof arg === "object");
  if (options === -1) return args.toSpliced(-1, 0, { timeout: LIMIT_MS });
  return args.with(options, { timeout: LIMIT_MS, ...args[options] as object });
}

Object.assign(Deno, {
  test: new Proxy(Deno.test, { apply: (test, self, args) => Reflect.apply(test, self, limited(args)) }),
});

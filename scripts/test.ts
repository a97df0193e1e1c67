#!/usr/bin/env -S deno run --allow-run
/**
 * Runs the layers of the test suite, each with its own permissions, and ends with one line: `N passed, N failed, N skipped`.
 *
 * Run: `deno task test`, or some of the layers: `deno task test unit docs`.
 * @module
 */
import { bound } from "../tests/harness.ts";

const END_TO_END = [
  "--preload=tests/deadline.ts",
  "--parallel", // file beside file: most of their time they wait for somebody else's deadline
  "--allow-net",
  "--allow-read",
  "--allow-write",
  "--allow-run",
  "--allow-env",
  "--allow-sys=uid,statfs",
  "--unstable-net",
];
const LAYERS: Record<string, readonly string[]> = {
  // Without any permission: if these pass, lib/ does no I/O.
  unit: ["tests/unit"],
  docs: ["--doc", "lib", "mod.ts"],
  e2e: [...END_TO_END, "tests/e2e"],
  interop: [...END_TO_END, "--allow-ffi", "tests/interop"],
};
/** A layer that takes longer hangs, and has failed; the slowest one takes a few minutes, and 15 on a very busy machine. */
const LIMIT_MS = 45 * 60_000;
const LAST_SUMMARY = /[^]*\| (\d+) passed .*?\| (\d+) failed(?: .*?\| (\d+) ignored)?/;

/** The end of the output that has its last line, in characters. */
const TAIL_LENGTH = 1000;

/** What the last line of `deno test` counts: passed, failed, skipped. */
export function countsOf(output: string): number[] {
  return LAST_SUMMARY.exec(output)?.slice(1).map((count) => Number(count ?? 0)) ?? [0, 0, 0];
}

/** Runs one layer, shows its output and resolves to what its last line counts. */
async function runLayer(name: string, args: readonly string[]): Promise<{ counts: number[]; ok: boolean }> {
  console.log(`\n== ${name}: deno test ${args.join(" ")}`);
  const [command, argv] = bound(Deno.execPath(), ["test", "--no-prompt", "--quiet", ...args]);
  const layer = new Deno.Command(command, {
    args: argv,
    env: { NO_COLOR: "1", DENO_JOBS: `${navigator.hardwareConcurrency + 1}` },
    stdout: "piped",
    signal: AbortSignal.timeout(LIMIT_MS),
  }).spawn();
  let tail = "";
  for await (const text of layer.stdout.pipeThrough(new TextDecoderStream())) {
    for (let rest = new TextEncoder().encode(text); rest.length > 0;) rest = rest.subarray(Deno.stdout.writeSync(rest));
    tail = (tail + text).slice(-TAIL_LENGTH);
  }
  return { counts: countsOf(tail), ok: (await layer.status).success };
}

if (import.meta.main) {
  const names = Deno.args.length > 0 ? Deno.args : Object.keys(LAYERS);
  const unknown = names.find((name) => !Object.hasOwn(LAYERS, name));
  if (unknown !== undefined) {
    console.error(`test: unknown layer ${unknown} (there are ${Object.keys(LAYERS).join(", ")})`);
    Deno.exit(2);
  }
  const totals = [0, 0, 0];
  let ok = true;
  for (const name of names) {
    const result = await runLayer(name, LAYERS[name]!);
    result.counts.forEach((count, i) => totals[i]! += count);
    if (!result.ok && result.counts[1] === 0) totals[1]!++; // it broke before it could count
    ok &&= result.ok;
  }
  console.log(`\n${totals[0]} passed, ${totals[1]} failed, ${totals[2]} skipped`);
  Deno.exit(ok ? 0 : 1);
}

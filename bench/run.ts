/**
 * Measures our servers beside peers in C and Python, and says which targets are met.
 *
 * Run: `deno task bench`, or some of the parts: `deno task bench tcp udp --rounds 3`. With `--write`, bench/RESULTS.md is
 * written anew. How the measurement is made fair: bench/README.md.
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { reason } from "../lib/net/failure.ts";
import { build } from "./contenders.ts";
import { describeMachine, watchOthers } from "./machine.ts";
import { executables } from "./parts/executables.ts";
import { files } from "./parts/files.ts";
import { frames } from "./parts/frames.ts";
import { idle } from "./parts/idle.ts";
import { jim } from "./parts/jim.ts";
import { secure } from "./parts/secure.ts";
import { start } from "./parts/start.ts";
import { tcp } from "./parts/tcp.ts";
import { udp } from "./parts/udp.ts";
import { endAllOnSignal, isInstalled, ROOT } from "./processes.ts";
import { formatReport, formatTargets, type Report } from "./report.ts";

const RESULTS = `${ROOT}bench/RESULTS.md`;
const DEFAULT_ROUNDS = 5;
const PARTS: Record<string, (rounds: number) => Promise<Report>> = {
  tcp,
  frames,
  idle,
  udp,
  secure,
  files,
  jim,
  start,
  executables,
};
/** The parts that need no load generator. */
const NO_LOADER = ["secure", "start", "executables"];
const USAGE = `usage: deno task bench [${Object.keys(PARTS).join("|")} ...] [--rounds N] [--write]`;

function refuse(why: string): never {
  console.error(`bench: ${why}\n${USAGE}`);
  Deno.exit(2);
}

function parse(args: readonly string[]): { parts: string[]; rounds: number; write: boolean } {
  const { _: given, rounds, write }: { _: (string | number)[]; rounds: string; write: boolean } = parseArgs(args, {
    string: ["rounds"],
    boolean: ["write"],
    default: { rounds: `${DEFAULT_ROUNDS}` },
    unknown: (arg: string, key?: string) => key === undefined || refuse(`unknown option ${arg}`),
  });
  const unknown = given.find((name) => !(name in PARTS));
  if (unknown !== undefined) refuse(`unknown part ${unknown}`);
  if (!/^[1-9]\d*$/.test(rounds)) refuse(`--rounds ${rounds} is no number of rounds`);
  if (write && given.length > 0) refuse("--write takes all parts");
  return { parts: given.length > 0 ? given.map(String) : Object.keys(PARTS), rounds: Number(rounds), write };
}

/** Measures the parts and resolves to the results as Markdown. */
async function measure(parts: readonly string[], rounds: number): Promise<string> {
  const canLoad = isInstalled("gcc");
  if (canLoad) await build();
  const machine = await describeMachine();
  const othersTook = await watchOthers();
  const reports: Report[] = [];
  for (const part of parts) {
    if (canLoad || NO_LOADER.includes(part)) reports.push(await PARTS[part]!(rounds));
    else console.error(`${part} is left out: its load generator needs gcc, which is not installed`);
  }
  return [
    "# Results",
    `\`deno task ${["bench", ...Deno.args].join(" ")}\` on ${new Date().toISOString().slice(0, 10)}, ${rounds} rounds:`,
    `${machine}\n${await othersTook()}`,
    formatTargets(reports.flatMap(({ targets }) => targets)),
    ...reports.map(formatReport),
  ].join("\n\n");
}

async function writeResults(text: string): Promise<void> {
  await Deno.writeTextFile(RESULTS, `${text}\n`);
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", RESULTS] }).spawn().status;
}

if (import.meta.main) {
  const { parts, rounds, write } = parse(Deno.args);
  endAllOnSignal();
  try {
    const results = await measure(parts, rounds);
    console.log(results);
    if (write) await writeResults(results);
  } catch (error) {
    console.error(`bench: ${reason(error)}`);
    Deno.exit(1);
  }
}

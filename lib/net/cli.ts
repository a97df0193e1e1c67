/**
 * What every program's command line shares: a typed table of options, `--help` made from it, and the one place that turns
 * an error into text, a hint and an exit code.
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import config from "../../deno.json" with { type: "json" };
import { UsageError } from "../errors.ts";
import { programName, type ProgramPath, PROGRAMS, runCommand } from "../programs.ts";
import { printable } from "../text.ts";
import { parseDuration, parseSize } from "../units.ts";
import { AttemptError, reason, UNKNOWN_NAME } from "./failure.ts";

/** Exit codes: done, failed, wrong usage, broken off but to be gone on with (EX_TEMPFAIL of sysexits.h). */
export const EXIT = { done: 0, failed: 1, usage: 2, resumable: 75 } as const;

// --- Options -------------------------------------------------------------------------------------------------------

/** One option or positional argument; its value has type `T`. */
export interface Option<T> {
  /** How it is given: `--name`, `--name VALUE`, `--name VALUE` any number of times, or as all the arguments that are left. */
  readonly kind: "flag" | "value" | "list" | "rest";
  readonly short?: string;
  /** How the help calls the value: `ADDR`, `N`, `TEXT`. */
  readonly value?: string;
  readonly help: string;
  /** What stands for the option when it is absent, as the user would write it. */
  readonly default?: string;
  /** The value of what the user wrote. Throws {@linkcode UsageError}. */
  readonly parse: (given: readonly string[]) => T;
}

/** Options by their name in camel case: `maxConnections` is `--max-connections`. */
export type OptionTable = Record<string, Option<unknown>>;
/** The values of a table's options. */
export type OptionValues<Table extends OptionTable> = {
  -readonly [Name in keyof Table]: Table[Name] extends Option<infer T> ? T : never;
};

interface OptionSpec<T> {
  short?: string;
  value: string;
  help: string;
  parse: (text: string) => T;
}

/** An option without a value. */
export function flag(spec: { short?: string; help: string }): Option<boolean> {
  return { ...spec, kind: "flag", parse: (given) => given.length > 0 };
}

/** An option with a value. When it is absent, `default` is parsed in its place; without one it is `undefined`. */
export function option<T>(spec: OptionSpec<T> & { default: string }): Option<T>;
export function option<T>(spec: OptionSpec<T>): Option<T | undefined>;
export function option<T>(spec: OptionSpec<T> & { default?: string }): Option<T | undefined> {
  return {
    ...spec,
    kind: "value",
    parse: ([text = spec.default]) => text === undefined ? undefined : spec.parse(text),
  };
}

/** An option that may be given several times. */
export function list<T>(spec: OptionSpec<T>): Option<T[]> {
  return { ...spec, kind: "list", parse: (given) => given.map(spec.parse) };
}

/** The last positional argument: it takes all that is left. */
export function rest<T>(spec: OptionSpec<T>): Option<T[]> {
  return { ...spec, kind: "rest", parse: (given) => given.map(spec.parse) };
}

/** Any text. */
export const text = (given: string): string => given;
/**
 * A machine's name or IP address, an IPv6 one with or without brackets. An empty one: a variable was not set; a number: a
 * port; one with a slash: a URL.
 */
export function host(given: string): string {
  const address = given.replace(/^\[(.*)\]$/s, "$1");
  if (!/^\d*$/.test(address) && address.split(":").length !== 2 && !/[[\]/\s]/.test(address)) return address;
  throw new UsageError(
    `${JSON.stringify(given)} is no address: write 127.0.0.1, example.org or ::1, and the port apart`,
  );
}
/** Milliseconds, from `30s` or `5m`. */
export const duration = parseDuration;
/** Bytes, from `64KiB` or `1MB`. */
export const size = parseSize;

/** A whole number of `min` to `max`. */
export function integer(min: number, max: number): (text: string) => number {
  return (given) => {
    const value = /^\d+$/.test(given) ? Number(given) : NaN;
    if (value >= min && value <= max) return value;
    throw new UsageError(`${JSON.stringify(given)} is no whole number from ${min} to ${max}`);
  };
}

/** One of the words. */
export function oneOf<Word extends string>(...words: Word[]): (text: string) => Word {
  return (given) => {
    const word = words.find((word) => word === given);
    if (word !== undefined) return word;
    throw new UsageError(`${JSON.stringify(given)} is not ${words.length > 1 ? "one of " : ""}${words.join(", ")}`);
  };
}

/** A program's command line: what it takes besides {@linkcode COMMON_OPTIONS}. */
export interface CommandLine<Options extends OptionTable, Positionals extends OptionTable> {
  readonly path: ProgramPath;
  readonly options: Options;
  /** Positional arguments in their order; each may be left out. */
  readonly positionals: Positionals;
}

const COMMON_OPTIONS = {
  debug: flag({ help: "show the stack trace of an error" }),
  help: flag({ short: "h", help: "show this help" }),
  version: flag({ short: "V", help: "show the version" }),
};

/**
 * The values of a command line.
 * @throws {UsageError} for an unknown option, a missing or wrong value, or an argument too many
 */
export function parseCommandLine<Options extends OptionTable, Positionals extends OptionTable>(
  args: readonly string[],
  { options, positionals }: CommandLine<Options, Positionals>,
): OptionValues<Options & Positionals & typeof COMMON_OPTIONS> {
  const table: OptionTable = { ...options, ...COMMON_OPTIONS };
  const entries = Object.entries(table);
  const named = (test: (option: Option<unknown>) => boolean) =>
    entries.filter(([, option]) => test(option)).map(([name]) => flagName(name));
  const parsed: Record<string, unknown> = parseArgs(spellOut(args, table, positionals), {
    boolean: named(({ kind }) => kind === "flag"),
    string: [...named(({ kind }) => kind !== "flag"), "_"],
    collect: named(({ kind }) => kind !== "flag"),
  });
  const values: Record<string, unknown> = {};
  const assign = (name: string, label: string, { parse }: Option<unknown>, given: string[]) => {
    try {
      values[name] = parse(given);
    } catch (error) {
      throw error instanceof UsageError ? new UsageError(`${label}: ${error.message}`, { cause: error }) : error;
    }
  };
  for (const [name, option] of entries) {
    const given = parsed[flagName(name)];
    if (option.kind === "value" && Array.isArray(given) && given.length > 1) {
      throw new UsageError(`--${flagName(name)} is given ${given.length} times: once is what it takes`);
    }
    assign(name, `--${flagName(name)}`, option, Array.isArray(given) ? given : given ? [String(given)] : []);
  }
  const given = parsed["_"] as string[];
  const places = Object.entries(positionals);
  if (given.length > places.length && places.at(-1)?.[1].kind !== "rest") {
    const first = given[places.length]!;
    const hint = "port" in table && /^\d+$/.test(first) ? { hint: `a port: --port ${first}` } : {};
    throw new UsageError(`unexpected argument ${JSON.stringify(first)}`, hint);
  }
  places.forEach(([name, option], i) =>
    assign(name, option.value ?? name, option, given.slice(i, option.kind === "rest" ? undefined : i + 1))
  );
  return values as OptionValues<Options & Positionals & typeof COMMON_OPTIONS>;
}

/** An option as it was given, and what is written to it: `--port` and `=9001`, `-p` and `9001`, `-q` and `v`. */
const GIVEN = /^(--[^=]*|-[^-])(.*)$/su;

/**
 * The same command line in the one spelling that parseArgs takes as it is, `--port=9001 --quiet -- HOST`; left to itself it
 * guesses: it would lose the value of `-m ""` and of `-qp=9001`, and take `false` out of `--quiet false`.
 */
function spellOut(args: readonly string[], table: OptionTable, positionals: OptionTable): string[] {
  const options: string[] = [];
  const places: string[] = [];
  const waiting = [...args];
  for (let arg; (arg = waiting.shift()) !== undefined && arg !== "--";) {
    const [, given, rest = ""] = GIVEN.exec(arg) ?? [];
    if (given === undefined) {
      places.push(arg);
      continue;
    }
    const entry = Object.entries(table).find(([name, { short }]) =>
      given === `--${flagName(name)}` || (short !== undefined && given === `-${short}`)
    );
    if (entry === undefined) throw unknownOption(given, positionals);
    const [name, option] = entry;
    if (option.kind !== "flag") {
      const value = rest === "" ? takeValue(given, option, waiting) : rest.replace(/^=/, "");
      options.push(`--${flagName(name)}=${value}`);
    } else if (/^[=-]/.test(rest)) {
      throw new UsageError(`${given} takes no value`);
    } else {
      options.push(`--${flagName(name)}`);
      if (rest !== "") waiting.unshift(`-${rest}`);
    }
  }
  return [...options, "--", ...places, ...waiting];
}

/** Servers have a `--port`, clients a place for it: whoever mixes them up is told. */
function unknownOption(given: string, positionals: OptionTable): UsageError {
  const isPlace = Object.keys(positionals).some((name) => given === `--${name}` || given === `-${name[0]}`);
  const hint = isPlace ? { hint: `without a name: ${formatPlaces(positionals)}` } : {};
  return new UsageError(`unknown option ${given}`, hint);
}

/** Takes the argument that follows an option; one that begins with a dash is rather the next option. */
function takeValue(given: string, { value }: Option<unknown>, waiting: string[]): string {
  const next = waiting.shift();
  if (next !== undefined && !/^-./s.test(next)) return next;
  const hint = next === undefined ? {} : { hint: `a value that begins with a dash: ${given}=${next}` };
  throw new UsageError(`${given} needs a value: ${given} ${value}`, hint);
}

function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

// --- Help ----------------------------------------------------------------------------------------------------------

/** The text of `--help`, which ends with a command that works. */
export function helpText(commandLine: CommandLine<OptionTable, OptionTable>): string {
  const { path, options, positionals } = commandLine;
  const command = runCommand(path);
  const usage = [command, formatPlaces(positionals), "[OPTIONS]"].filter((part) => part !== "").join(" ");
  const rows = (table: OptionTable, left: (name: string, option: Option<unknown>) => string) =>
    Object.entries(table).map(([name, option]) => [left(name, option), describe(option)] as const);
  const places = rows(positionals, (name, { value }) => `  ${value ?? name}`);
  const flags = rows(
    { ...options, ...COMMON_OPTIONS },
    (name, { short, value }) =>
      `  ${short ? `-${short}, ` : "    "}--${flagName(name)}${value === undefined ? "" : ` ${value}`}`,
  );
  const width = Math.max(...[...places, ...flags].map(([left]) => left.length)) + 2;
  const lines = (table: (readonly [string, string])[]) => table.map(([left, help]) => left.padEnd(width) + help);
  return [
    `${programName(path)}: ${PROGRAMS[path].idea}`,
    "",
    `usage: ${usage}`,
    ...lines(places),
    "",
    "options:",
    ...lines(flags),
    "",
    `example: ${command} ${PROGRAMS[path].example}`,
  ].join("\n");
}

function formatPlaces(positionals: OptionTable): string {
  return Object.values(positionals).map(({ value }) => `[${value}]`).join(" ");
}

function describe({ kind, help, default: fallback = "" }: Option<unknown>): string {
  const notes = [kind === "list" ? "may be repeated" : "", fallback === "" ? "" : `default: ${fallback}`];
  const note = notes.filter((note) => note !== "").join("; ");
  return note === "" ? help : `${help} (${note})`;
}

// --- Errors --------------------------------------------------------------------------------------------------------

/** What the next error may come from, where it has no hint of its own. */
let suspicion: string | undefined;

/** Notes what an error that is still to come may come from, to be its hint if it has none; undefined: nothing any more. */
export function suspect(what: string | undefined): void {
  suspicion = what;
}

/** The line, the hint and the exit code that an error ends a program with. */
export function explain(
  error: unknown,
  path: ProgramPath,
): { line: string; hint: string | undefined; exitCode: number } {
  if (error instanceof UsageError) {
    return { line: error.message, hint: error.hint ?? `see ${runCommand(path)} --help`, exitCode: EXIT.usage };
  }
  const cause = error instanceof AttemptError ? error.cause : error;
  const secure = Deno.args.includes("--secure");
  const denied = cause instanceof Deno.errors.NotCapable ? `try: ${runCommand(path, { secure })}` : undefined;
  const isText = path.startsWith("clients/") && reason(cause).startsWith(UNKNOWN_NAME);
  const bareText = isText ? "HOST comes first; a text to send: -m TEXT" : undefined;
  const hint = error instanceof AttemptError ? error.hint : undefined;
  const suspected = suspicion;
  suspect(undefined); // it was about this one
  return { line: reason(error), hint: hint ?? denied ?? bareText ?? suspected, exitCode: EXIT.failed };
}

// --- Running -------------------------------------------------------------------------------------------------------

/**
 * Runs a program from its command line to its exit code: `--help` and `--version`, then `main`; an error that escapes
 * becomes one line on stderr, `NAME: what was tried: what happened (hint)`, without a stack trace unless `--debug`.
 */
export async function runProgram<Options extends OptionTable, Positionals extends OptionTable>(
  commandLine: CommandLine<Options, Positionals>,
  main: (values: OptionValues<Options & Positionals>) => Promise<number | void>,
): Promise<never> {
  try {
    const values = parseCommandLine(Deno.args, commandLine);
    if (values.help || values.version) {
      console.log(values.help ? helpText(commandLine) : `${programName(commandLine.path)} ${config.version}`);
      Deno.exit(EXIT.done);
    }
    Deno.exit(await main(values) ?? EXIT.done);
  } catch (error) {
    const { line, hint, exitCode } = explain(error, commandLine.path);
    console.error(printable(`${programName(commandLine.path)}: ${line}${hint === undefined ? "" : ` (${hint})`}`));
    if (Deno.args.includes("--debug")) console.error(error);
    Deno.exit(exitCode);
  }
}

/**
 * A signal that is aborted by SIGINT (Ctrl-C) or SIGTERM, its reason being the signal's name; the second one ends the
 * process at once, with 128 and the signal's number as every shell knows it.
 */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const handle = (name: Deno.Signal, number: number) =>
    Deno.addSignalListener(name, () => {
      if (controller.signal.aborted) Deno.exit(128 + number);
      controller.abort(name);
    });
  handle("SIGINT", 2);
  if (Deno.build.os !== "windows") handle("SIGTERM", 15);
  return controller.signal;
}

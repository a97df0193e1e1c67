/**
 * Real programs as subprocesses, each with exactly the permissions that it documents. Nothing here sleeps: a test waits
 * for a line or an exit, and fails when it does not come in time.
 * @module
 */
import { fileURLToPath } from "node:url";
import { type ProgramPath, PROGRAMS } from "../lib/programs.ts";
import { assertEquals } from "./assert.ts";

/** How long a line or an exit may take before the test fails, in ms: much longer than it does on a machine that is busy. */
export const PATIENCE_MS = 60_000;
/** The project's top folder. */
export const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** What a finished program left. */
export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a program is run in a test. */
export interface RunOptions {
  /** Instead of its documented ones. */
  readonly permissions?: readonly string[];
  readonly env?: Record<string, string>;
  /** Instead of `deno run` in the checkout: the command and its first arguments. */
  readonly argv?: readonly [string, ...string[]];
  /** Instead of the checkout. */
  readonly cwd?: string;
  /** Whether the program sees no variable but those of `env`. */
  readonly clearEnv?: boolean;
}

/** What starts a command that must not outlive the test, however that ends: `setpriv` of Linux, where it is there. */
const BOUND = ["setpriv", "--pdeathsig", "KILL"] as const;
let canBind: boolean | undefined;

function findBound(): boolean {
  try {
    return new Deno.Command(BOUND[0], { args: [...BOUND.slice(1), "true"], stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

/** A command that is killed when this process is, where the system can do that. */
export function bound(name: string, args: readonly string[]): [name: string, args: string[]] {
  canBind ??= findBound();
  return canBind ? [BOUND[0], [...BOUND.slice(1), name, ...args]] : [name, [...args]];
}

/** Starts a command, {@linkcode bound} to this process, with pipes to it. */
export function spawn(
  name: string,
  args: readonly string[],
  options: Pick<Deno.CommandOptions, "cwd" | "env" | "clearEnv"> = {},
): Deno.ChildProcess {
  const [first, rest] = bound(name, args);
  const pipes = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
  return new Deno.Command(first, { args: rest, cwd: ROOT, ...options, ...pipes }).spawn();
}

/** Starts a program with the permissions that it documents. */
export function spawnProgram(path: ProgramPath, args: readonly string[], options: RunOptions = {}): Deno.ChildProcess {
  const { permissions = PROGRAMS[path].permissions, env = {}, cwd = ROOT, clearEnv = false } = options;
  const [name, ...first] = options.argv ?? [Deno.execPath(), "run", "--no-prompt", ...permissions, `${path}.ts`];
  return spawn(name, [...first, ...args], { cwd, clearEnv, env: clearEnv ? env : { NO_COLOR: "1", ...env } });
}

/** The promise, whose rejection does not end the whole file when a test that fails earlier never comes to await it. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** Rejects when the promise takes longer than a test may wait. */
export function inTime<T>(promise: Promise<T>, what: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const error = new Error(`waited ${PATIENCE_MS / 1000} s for ${what}`);
  const timer = setTimeout(() => reject(error), PATIENCE_MS);
  return handled(Promise.race([promise, late]).finally(() => clearTimeout(timer)));
}

/** The lines of a stream as they come. */
class Lines {
  readonly all: string[] = [];
  readonly ended: Promise<void>;
  #changed = Promise.withResolvers<void>();
  #over = false;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.ended = this.#read(stream);
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    let rest = "";
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      this.all.push(...lines);
      this.#notify();
    }
    if (rest !== "") this.all.push(rest);
    this.#over = true;
    this.#notify();
  }

  #notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  /** The first line, now or later, that matches. */
  async find(pattern: RegExp | string): Promise<string> {
    const matches = (line: string) => typeof pattern === "string" ? line.includes(pattern) : pattern.test(line);
    for (let seen = 0;;) {
      for (; seen < this.all.length; seen++) if (matches(this.all[seen]!)) return this.all[seen]!;
      if (this.#over) throw new Error(`no line matches ${pattern} in:\n${this.all.join("\n")}`);
      await this.#changed.promise;
    }
  }
}

/** Sends a signal to a process that may have ended already: its exit code tells. */
function kill(process: Deno.ChildProcess, signal: Deno.Signal = "SIGKILL"): void {
  try {
    process.kill(signal);
  } catch {
    // it has ended
  }
}

/** A program that runs until it is told to stop. `await using` ends it by SIGTERM and demands exit code 0. */
export class RunningProgram implements AsyncDisposable {
  readonly process: Deno.ChildProcess;
  readonly stdout: Lines;
  readonly stderr: Lines;
  #stopped: Promise<Output> | undefined;

  constructor(process: Deno.ChildProcess) {
    this.process = process;
    this.stdout = new Lines(process.stdout);
    this.stderr = new Lines(process.stderr);
  }

  /** The first stdout line, now or later, that matches. */
  printed(pattern: RegExp | string): Promise<string> {
    return inTime(this.stdout.find(pattern), `${pattern} on stdout`);
  }

  /** The first stderr line, now or later, that matches. */
  logged(pattern: RegExp | string): Promise<string> {
    return inTime(this.stderr.find(pattern), `${pattern} on stderr`);
  }

  /** Writes to its stdin. */
  async type(text: string): Promise<void> {
    const writer = this.process.stdin.getWriter();
    await inTime(writer.write(new TextEncoder().encode(text)), "the program to read its stdin");
    writer.releaseLock();
  }

  /** Resolves when the program ends, by itself or by an earlier {@linkcode stop}. */
  ended(): Promise<Output> {
    return handled(this.#end());
  }

  async #end(): Promise<Output> {
    const output = Promise.all([this.process.status, this.stdout.ended, this.stderr.ended]);
    const [{ code }] = await inTime(output, "the program's end").catch((cause) => {
      kill(this.process); // what does not end in time is not left behind
      throw new Error(`the program has said:\n${[...this.stdout.all, ...this.stderr.all].join("\n")}`, { cause });
    });
    return { code, stdout: this.stdout.all.join("\n"), stderr: this.stderr.all.join("\n") };
  }

  /** Sends a signal and resolves to what the program leaves. */
  stop(signal: Deno.Signal = "SIGTERM"): Promise<Output> {
    if (this.#stopped === undefined) {
      kill(this.process, signal);
      this.process.stdin.close().catch(() => {}); // closed, or it has ended
      this.#stopped = this.ended();
    }
    return this.#stopped;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stopped !== undefined) return void await this.#stopped;
    const { code, stderr } = await this.stop();
    assertEquals(code, 0, stderr);
  }
}

/** A server that listens. */
export class RunningServer extends RunningProgram {
  /** Where it listens, from its own line. */
  hostname = "";
  port = 0;

  /** Connects as a plain TCP client. */
  connect(): Promise<Deno.TcpConn> {
    return Deno.connect({ hostname: this.hostname, port: this.port });
  }

  /** The memory that it occupies now (VmRSS), in bytes. */
  async residentBytes(): Promise<number> {
    const { stdout } = await runTool("cat", [`/proc/${this.process.pid}/status`]); // Deno wants --allow-all to read it
    return Number(/VmRSS:\s+(\d+) kB/.exec(stdout)![1]) * 1024;
  }
}

/** Starts a program that goes on by itself. */
export function start(path: ProgramPath, args: readonly string[] = [], options: RunOptions = {}): RunningProgram {
  return new RunningProgram(spawnProgram(path, args, options));
}

/** Starts a server, on a free port unless `args` name one, and resolves when it listens. */
export async function startServer(
  path: ProgramPath,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<RunningServer> {
  const portArgs = args.includes("--port") ? [] : ["--port", "0"];
  const server = new RunningServer(spawnProgram(path, [...portArgs, ...args], options));
  const listening = /^listening on \w+:\/\/(.+):(\d+)$/;
  const line = await server.printed(listening).catch(async () => {
    const { code, stderr } = await server.stop("SIGKILL");
    throw new Error(`${path} does not listen: ${stderr} (exit code ${code})`);
  });
  const [, host, port] = listening.exec(line)!;
  server.hostname = host!.replace(/^\[|\]$/g, "");
  server.port = Number(port);
  return server;
}

/** Runs a program to its end, with `stdin` as its whole input. */
export function run(
  path: ProgramPath,
  args: readonly string[],
  { stdin = "", ...options }: RunOptions & { stdin?: string | Uint8Array } = {},
): Promise<Output> {
  return handled(finish(spawnProgram(path, args, options), stdin));
}

/** Starts any other command that goes on by itself. */
export function startTool(name: string, args: readonly string[]): RunningProgram {
  return new RunningProgram(spawn(name, args));
}

/** Runs any other command to its end. */
export function runTool(name: string, args: readonly string[], stdin: string | Uint8Array = ""): Promise<Output> {
  return handled(finish(spawn(name, args, { env: { NO_COLOR: "1" } }), stdin));
}

/** Gives a process its whole input and resolves to what it leaves. */
export async function finish(process: Deno.ChildProcess, stdin: string | Uint8Array): Promise<Output> {
  await using program = new RunningTool(process);
  const input = typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin;
  const writer = program.process.stdin.getWriter();
  const fed = writer.write(input).then(() => writer.close()).catch(() => {}); // it may end before it reads all
  const [output] = await inTime(Promise.all([program.process.output(), fed]), "the program's end");
  const decoder = new TextDecoder();
  return { code: output.code, stdout: decoder.decode(output.stdout), stderr: decoder.decode(output.stderr) };
}

/** Ends a process that a failed test would leave behind. */
class RunningTool implements AsyncDisposable {
  constructor(readonly process: Deno.ChildProcess) {}
  async [Symbol.asyncDispose](): Promise<void> {
    kill(this.process);
    await this.process.status;
  }
}

/**
 * A test that needs foreign tools, or `root`: where one is missing it is skipped, and its name says why.
 */
export function testWith(tools: readonly string[], name: string, fn: () => Promise<void>): void {
  const missing = tools.filter((tool) => !isThere(tool));
  const reason = missing.length === 0 ? "" : ` (skipped: there is no ${missing.join(", no ")})`;
  Deno.test({ name: name + reason, ignore: missing.length > 0, fn });
}

function isThere(tool: string): boolean {
  if (tool === "root") return Deno.uid() === 0;
  return new Deno.Command("sh", { args: ["-c", `command -v ${tool}`], stdout: "null", stderr: "null" }).outputSync()
    .success;
}

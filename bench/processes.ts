/**
 * The processes of a measurement: started on a CPU of their own, read line by line, ended by their id whatever happens.
 * @module
 */
import { delay, withDeadline } from "../lib/net/timing.ts";

/** The project's top folder: what the commands' paths are relative to. */
export const ROOT = new URL("../", import.meta.url).pathname;
/** How long a server may take to listen and a loader to finish, in ms. */
const PATIENCE_MS = 30_000;
/** How often to look whether somebody listens, in ms. */
const LOOK_MS = 10;

/** Whether a command of that name is installed. */
export function isInstalled(name: string): boolean {
  return new Deno.Command("sh", { args: ["-c", 'command -v "$0"', name], stdout: "null" }).outputSync().success;
}

/** The stdout of a command. */
export function outputOf(command: string, ...args: string[]): string {
  return new TextDecoder().decode(new Deno.Command(command, { args }).outputSync().stdout).trim();
}

/** Whether CPU 0 is the servers' and CPU 1 the loaders'. */
export const PINNED: boolean = navigator.hardwareConcurrency > 1 && isInstalled("taskset");
/** Where a process runs: on one CPU, or wherever the system likes. */
export type Cpu = 0 | 1 | "any";

const running = new Set<Process>();
const folders = new Set<string>();

/** Ends what was started, and removes the folders, when the user stops the benchmark. */
export function endAllOnSignal(): void {
  for (const [signal, number] of [["SIGINT", 2], ["SIGTERM", 15]] as const) {
    Deno.addSignalListener(signal, () => {
      for (const process of running) process.kill();
      for (const folder of folders) Deno.removeSync(folder, { recursive: true });
      Deno.exit(128 + number);
    });
  }
}

/** A started process. `await using` ends it with SIGKILL: what only echoes has nothing to save. */
export class Process implements AsyncDisposable {
  /** Also that of what `taskset` and `sh -c exec` start: both replace themselves by it. */
  readonly pid: number;
  readonly #name: string;
  readonly #child: Deno.ChildProcess;
  readonly #stdout: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(command: readonly string[], { cpu = "any" }: { cpu?: Cpu } = {}) {
    this.#name = command.join(" ");
    const [program, ...args] = PINNED && cpu !== "any" ? ["taskset", "--cpu-list", `${cpu}`, ...command] : command;
    this.#child = new Deno.Command(program!, { args, cwd: ROOT, stdin: "piped", stdout: "piped" }).spawn();
    this.pid = this.#child.pid;
    this.#stdout = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    running.add(this);
  }

  /** The next line of stdout. */
  line(): Promise<string> {
    return withDeadline(PATIENCE_MS, this.#nextLine());
  }

  async #nextLine(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end !== -1) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return line;
      }
      const { value, done } = await this.#stdout.read();
      if (done) throw new Error(`it has ended: ${this.#name}`);
      this.#text += value;
    }
  }

  /** The memory that it occupies now (VmRSS), in KiB. */
  async residentKiB(): Promise<number> {
    const status = await Deno.readTextFile(`/proc/${this.pid}/status`);
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]);
  }

  kill(signal: Deno.Signal = "SIGKILL"): void {
    try {
      this.#child.kill(signal);
    } catch {
      // it has ended already
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.#child.status;
    running.delete(this);
    await Promise.allSettled([this.#stdout.cancel(), this.#child.stdin.close()]);
  }
}

/** A server that listens on a port of its own choice. */
export class Server extends Process {
  port = 0;

  /** Starts it and resolves when it has printed its `listening on` line. */
  static async start(command: readonly string[], options: { cpu?: Cpu } = {}): Promise<Server> {
    const server = new Server(command, options);
    try {
      server.port = Number(/^listening on .+:(\d+)$/.exec(await server.line())![1]);
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
  }
}

/** A folder in memory (tmpfs), so that no disk is measured; removed at the end. */
export class MemoryFolder implements AsyncDisposable {
  readonly path = Deno.makeTempDirSync({ dir: "/dev/shm", prefix: "netlab-bench-" });

  constructor() {
    folders.add(this.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    folders.delete(this.path);
    await Deno.remove(this.path, { recursive: true });
  }
}

/** A port of 127.0.0.1 where nobody listens. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Resolves when somebody listens there; looks at the system's table, since some servers take one connection only. */
export async function listens(port: number): Promise<void> {
  const socket = new RegExp(`^ *\\d+: \\w+:${port.toString(16).toUpperCase().padStart(4, "0")} \\w+:0000 0A`, "m");
  const ends = performance.now() + PATIENCE_MS;
  while (!socket.test(await Deno.readTextFile("/proc/net/tcp"))) {
    if (performance.now() > ends) throw new Error(`nobody listens on port ${port}`);
    await delay(LOOK_MS);
  }
}

/** The same command with so many open files; it fails where the system allows fewer. */
export function withOpenFiles(count: number, command: readonly string[]): readonly string[] {
  return ["sh", "-c", 'ulimit -n "$0" && exec "$@"', `${count}`, ...command];
}

/** Runs a load generator to its end and resolves to the figures that it prints. */
export async function load<Figures>(command: readonly string[], { cpu = 1 }: { cpu?: Cpu } = {}): Promise<Figures> {
  await using loader = new Process(command, { cpu });
  return JSON.parse(await loader.line());
}

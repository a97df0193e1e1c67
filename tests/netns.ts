/**
 * Two machines and a cable between them: network namespaces joined by a veth pair, so that a test can pull the cable.
 * Nothing of it has a name in the system or outlives the test, however that ends: a namespace lives as long as the process
 * in it, which ends with the test's pipe to it.
 * @module
 */
import { type ProgramPath, PROGRAMS } from "../lib/programs.ts";
import { type RunningProgram, runTool, startTool } from "./harness.ts";

/** The machine at either end. */
export type End = "server" | "client";

/** Documentation addresses (RFC 5737): no machine has them. */
const ADDRESSES = { server: "192.0.2.1", client: "192.0.2.2" };
/** What the network interface of either machine is called. */
const INTERFACE = "cable";

/** A cable with a machine at each end. `await using` takes both away. */
export class Cable implements AsyncDisposable {
  /** Where the server's machine is found. */
  readonly serverAddress = ADDRESSES.server;
  readonly #machines: Record<End, RunningProgram>;

  private constructor(machines: Record<End, RunningProgram>) {
    this.#machines = machines;
  }

  /** Makes the machines and plugs the cable in. */
  static async lay(): Promise<Cable> {
    const [server, client] = await Promise.all([startMachine(), startMachine()]);
    const cable = new Cable({ server, client });
    try {
      const peers = ["type", "veth", "peer", "name", INTERFACE, "netns", `${client.process.pid}`];
      await runOrThrow("ip", ["link", "add", INTERFACE, "netns", `${server.process.pid}`, ...peers]);
      for (const end of ["server", "client"] as const) {
        await cable.#ip(end, "address", "add", `${ADDRESSES[end]}/24`, "dev", INTERFACE);
        await cable.plug(end);
      }
      return cable;
    } catch (error) {
      await cable[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Pulls the cable out of that machine: its interface is down, and the other machine's has no carrier. */
  pull(end: End): Promise<void> {
    return this.#ip(end, "link", "set", INTERFACE, "down");
  }

  /** Plugs it in again. */
  plug(end: End): Promise<void> {
    return this.#ip(end, "link", "set", INTERFACE, "up");
  }

  /** For the harness: what runs the program on that machine, with its documented permissions and `more` of them. */
  argv(end: End, path: ProgramPath, more: readonly string[] = []): [string, ...string[]] {
    const flags = ["--no-prompt", ...PROGRAMS[path].permissions, ...more];
    return ["nsenter", this.#namespace(end), Deno.execPath(), "run", ...flags, `${path}.ts`];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Object.values(this.#machines).map((machine) => machine.stop()));
  }

  #namespace(end: End): string {
    return `--net=/proc/${this.#machines[end].process.pid}/ns/net`;
  }

  #ip(end: End, ...args: string[]): Promise<void> {
    return runOrThrow("nsenter", [this.#namespace(end), "ip", ...args]);
  }
}

/** A network namespace, and the process that keeps it alive. */
async function startMachine(): Promise<RunningProgram> {
  const machine = startTool("unshare", ["--net", "cat"]);
  try {
    await machine.type("it has begun\n");
    await machine.printed("it has begun");
    return machine;
  } catch (error) {
    const { stderr } = await machine.stop();
    throw new Error(stderr, { cause: error });
  }
}

async function runOrThrow(name: string, args: readonly string[]): Promise<void> {
  const { code, stderr } = await runTool(name, args);
  if (code !== 0) throw new Error(`${name} ${args.join(" ")}: ${stderr.trim()}`);
}

/** A test that needs cables; where the system lets us make none it is skipped, and its name says why. */
export function testWithCables(name: string, fn: (test: Deno.TestContext) => Promise<void>): void {
  const reason = whyNone();
  Deno.test({ name: reason === "" ? name : `${name} (skipped: ${reason})`, ignore: reason !== "", fn });
}

/** What the system says to a cable in a namespace that is gone at once; empty if it makes one. */
function whyNone(): string {
  const args = ["--net", "ip", "link", "add", INTERFACE, "type", "veth"];
  try {
    const { success, stderr } = new Deno.Command("unshare", { args }).outputSync();
    return success ? "" : new TextDecoder().decode(stderr).trim();
  } catch {
    return "there is no unshare";
  }
}

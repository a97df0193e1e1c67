/**
 * The cable is pulled: a transfer goes on by itself when it is back, and the user is told in time when it is not. Each case
 * has two machines of its own, and all of them run at the same time.
 * @module
 */
import { delay, withDeadline } from "../../lib/net/timing.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { inTime, type Output, type RunningProgram, type RunningServer, start, startServer } from "../harness.ts";
import { Cable, type End, testWithCables } from "../netns.ts";
import { noise, sha256 } from "./files_wire.ts";

const SERVER = "servers/files";
const CLIENT = "clients/files";
const NAME = "a.bin";
const CONTENT = noise(4 * 2 ** 20);
const DIGEST = sha256(CONTENT);
/** Of the transfer: 16 s for the whole. */
const RATE = "256KiB";
/** What must have come before the cable is pulled, in bytes. */
const IN_FLIGHT = 512 * 1024;
/** How long the cable is out when it comes back, in ms. */
const PULL_MS = 10_000;
/** How soon after a break the user must know, in ms. */
const TOLD_MS = 30_000;
/** How long a program may take to its end, all its tries included, in ms. */
const END_MS = 80_000;

/** What `--verbose` says about keepalive. */
const EXACT_TIMES = "first probe after 10 s, then each 5 s, dead after 3; unacknowledged data: 25000 ms";
const OWN_TIMES = "the system's own times";

/** A transfer, or a client that waits for commands; which cable end is pulled; whether keepalive has exact times. */
interface Case {
  readonly what: "put" | "get" | "idle";
  readonly pulled: End;
  readonly ffi: boolean;
}

const TRANSFERS: Case[] = [
  { what: "put", pulled: "server", ffi: false },
  { what: "put", pulled: "client", ffi: true },
  { what: "get", pulled: "client", ffi: false },
  { what: "get", pulled: "server", ffi: true },
];
const IDLE: Case[] = [
  { what: "idle", pulled: "server", ffi: false },
  { what: "idle", pulled: "client", ffi: true },
];

/** A server and a client on machines of their own, and a folder at each. */
class Scene implements AsyncDisposable {
  readonly cable: Cable;
  readonly offered = new TestFolder();
  readonly received = new TestFolder();
  readonly #programs: RunningProgram[] = [];
  readonly #case: Case;

  private constructor(cable: Cable, of: Case) {
    this.cable = cable;
    this.#case = of;
  }

  static async begin(of: Case): Promise<Scene> {
    return new Scene(await Cable.lay(), of);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#programs) await program.stop("SIGKILL"); // a drained server would wait for a dead link
    await this.cable[Symbol.asyncDispose]();
    await this.offered[Symbol.asyncDispose]();
    await this.received[Symbol.asyncDispose]();
  }

  get #more(): string[] {
    return this.#case.ffi ? ["--allow-ffi"] : [];
  }

  async startServer(): Promise<RunningServer> {
    const folder = this.#case.what === "get" ? this.offered : this.received;
    const args = ["--host", this.cable.serverAddress, "--root", folder.path, "--rate", RATE, "--verbose"];
    const server = await startServer(SERVER, args, { argv: this.cable.argv("server", SERVER, this.#more) });
    this.#programs.push(server);
    return server;
  }

  async startClient(server: RunningServer, ...command: string[]): Promise<RunningProgram> {
    const argv = this.cable.argv("client", CLIENT, this.#more);
    const owner = ["--owner", `${this.offered.path}/owner`];
    const client = start(CLIENT, [server.hostname, `${server.port}`, ...command, ...owner, "--verbose"], { argv });
    this.#programs.push(client);
    for (const end of [server, client]) await end.logged(this.#case.ffi ? EXACT_TIMES : OWN_TIMES);
    return client;
  }

  /** Starts the transfer, and resolves when enough has come. */
  async startTransfer(): Promise<{ client: RunningProgram; server: RunningServer }> {
    const server = await this.startServer();
    const source = await this.offered.write(NAME, CONTENT);
    const arrives = this.#arrives();
    const client = this.#case.what === "put"
      ? await this.startClient(server, "put", source)
      : await this.startClient(server, "get", NAME, `${this.received.path}/${NAME}`);
    await inTime(Promise.race([arrives, endsEarly(client)]), "the first bytes");
    return { client, server };
  }

  /** Resolves when the receiver has written {@linkcode IN_FLIGHT} bytes. */
  async #arrives(): Promise<void> {
    using watcher = Deno.watchFs(this.received.path);
    for await (const { paths } of watcher) {
      const sizes = paths.map((path) => statOf(path)?.size ?? 0);
      if (Math.max(...sizes) >= IN_FLIGHT) return;
    }
  }

  pull(): Promise<void> {
    return this.cable.pull(this.#case.pulled);
  }

  plug(): Promise<void> {
    return this.cable.plug(this.#case.pulled);
  }
}

function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined; // removed or renamed meanwhile
  }
}

/** Rejects when the client ends. */
async function endsEarly(client: RunningProgram): Promise<never> {
  const { code } = await client.process.status;
  throw new Error(`the client has ended with exit code ${code}: ${client.stderr.all.join("\n")}`);
}

/** What a program leaves that may take all its tries. */
async function endOf(program: RunningProgram): Promise<Output> {
  await withDeadline(END_MS, program.process.status);
  return await program.ended();
}

/** The cable is out for ten seconds: the transfer goes on by itself. */
async function checkBack(of: Case): Promise<void> {
  await using scene = await Scene.begin(of);
  const { client } = await scene.startTransfer();
  await scene.pull();
  await delay(PULL_MS);
  await scene.plug();
  const { code, stdout, stderr } = await endOf(client);
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, DIGEST);
  assertEquals(sha256(await Deno.readFile(`${scene.received.path}/${NAME}`)), DIGEST);
}

/**
 * The cable stays out: the client says so in time, tries again for a while, keeps what has come and ends. A try takes 10 s
 * where the system does not say that there is no way: there the user stops it.
 */
async function checkGone(of: Case): Promise<void> {
  await using scene = await Scene.begin(of);
  const { client, server } = await scene.startTransfer();
  await scene.pull();
  const noticed = of.what === "put" ? server.stderr.find("broken off at") : Promise.resolve("");
  const [told] = await withDeadline(TOLD_MS, Promise.all([client.stderr.find("link lost"), noticed]));
  assertMatch(told, /^files: a\.bin: link lost at \d+\.\d %: .+, trying again 1\/5$/);
  const { code, stderr } = of.pulled === "client" ? await endOf(client) : await client.stop("SIGINT");
  assertEquals(code, 75, stderr);
  assertMatch(stderr, of.pulled === "client" ? /trying again 5\/5/ : /interrupted/);
  const kept = Array.from(Deno.readDirSync(scene.received.path), ({ name }) => name);
  assert(kept.some((name) => name.startsWith(`.${NAME}.`) && /\.(part|download)$/.test(name)), kept.join("\n"));
  assert(!kept.includes(NAME), "a part has the name of the whole");
}

/** Nothing is under way: the user is told nevertheless. */
async function checkIdle(of: Case): Promise<void> {
  await using scene = await Scene.begin(of);
  const server = await scene.startServer();
  const client = await scene.startClient(server);
  await client.type("echo hello\n");
  await client.printed("hello");
  await scene.pull();
  await withDeadline(TOLD_MS, client.stderr.find("link lost"));
}

function describe({ what, pulled, ffi }: Case): string {
  return `${what}, ${ffi ? "exact keepalive" : "no FFI"}, ${pulled}'s end`;
}

testWithCables("files: the cable is pulled", async (test) => {
  const steps = [
    ...TRANSFERS.map((of) => ({ name: `for 10 s: ${describe(of)}`, of, check: checkBack })),
    ...TRANSFERS.map((of) => ({ name: `for good: ${describe(of)}`, of, check: checkGone })),
    ...IDLE.map((of) => ({ name: `for good: ${describe(of)}`, of, check: checkIdle })),
  ];
  const shared = { sanitizeOps: false, sanitizeResources: false, sanitizeExit: false }; // they run at the same time
  await Promise.all(steps.map(({ name, of, check }) => test.step({ name, fn: () => check(of), ...shared })));
});

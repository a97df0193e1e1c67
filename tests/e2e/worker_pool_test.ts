import { AttemptError } from "../../lib/net/failure.ts";
import { Condition } from "../../lib/net/timing.ts";
import { Log } from "../../lib/net/log.ts";
import { runWorkers } from "../../lib/net/worker_pool.ts";
import { assertEquals, assertMatch, assertRejects } from "../assert.ts";
import { inTime, type Output, runTool } from "../harness.ts";

/** A pool whose workers behave, in the order of their starts, as these names say; see fixtures/pool_worker.ts. */
class Pool implements AsyncDisposable {
  /** What happened: `start 1`, `ready 1`, `stopped 1` by the number of the start; `all ready`; the lines of the log. */
  readonly events: string[] = [];
  readonly workers: Worker[] = [];
  readonly ended: Promise<void>;
  readonly #changed = new Condition();
  readonly #controller = new AbortController();

  constructor(size: number, ...names: string[]) {
    const log = new Log("test");
    log.write = (_level, message) => this.#happened(message);
    this.ended = runWorkers({
      start: () => this.#start(names[this.workers.length]!),
      tasks: Array(size).fill("serve"),
      signal: this.#controller.signal,
      log,
      ready: () => this.#happened("all ready"),
    });
    this.ended.catch(() => {}); // the test looks at it later
  }

  #start(name: string): Worker {
    const worker = new Worker(new URL("./fixtures/pool_worker.ts", import.meta.url), { type: "module", name });
    const number = this.workers.push(worker);
    this.#happened(`start ${number}`);
    worker.addEventListener("message", ({ data }) => {
      if (data.type !== "died") this.#happened(`${data.type} ${number}`);
    });
    return worker;
  }

  #happened(event: string): void {
    this.events.push(event);
    this.#changed.notify();
  }

  /** Resolves when that has happened. */
  async happened(event: string): Promise<void> {
    while (!this.events.includes(event)) await inTime(this.#changed.wait(), `"${event}" after ${this.events}`);
  }

  stop(): Promise<void> {
    this.#controller.abort();
    return inTime(this.ended, "the pool's end");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Runs `act` while `change` has its way with the pauses of the pool, in ms. */
async function withPauses(change: (ms: number) => number, act: () => Promise<void>): Promise<void> {
  const { setTimeout } = globalThis;
  const longest = 10_000; // what is longer is the test's own patience
  globalThis.setTimeout =
    ((action: () => void, ms: number) => setTimeout(action, ms > longest ? ms : change(ms))) as typeof setTimeout;
  try {
    await act();
  } finally {
    globalThis.setTimeout = setTimeout;
  }
}

Deno.test({
  name: "runWorkers: is ready once, when all workers are; ends when all have stopped, and leaves nothing behind",
  sanitizeOps: true,
  sanitizeResources: true,
  async fn() {
    const pool = new Pool(3, "serves", "serves", "serves");
    await pool.happened("all ready");
    assertEquals(pool.events.slice(0, 3), ["start 1", "start 2", "start 3"]);
    assertEquals(pool.events.slice(3, 6).toSorted(), ["ready 1", "ready 2", "ready 3"]);
    await pool.stop();
    assertEquals(pool.events[6], "all ready");
    assertEquals(pool.events.slice(7).toSorted(), ["stopped 1", "stopped 2", "stopped 3"]);
  },
});

for (
  const [name, death] of [["throws", "thrown"], ["rejects", "rejected"], ["stops", "it stopped by itself"]] as const
) {
  Deno.test(`runWorkers: a worker that ${name} is logged in one line and replaced`, async () => {
    await using pool = new Pool(1, name, "serves");
    await pool.happened("ready 2");
    const events = pool.events.filter((event) => event !== "stopped 1");
    assertEquals(events, ["start 1", "ready 1", "all ready", `worker 1 failed: ${death}`, "start 2", "ready 2"]);
  });
}

Deno.test({
  name: "runWorkers: a worker that dies leaves the others at work, and nothing behind",
  sanitizeOps: true,
  sanitizeResources: true,
  async fn() {
    const pool = new Pool(2, "serves", "serves", "serves");
    await pool.happened("all ready");
    pool.workers[1]!.postMessage(null); // no order: an error of its own
    await pool.happened("ready 3");
    await pool.stop();
    assertMatch(pool.events[5]!, /^worker 2 failed: cannot read properties of null/);
    assertEquals(pool.events.slice(6).toSorted(), ["ready 3", "start 3", "stopped 1", "stopped 3"]);
  },
});

Deno.test("runWorkers: one that dies before it is ready is tried again after longer and longer pauses", async () => {
  await using pool = new Pool(2, "serves", "serves", ...Array(8).fill("fails"), "serves", "serves");
  await pool.happened("all ready");
  const pauses: number[] = [];
  const skip = (ms: number) => {
    pauses.push(ms);
    return 0;
  };
  await withPauses(skip, async () => {
    pool.workers[1]!.postMessage(null);
    await pool.happened("ready 11");
    pool.workers[10]!.postMessage(null);
    await pool.happened("ready 12");
  });
  assertEquals(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 100]);
});

Deno.test("runWorkers: fails, and stops the others, when a worker dies before all have been ready", async () => {
  const pool = new Pool(3, "serves", "fails", "fails");
  const { message } = await assertRejects(() => inTime(pool.ended, "the failure"), AttemptError);
  assertMatch(message, /^start worker [23]: no port$/); // whichever was faster
  assertEquals(pool.events.slice(3), ["ready 1", "stopped 1"]);
});

Deno.test("runWorkers: fails when no worker is left and the one in its place dies before it is ready", async () => {
  const pool = new Pool(1, "throws", "fails");
  await assertRejects(() => inTime(pool.ended, "the failure"), AttemptError, "start worker 1: no port");
});

Deno.test("runWorkers: told to stop in the pause before it replaces a worker, it ends at once", async () => {
  const pool = new Pool(1, "throws");
  await withPauses(() => 2 ** 31 - 1, async () => {
    await pool.happened("worker 1 failed: thrown");
    await pool.stop();
  });
  assertEquals(pool.workers.length, 1);
});

Deno.test("runWorkers: told to stop while it replaces a worker, it ends whatever becomes of that one", async () => {
  const pool = new Pool(1, "throws", "fails");
  await pool.happened("start 2");
  await pool.stop();
  assertEquals(pool.events.slice(4), ["start 2", "worker 1 failed: no port"]);
});

/** Runs fixtures/pool.ts: what would disturb this process happens in another one. */
function runPool(...names: string[]): Promise<Output> {
  return runTool(Deno.execPath(), ["run", "-N", "-R", "tests/e2e/fixtures/pool.ts", ...names]);
}

Deno.test("runWorkers: a worker that dies while it stops is one line on stderr, and no failure", async () => {
  const { code, stderr } = await runPool("serves", "breaks");
  assertEquals([code, stderr], [0, "pool: worker 2 failed: broken\n"]);
});

Deno.test("runWorkers: does not wait for a worker that hangs, and the program ends with 0", async () => {
  const { code, stderr } = await runPool("serves", "hangs");
  assertEquals([code, stderr], [0, "pool: worker 2 failed: it did not stop in time\n"]);
});

Deno.test("runWorkers: fails when the module of a worker cannot be loaded", async () => {
  const { code, stderr } = await runPool("missing");
  assertEquals(code, 1);
  assertMatch(stderr, /AttemptError: start worker 1: module not found "file:.*missing.ts"/);
});

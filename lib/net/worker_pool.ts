/**
 * Workers that serve together: all are started, one that dies is replaced, all stop when they are told to.
 * @module
 */
import { AttemptError, reason } from "./failure.ts";
import type { Log } from "./log.ts";
import { DRAIN_TIMEOUT_MS } from "./tcp.ts";
import { delay } from "./timing.ts";

/** How long a worker may take to stop, in ms: it drains, and has a moment to tell so. */
const STOP_TIMEOUT_MS = DRAIN_TIMEOUT_MS + 500;
/** How long to wait before a dead worker is replaced, in ms; doubled while the new ones die before they are ready. */
const MIN_RESTART_DELAY_MS = 100;
const MAX_RESTART_DELAY_MS = 10_000;

/** What the pool tells a worker. */
type Order<Task> = { readonly type: "start"; readonly task: Task } | { readonly type: "stop" };
/** What a worker tells the pool. */
type Report = { readonly type: "ready" | "stopped" } | { readonly type: "died"; readonly reason: string };

/** How {@linkcode runWorkers} runs them. */
export interface WorkerPoolOptions<Task> {
  /** Starts a worker, whose module calls {@linkcode serveAsWorker}. */
  readonly start: () => Worker;
  /** One for each worker; it is copied to it. */
  readonly tasks: readonly Task[];
  /** Tells all to stop. */
  readonly signal: AbortSignal;
  readonly log: Log;
  /** Called once, when all are ready. */
  readonly ready: () => void;
}

/**
 * Runs one worker for each task until `signal` is aborted and all have stopped; one that hangs is not waited for.
 *
 * A worker that dies is logged and replaced, while the others go on.
 * @throws {AttemptError} if one dies before all have been ready, or if none is left and the one in its place dies too
 */
export async function runWorkers<Task>(options: WorkerPoolOptions<Task>): Promise<void> {
  const { start, tasks, signal, log, ready } = options;
  const failure = new AbortController();
  const end = AbortSignal.any([signal, failure.signal]);
  const serving = new Set<number>();
  let complete = false;

  async function keepOne(task: Task, number: number): Promise<void> {
    let pause = MIN_RESTART_DELAY_MS;
    const onReady = () => {
      pause = MIN_RESTART_DELAY_MS;
      serving.add(number);
      if (complete || serving.size < tasks.length) return;
      complete = true;
      ready();
    };
    while (!end.aborted) {
      try {
        return await runOne(start(), task, end, onReady);
      } catch (error) {
        const served = serving.delete(number);
        const hopeless = !complete || (!served && serving.size === 0);
        if (hopeless && !signal.aborted) throw new AttemptError(`start worker ${number}`, error);
        log.write("error", `worker ${number} failed: ${reason(error)}`);
        await delay(pause, end);
        pause = Math.min(2 * pause, MAX_RESTART_DELAY_MS);
      }
    }
  }

  const all = tasks.map((task, i) => keepOne(task, i + 1));
  try {
    await Promise.all(all);
  } finally {
    failure.abort();
    await Promise.allSettled(all);
  }
}

/** Runs one worker until it has stopped because it was told to. Throws what it died of. */
async function runOne<Task>(worker: Worker, task: Task, end: AbortSignal, onReady: () => void): Promise<void> {
  const { promise: stopped, resolve, reject } = Promise.withResolvers<void>();
  const tell = (order: Order<Task>) => worker.postMessage(order);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = () => {
    tell({ type: "stop" });
    timer = setTimeout(() => reject(new Error("it did not stop in time")), STOP_TIMEOUT_MS);
  };
  worker.onmessage = ({ data: report }: MessageEvent<Report>) => {
    if (report.type === "ready") onReady();
    else if (report.type === "died") reject(new Error(report.reason));
    else if (end.aborted) resolve();
    else reject(new Error("it stopped by itself"));
  };
  worker.onerror = (event) => { // its module cannot be loaded
    event.preventDefault();
    reject(new Error(event.message));
  };
  try {
    tell({ type: "start", task });
    end.addEventListener("abort", stop);
    await stopped;
  } finally {
    end.removeEventListener("abort", stop);
    clearTimeout(timer);
    worker.terminate();
  }
}

/**
 * The whole life of a worker: runs `serve` when the pool says so, and reports an error that nobody catches. `serve`
 * calls `ready` when it serves, and ends when `signal` is aborted.
 */
export function serveAsWorker<Task>(
  serve: (task: Task, context: { readonly signal: AbortSignal; readonly ready: () => void }) => Promise<void>,
): void {
  const pool = globalThis as unknown as Worker; // in a worker, both ends of the line look alike
  const tell = (report: Report) => pool.postMessage(report);
  const controller = new AbortController();
  const die = (event: Event, error: unknown) => {
    event.preventDefault(); // Deno would print it, over several lines
    tell({ type: "died", reason: reason(error) });
  };
  addEventListener("error", (event) => die(event, event.error));
  addEventListener("unhandledrejection", (event) => die(event, event.reason));
  pool.onmessage = async ({ data: order }: MessageEvent<Order<Task>>) => {
    if (order.type === "stop") return controller.abort();
    await serve(order.task, { signal: controller.signal, ready: () => tell({ type: "ready" }) });
    tell({ type: "stopped" });
  };
}

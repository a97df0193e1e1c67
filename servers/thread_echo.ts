#!/usr/bin/env -S deno run -N -R
/**
 * TCP echo by threads: several clients at once. Each of the N workers has its own listener on the one port
 * (SO_REUSEPORT, socket(7)), and the kernel spreads the connections over them. A worker that dies takes its own
 * connections with it and is replaced.
 *
 * Run: `deno run -N -R servers/thread_echo.ts --workers 4`. Talk to it: `nc 127.0.0.1 9001`, or clients/tcp_echo.ts.
 * Protocol: docs/protocols/tcp_echo.md.
 * @module
 */
import { integer, option } from "../lib/net/cli.ts";
import { attempt, requireUnstableNet } from "../lib/net/failure.ts";
import { runServer, type ServerContext, type ServerOptions } from "../lib/net/server.ts";
import { runWorkers } from "../lib/net/worker_pool.ts";

const WORKER = new URL("./thread_echo_worker.ts", import.meta.url);

/** What a worker is told: the server's options, with its own number and its share of the connections. */
export interface ThreadTask extends ServerOptions {
  readonly worker: number;
}

/**
 * Each worker's share of `maxConnections`. There are never more workers than connections, and one only where the kernel
 * would give all connections to one listener: everywhere but on Linux. A connection waits while the worker that the
 * kernel has chosen for it is full, even if another one is not.
 */
export function shareOut(maxConnections: number, { workers, os }: { workers: number; os: string }): number[] {
  const count = os === "linux" ? Math.min(workers, maxConnections) : 1;
  return Array.from({ length: count }, (_, i) => Math.floor((maxConnections + i) / count));
}

/** Starts a worker. */
export function startWorker(): Worker {
  return new Worker(WORKER, { type: "module" });
}

/** Serves with these workers until the signal; `start` is how one comes into being. */
export async function serveByThreads(
  options: ServerOptions & { workers: number },
  { signal, log, listening }: ServerContext,
  { start = startWorker, os = Deno.build.os }: { start?: () => Worker; os?: string } = {},
): Promise<void> {
  requireUnstableNet("share the port", "SO_REUSEPORT");
  // Without -R this fails in one line; each worker would fail in several.
  if (WORKER.protocol === "file:") await attempt("start a worker", () => Deno.stat(WORKER));
  if (options.workers > 1 && os !== "linux") {
    log.write("warn", `the kernel of ${os} does not spread connections over several listeners: one worker`);
  }
  const address = reserve(options);
  const task = { ...options, host: address.hostname, port: address.port };
  const shares = shareOut(options.maxConnections, { ...options, os });
  const tasks = shares.map((maxConnections, i): ThreadTask => ({ ...task, maxConnections, worker: i + 1 }));
  await runWorkers({ start, tasks, signal, log, ready: () => listening(address) });
}

/** The address that the workers will share. It must be free: SO_REUSEPORT would share it with a stranger silently. */
function reserve({ host, port }: ServerOptions): Deno.NetAddr {
  const listener = Deno.listen({ hostname: host, port });
  listener.close();
  return listener.addr;
}

if (import.meta.main) {
  const options = {
    workers: option({
      value: "N",
      parse: integer(1, 1024),
      default: `${navigator.hardwareConcurrency}`,
      help: "threads; each has its own listener",
    }),
  };
  await runServer({ path: "servers/thread_echo", options }, (options, context) => serveByThreads(options, context));
}

/**
 * One thread of thread_echo: a listener of its own on the common port, and an accept loop of its own.
 * servers/thread_echo.ts starts it.
 * @module
 */
import { Log } from "../lib/net/log.ts";
import { type Connection, serveTcp } from "../lib/net/tcp.ts";
import { serveAsWorker } from "../lib/net/worker_pool.ts";
import { echo } from "./tcp_echo.ts";
import type { ThreadTask } from "./thread_echo.ts";

serveAsWorker(async (task: ThreadTask, { signal, ready }) => {
  const log = new Log("thread_echo", task);
  const listener = Deno.listen({ hostname: task.host, port: task.port, reusePort: true });
  ready();
  const handle = (connection: Connection) => {
    log.write("debug", `served by worker ${task.worker}`, connection.peer);
    return echo(connection, { print: log.screen(connection.peer) });
  };
  await serveTcp(listener, handle, { ...task, signal, log });
});

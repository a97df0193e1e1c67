#!/usr/bin/env -S deno run -N
/**
 * TCP echo for many clients in one thread: an explicit select loop. It asks which connections are ready, does the little
 * that each of them needs, and asks again; it never waits for one alone.
 *
 * Run: `deno run -N servers/selector_echo.ts --port 9001`. Talk to it: `nc 127.0.0.1 9001`, or clients/tcp_echo.ts.
 * Protocol: docs/protocols/tcp_echo.md.
 * @module
 */
import { EVENT_ACCEPT, EVENT_READ, EVENT_WRITE, Selector, type SelectorKey } from "../lib/net/selector.ts";
import { runServer } from "../lib/net/server.ts";
import { acceptNext, closeIdle, drain, logEnd, type ServeTcpOptions, TcpConnection } from "../lib/net/tcp.ts";

/** What the loop remembers of a client from one event to the next. */
interface Client {
  readonly connection: TcpConnection;
  readonly print: (message: Uint8Array) => void;
}
/** A client's key, or the door's: that has no data. */
type Key = SelectorKey<Client | undefined>;

/** Echoes for every client until `signal` is aborted and what is in flight has been echoed. */
export async function serveEcho(
  listener: Deno.TcpListener,
  { signal, log, maxConnections = 10_000, idleTimeout = 0 }: ServeTcpOptions,
): Promise<void> {
  using selector = new Selector<Client | undefined>();
  const door = selector.register({ accept: () => acceptNext(listener, log) }, EVENT_ACCEPT, undefined);
  const open = new Set<TcpConnection>();

  /** Does the little that each of the ready connections needs. */
  function serve(ready: readonly Key[]): void {
    for (const key of ready) {
      const client = key.data;
      if (client === undefined) {
        accept();
        continue;
      }
      try {
        if (key.ready & EVENT_READ) read(key, client);
        if (key.ready & EVENT_WRITE) write(key);
      } catch (error) {
        close(key, client, error);
      }
    }
  }

  function accept(): void {
    const conn = door.accept();
    if (conn === null) return; // the listener is closed
    const connection = new TcpConnection(conn);
    const { peer } = connection;
    log.write("debug", "connected", peer);
    open.add(connection);
    selector.register(connection, EVENT_READ, { connection, print: log.screen(peer) });
  }

  function read(key: Key, client: Client): void {
    const message = key.recv();
    if (message === null) return close(key, client); // all is echoed: the end is read after the last echo has left
    client.print(message);
    key.send(message);
    selector.modify(key, EVENT_WRITE); // and not EVENT_READ: who does not read the echo is not read from either
  }

  function write(key: Key): void {
    if (key.drained()) selector.modify(key, EVENT_READ);
  }

  function close(key: Key, { connection }: Client, error?: unknown): void {
    selector.unregister(key);
    open.delete(connection);
    logEnd(connection, log, error);
    connection.close();
  }

  const idleTimer = closeIdle(open, idleTimeout);
  while (!signal.aborted) {
    selector.modify(door, open.size < maxConnections ? EVENT_ACCEPT : 0); // without interest, clients wait in the backlog
    serve(await selector.select({ signal }));
  }
  clearInterval(idleTimer);
  selector.unregister(door);
  listener.close();
  const finish = async () => {
    while (open.size > 0) serve(await selector.select());
  };
  await drain(open, finish(), log);
}

if (import.meta.main) {
  await runServer({ path: "servers/selector_echo", options: {} }, async (options, context) => {
    const listener = Deno.listen({ hostname: options.host, port: options.port });
    context.listening(listener.addr);
    await serveEcho(listener, { ...options, ...context });
  });
}

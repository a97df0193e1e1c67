/**
 * TCP at the edge: connections with a peer's name, an accept loop that survives every client, and a clean end.
 * @module
 */
import { formatAddress } from "../address.ts";
import { TruncatedError } from "../errors.ts";
import { formatDuration } from "../units.ts";
import { attempt, isExpected, reason } from "./failure.ts";
import type { Log } from "./log.ts";
import { delay, withDeadline } from "./timing.ts";
import { Turnstile } from "./turnstile.ts";

/** How long the connections that are open at the end may still work, in ms. */
export const DRAIN_TIMEOUT_MS = 5000;
/** A connection that has nothing to read for this long at the end has nothing in flight, in ms. */
const DRAIN_QUIET_MS = 200;
/** What accept fails with while the process or the system has no descriptor or no memory for another connection. */
const NO_ROOM = new Set<unknown>(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);
/** How long to wait then before the next accept, in ms. */
const NO_ROOM_DELAY_MS = 100;
/** The longest time between two looks at idle connections, in ms. */
const MAX_SWEEP_MS = 1000;

/** A byte stream with a peer at the other end: what handlers are given. */
export interface Connection extends Disposable {
  /** The peer's address, `127.0.0.1:52114`. */
  readonly peer: string;
  /** Reads at least one byte into `buffer` and resolves to their number; null when the peer has closed its side. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes at least one byte and resolves to their number; see {@linkcode writeAll}. */
  write(bytes: Uint8Array): Promise<number>;
  /** Closes our side (a FIN); the peer's may go on. */
  closeWrite(): Promise<void>;
  /** Closes both sides; harmless when closed already. */
  close(): void;
}

/** A connection that a program has made or accepted itself: a {@linkcode TcpConnection}, or the secure channel in one. */
export interface SocketConnection extends Connection, AsyncDisposable {
  /** Why {@linkcode close} was called, if it was told. */
  readonly closedBecause: string | undefined;
  /** The socket, for its options. */
  readonly socket: Deno.TcpConn;
  close(reason?: string): void;
}

type Operation = "read" | "write";

/** A TCP connection that knows how long it has been waiting, and why it was closed. */
export class TcpConnection implements SocketConnection {
  /** Why {@linkcode close} was called while the handler was at work. */
  closedBecause: string | undefined;
  /** What is still said when {@linkcode close} is called, in a short time: the end of a secure channel. Never rejects. */
  farewell: (() => Promise<void>) | undefined;
  /** That of the server which it belongs to, if any: reads that are begun at the same time take turns. */
  readonly turnstile: Turnstile | undefined;
  readonly #conn: Deno.TcpConn;
  #state: "open" | "leaving" | "closed" = "open"; // leaving: the farewell is under way
  #closing: PromiseWithResolvers<void> | undefined; // made when somebody waits for it: 10,000 idle connections must cost little
  #operation: Operation = "read"; // what it waits in
  #used = true; // since the last elapse()
  #idle = 0; // ms, up to the last elapse()

  /** Takes over `conn` and turns Nagle's algorithm off: what is written leaves at once (RFC 1122 §4.2.3.4). */
  constructor(conn: Deno.TcpConn, turnstile?: Turnstile) {
    this.#conn = conn;
    this.turnstile = turnstile;
    try {
      conn.setNoDelay(true);
    } catch {
      // macOS: the peer has reset already; the first read or write tells
    }
  }

  get peer(): string {
    return formatAddress(this.#conn.remoteAddr);
  }

  get socket(): Deno.TcpConn {
    return this.#conn;
  }

  read(buffer: Uint8Array): Promise<number | null> {
    this.#used = true;
    this.#operation = "read";
    return this.turnstile === undefined ? this.#conn.read(buffer) : this.turnstile.pass(() => this.#conn.read(buffer));
  }

  write(bytes: Uint8Array): Promise<number> {
    this.#used = true;
    this.#operation = "write";
    return this.#conn.write(bytes).then((count) => {
      this.#operation = "read"; // nothing in flight: it waits for the peer, also when the read began before the write
      return count;
    });
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  /** Resolves when it has been closed: by the handler, or because it was idle or the server stops. */
  get closed(): Promise<void> {
    this.#closing ??= Promise.withResolvers();
    if (this.#state === "closed") this.#closing.resolve();
    return this.#closing.promise;
  }

  close(reason?: string): void {
    if (this.#state !== "open") return;
    this.#state = "leaving";
    this.closedBecause = reason;
    if (this.farewell === undefined) this.#end();
    else this.farewell().then(() => this.#end());
  }

  #end(): void {
    this.#state = "closed";
    this.#conn.close();
    this.#closing?.resolve();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return this.closed;
  }

  /** Counts anew how long it waits. */
  restartIdle(): void {
    this.#used = true;
  }

  /** Lets `ms` pass. Resolves to the last operation begun and the ms that have passed since, 0 if it began just now. */
  elapse(ms: number): { operation: Operation; idle: number } {
    this.#idle = this.#used ? 0 : this.#idle + ms;
    this.#used = false;
    return { operation: this.#operation, idle: this.#idle };
  }
}

/** How {@linkcode serveTcp} serves. */
export interface ServeTcpOptions {
  /** Stops the accept loop and drains. */
  readonly signal: AbortSignal;
  readonly log: Log;
  /** Connections at a time; further ones wait in the backlog. Default 10,000. */
  readonly maxConnections?: number;
  /** A connection that moves no byte for so many ms is closed; 0 (default): never. */
  readonly idleTimeout?: number;
}

/**
 * Accepts connections and runs `handle` on each, all at the same time, until `signal` is aborted; then stops accepting,
 * lets what is in flight finish (at most {@linkcode DRAIN_TIMEOUT_MS}) and resolves when all are closed.
 *
 * What `handle` throws ends its own connection with one line in the log, never the server. The connection is closed when
 * `handle` ends.
 */
export async function serveTcp(
  listener: Deno.TcpListener,
  handle: (connection: TcpConnection) => Promise<void>,
  { signal, log, maxConnections = 10_000, idleTimeout = 0 }: ServeTcpOptions,
): Promise<void> {
  using turnstile = new Turnstile();
  const open = new Map<TcpConnection, Promise<void>>();
  let wake = () => {}; // ends the wait for a free place
  const stop = () => {
    listener.close();
    wake();
  };
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  const idleSweep = closeIdle(open, idleTimeout);
  for (let conn; (conn = await acceptNext(listener, log)) !== null;) {
    const connection = new TcpConnection(conn, turnstile);
    open.set(
      connection,
      serveOne(connection, handle, log).finally(() => {
        open.delete(connection);
        wake();
      }),
    );
    while (open.size >= maxConnections && !signal.aborted) await new Promise<void>((resolve) => wake = resolve);
  }
  signal.removeEventListener("abort", stop);
  clearInterval(idleSweep);
  await drain(open, Promise.all(open.values()), log);
}

/** The four outcomes of accept: a connection, the listener closed (null), no room (wait), any other error (go on). */
export async function acceptNext(listener: Deno.TcpListener, log: Log): Promise<Deno.TcpConn | null> {
  for (let hasRoom = true;;) {
    try {
      return await listener.accept();
    } catch (error) {
      if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return null;
      if (!(error instanceof Error && "code" in error && NO_ROOM.has(error.code))) continue;
      if (hasRoom) log.write("warn", `accept: ${reason(error)}: waiting for a connection to close`);
      hasRoom = false;
      await delay(NO_ROOM_DELAY_MS);
    }
  }
}

async function serveOne(
  connection: TcpConnection,
  handle: (connection: TcpConnection) => Promise<void>,
  log: Log,
): Promise<void> {
  using _ = connection;
  log.write("debug", "connected", connection.peer);
  try {
    await handle(connection);
    logEnd(connection, log);
  } catch (error) {
    logEnd(connection, log, error);
  }
}

/** The one line about how a connection ended; `error` is what its handler threw, if anything. */
export function logEnd(connection: TcpConnection, log: Log, error?: unknown): void {
  if (error === undefined) {
    log.write("debug", "closed", connection.peer);
  } else if (connection.closedBecause !== undefined) {
    log.write("info", `closed: ${connection.closedBecause}`, connection.peer);
  } else if (isExpected(error)) {
    log.write("warn", `closed: ${reason(error)}`, connection.peer);
  } else {
    log.write("error", `closed: a bug: ${error instanceof Error ? error.stack : error}`, connection.peer);
  }
}

/** The connections of a server that are open now. */
type OpenConnections = ReadonlyMap<TcpConnection, unknown> | ReadonlySet<TcpConnection>;

/** Waits for the connections that are still busy, until `ended` resolves or time is over, and closes the others. */
export async function drain(open: OpenConnections, ended: Promise<unknown>, log: Log): Promise<void> {
  if (open.size === 0) return;
  log.write("debug", `draining ${open.size} connections`);
  for (const connection of open.keys()) connection.restartIdle();
  const quietSweep = sweep(open, DRAIN_QUIET_MS, "the server stops", ["read"]);
  await withDeadline(DRAIN_TIMEOUT_MS, ended).catch(() => log.write("info", "drain: time is over"));
  clearInterval(quietSweep);
  for (const connection of open.keys()) connection.close("the server stops");
}

/** Closes the connections that move no byte for `timeout` ms, until the timer is cleared; 0: never. */
export function closeIdle(open: OpenConnections, timeout: number): ReturnType<typeof setInterval> | undefined {
  return sweep(open, timeout, `idle for ${formatDuration(timeout)}`);
}

/** Closes, every now and then, the connections that have waited for longer than `timeout` ms in one of the operations. */
function sweep(
  open: OpenConnections,
  timeout: number,
  why: string,
  operations: readonly Operation[] = ["read", "write"],
): ReturnType<typeof setInterval> | undefined {
  if (timeout === 0) return undefined;
  const interval = Math.min(timeout / 4, MAX_SWEEP_MS);
  return setInterval(() => {
    for (const connection of open.keys()) {
      const { operation, idle } = connection.elapse(interval);
      if (idle >= timeout && operations.includes(operation)) connection.close(why);
    }
  }, interval);
}

/** How {@linkcode connectTcp} connects. */
export interface ConnectTcpOptions {
  readonly hostname: string;
  readonly port: number;
  /** The deadline, in ms; 0: never. */
  readonly timeout: number;
  /** What to tell the user when the connection is refused. */
  readonly hint?: string;
  /** That of the client for which a server connects. */
  readonly turnstile?: Turnstile | undefined;
}

/**
 * Connects, or fails with what was tried.
 * @throws {AttemptError} if the connection is refused, the name unknown or the deadline over
 */
export function connectTcp({ hostname, port, timeout, hint, turnstile }: ConnectTcpOptions): Promise<TcpConnection> {
  return attempt(`connect to ${formatAddress({ hostname, port })}`, async () => {
    const deadline = timeout === 0 ? new AbortController().signal : AbortSignal.timeout(timeout);
    try {
      return new TcpConnection(await Deno.connect({ hostname, port, signal: deadline }), turnstile);
    } catch (error) {
      throw deadline.aborted ? new Deno.errors.TimedOut(`no answer within ${formatDuration(timeout)}`) : error;
    }
  }, (error) => error instanceof Deno.errors.ConnectionRefused ? hint : undefined);
}

/** Writes all of `bytes`: one write may take only a part. */
export async function writeAll(connection: Pick<Connection, "write">, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await connection.write(bytes.subarray(written));
}

/**
 * Fills `buffer`: one read may bring only a part.
 * @throws {TruncatedError} if the peer closes its side before
 */
export async function readFull(connection: Pick<Connection, "read">, buffer: Uint8Array): Promise<void> {
  for (let filled = 0; filled < buffer.length;) {
    const count = await connection.read(buffer.subarray(filled));
    if (count === null) {
      throw new TruncatedError(`Cannot read ${buffer.length} bytes: the peer closed the connection after ${filled}`);
    }
    filled += count;
  }
}

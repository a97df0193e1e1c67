import { concat } from "@std/bytes";
import { decodeText, encodeText } from "../../lib/bytes.ts";
import { ProtocolError, TruncatedError } from "../../lib/errors.ts";
import { AttemptError } from "../../lib/net/failure.ts";
import { Log } from "../../lib/net/log.ts";
import { type Connection, connectTcp, readFull, serveTcp, type ServeTcpOptions, writeAll } from "../../lib/net/tcp.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";

/** A log that keeps its lines. */
class KeptLog extends Log {
  readonly lines: string[] = [];
  override write(level: string, message: string): void {
    if (level !== "debug") this.lines.push(`${level} ${message}`);
  }
}

/** `serveTcp` in this process; `await using` stops it and waits for its end. */
class Serving implements AsyncDisposable {
  readonly log = new KeptLog("test");
  readonly port: number;
  readonly ended: Promise<void>;
  readonly #controller = new AbortController();

  constructor(handle: (connection: Connection) => Promise<void>, options: Partial<ServeTcpOptions> = {}) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = listener.addr.port;
    this.ended = serveTcp(listener, handle, { signal: this.#controller.signal, log: this.log, ...options });
  }

  stop(): Promise<void> {
    this.#controller.abort();
    return this.ended;
  }

  connect(): Promise<Connection> {
    return connectTcp({ hostname: "127.0.0.1", port: this.port, timeout: 5000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function echo(connection: Connection): Promise<void> {
  const buffer = new Uint8Array(1024);
  for (let count; (count = await connection.read(buffer)) !== null;) {
    await writeAll(connection, buffer.subarray(0, count));
  }
}

async function ask(connection: Connection, text: string): Promise<string> {
  const reply = encodeText(text);
  await writeAll(connection, reply);
  reply.fill(0);
  await readFull(connection, reply);
  return decodeText(reply);
}

Deno.test("serveTcp: closes the connection when its handler ends", async () => {
  await using serving = new Serving((connection) => writeAll(connection, encodeText("bye")));
  using client = await serving.connect();
  const reply = new Uint8Array(3);
  await readFull(client, reply);
  assertEquals([decodeText(reply), await client.read(reply)], ["bye", null]);
  assertEquals(serving.log.lines, []);
});

Deno.test("serveTcp: what a handler throws is one line in the log and ends its own connection only", async () => {
  await using serving = new Serving(async (connection) => {
    const first = new Uint8Array(1);
    await readFull(connection, first);
    if (first[0] === 0) throw new ProtocolError("Cannot go on: it is over");
    if (first[0] === 1) throw new TypeError("x is undefined");
    await echo(connection);
  });
  using survivor = await serving.connect();
  await writeAll(survivor, Uint8Array.of(2));
  for (const fault of [0, 1]) {
    using client = await serving.connect();
    await writeAll(client, Uint8Array.of(fault));
    assertEquals(await client.read(new Uint8Array(1)), null);
  }
  assertEquals(await ask(survivor, "still here"), "still here");
  const [first, second, ...more] = serving.log.lines;
  assertEquals([first, more], ["warn closed: Cannot go on: it is over", []]);
  assert(second!.startsWith("error closed: a bug: TypeError: x is undefined"));
});

Deno.test("serveTcp: never runs more handlers than maxConnections; who waits is served later", async () => {
  let running = 0;
  let most = 0;
  await using serving = new Serving(async (connection) => {
    most = Math.max(most, ++running);
    await echo(connection);
    running--;
  }, { maxConnections: 3 });
  await Promise.all(Array.from({ length: 20 }, async (_, i) => {
    using client = await serving.connect();
    assertEquals(await ask(client, `client ${i}`), `client ${i}`);
  }));
  assertEquals(most, 3);
});

Deno.test("serveTcp: stops while all places are taken and clients wait", async () => {
  await using serving = new Serving(echo, { maxConnections: 1 });
  using client = await serving.connect();
  using waiting = await serving.connect();
  assertEquals(await ask(client, "a"), "a");
  await serving.stop();
  assertEquals(await client.read(new Uint8Array(1)), null);
  await waiting.read(new Uint8Array(1)).catch(() => {}); // reset, or closed
});

Deno.test("serveTcp: a signal that is aborted already serves nobody", async () => {
  await using serving = new Serving(echo, { signal: AbortSignal.abort() });
  await serving.ended;
  await assertRejects(() => serving.connect(), AttemptError, "connection refused");
});

Deno.test("serveTcp: what was in flight when it stops is answered", async () => {
  await using serving = new Serving(echo);
  using client = await serving.connect();
  assertEquals(await ask(client, "before"), "before");
  await writeAll(client, encodeText("in flight"));
  const ended = serving.stop();
  const reply = new Uint8Array(9);
  await readFull(client, reply);
  assertEquals([decodeText(reply), await client.read(reply)], ["in flight", null]);
  await ended;
  assertEquals(serving.log.lines, ["info closed: the server stops"]);
});

Deno.test("serveTcp: closes a connection that is idle, whichever way it waits, and leaves the others", async () => {
  await using serving = new Serving(async (connection) => {
    const first = new Uint8Array(1);
    await readFull(connection, first);
    if (first[0] === 0) { for (;;) await connection.write(new Uint8Array(65536)); // to a client that does not read
     }
    await echo(connection);
  }, { idleTimeout: 300 });
  using reads = await serving.connect();
  using writes = await serving.connect();
  using busy = await serving.connect();
  await Promise.all(
    [[reads, 1], [writes, 0], [busy, 1]].map(([client, first]) =>
      writeAll(client as Connection, Uint8Array.of(first as number))
    ),
  );
  const closed = reads.read(new Uint8Array(1));
  while (serving.log.lines.length < 2) assertEquals(await ask(busy, "busy"), "busy");
  assertEquals(await closed, null);
  assertEquals(serving.log.lines, Array(2).fill("info closed: idle for 300 ms"));
});

// --- With a listener and connections of our own: what the system does once in a blue moon ----------------------------

/** A connection that never moves a byte. */
function silentConn(remote = "192.0.2.1"): Deno.TcpConn & { closed: boolean } {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {}); // it may be that nobody reads
  const conn = {
    remoteAddr: { transport: "tcp", hostname: remote, port: 5 },
    closed: false,
    setNoDelay() {},
    read: () => promise,
    write: () => promise,
    close() {
      conn.closed = true;
      reject(new Deno.errors.BadResource("closed"));
    },
  };
  return conn as unknown as Deno.TcpConn & { closed: boolean };
}

/** A listener whose `accept` does these things in turn and then waits; `served` resolves when all are done. */
function listenerOf(...accepts: (() => Deno.TcpConn)[]): { listener: Deno.TcpListener; served: Promise<void> } {
  const closed = Promise.withResolvers<never>();
  const served = Promise.withResolvers<void>();
  const accept = async () => {
    const next = accepts.shift();
    if (next !== undefined) return next();
    served.resolve();
    return await closed.promise;
  };
  const close = () => closed.reject(new Deno.errors.BadResource("listener closed"));
  return { listener: { accept, close } as unknown as Deno.TcpListener, served: served.promise };
}

function failure(code: string): () => never {
  return () => {
    throw Object.assign(new Error(`no: ${code}`), { code });
  };
}

Deno.test("serveTcp: goes on after every error of accept; out of descriptors it waits and says so once", async () => {
  const log = new KeptLog("test");
  const controller = new AbortController();
  const conn = silentConn();
  const { listener, served } = listenerOf(
    failure("ENOTCONN"),
    failure("EMFILE"),
    failure("EMFILE"),
    failure("ENFILE"),
    () => conn,
    failure("ECONNABORTED"),
    failure("ENOBUFS"),
  );
  const peers: string[] = [];
  const handle = (connection: Connection) => Promise.resolve(void peers.push(connection.peer));
  const ended = serveTcp(listener, handle, { signal: controller.signal, log });
  await served;
  controller.abort();
  await ended;
  assertEquals(peers, ["192.0.2.1:5"]);
  assertEquals(log.lines, [
    "warn accept: no: EMFILE: waiting for a connection to close",
    "warn accept: no: ENOBUFS: waiting for a connection to close",
  ]);
});

Deno.test("serveTcp: survives a client that has reset before its options are set", async () => {
  const controller = new AbortController();
  const conn = silentConn();
  conn.setNoDelay = failure("EINVAL"); // as macOS does
  const { listener, served } = listenerOf(() => conn);
  const ended = serveTcp(listener, () => Promise.reject(new Deno.errors.ConnectionReset("reset")), {
    signal: controller.signal,
    log: new KeptLog("test"),
  });
  await served;
  controller.abort();
  await ended;
  assert(conn.closed);
});

Deno.test("serveTcp: at the end, a connection that was idle before has the whole quiet time to send", async () => {
  const sweeps: (() => void)[] = [];
  const { setInterval } = globalThis;
  globalThis.setInterval = ((sweep: () => void) => sweeps.push(sweep)) as unknown as typeof setInterval;
  try {
    const controller = new AbortController();
    const conn = silentConn();
    const { listener, served } = listenerOf(() => conn);
    const options = { signal: controller.signal, log: new KeptLog("test"), idleTimeout: 60_000 };
    const ended = serveTcp(listener, async (connection) => void await connection.read(new Uint8Array(1)), options);
    await served;
    for (let second = 0; second < 5; second++) sweeps[0]!();
    controller.abort();
    while (sweeps.length < 2) await Promise.resolve();
    sweeps[1]!();
    assert(!conn.closed, "closed at the first look");
    for (let look = 0; look < 5; look++) sweeps[1]!();
    assert(conn.closed);
    await ended;
  } finally {
    globalThis.setInterval = setInterval;
  }
});

// --- Clients ---------------------------------------------------------------------------------------------------------

Deno.test("connectTcp: a refused connection says what was tried and gives the hint", async () => {
  const options = { hostname: "127.0.0.1", port: 1, timeout: 1000, hint: "is it running?" };
  const error = await assertRejects(() => connectTcp(options), AttemptError);
  assertEquals([error.message, error.hint], ["connect to 127.0.0.1:1: connection refused", "is it running?"]);
});

Deno.test("connectTcp: an unknown name fails without a hint", async () => {
  const options = { hostname: "nobody.invalid", port: 1, timeout: 20_000, hint: "is it running?" };
  const error = await assertRejects(() => connectTcp(options), AttemptError, "connect to nobody.invalid:1: ");
  assertEquals(error.hint, undefined);
});

Deno.test("connectTcp: gives up at its deadline; a deadline of 0 never comes", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const backlog: Disposable[] = [];
  const connect = (timeout: number) => connectTcp({ hostname: "127.0.0.1", port, timeout });
  let full: unknown;
  while (full === undefined) await connect(300).then((client) => backlog.push(client), (error) => full = error);
  assertEquals((full as Error).message, `connect to 127.0.0.1:${port}: no answer within 300 ms`);
  const patient = assertRejects(() => connect(0), AttemptError, "connection refused");
  await assertRejects(() => connect(100), AttemptError, "no answer within 100 ms");
  listener.close(); // the next try of the system is refused
  for (const client of backlog) client[Symbol.dispose]();
  await patient;
});

Deno.test("writeAll: goes on after a write that takes only a part", async () => {
  const written: Uint8Array[] = [];
  const write = (bytes: Uint8Array) => {
    written.push(bytes.slice(0, 3));
    return Promise.resolve(Math.min(3, bytes.length));
  };
  await writeAll({ write }, encodeText("partial"));
  assertEquals(written.map(decodeText), ["par", "tia", "l"]);
  assertEquals(decodeText(concat(written)), "partial");
});

Deno.test("readFull: goes on after a read that brings only a part; an end in between is the peer's fault", async () => {
  const reader = (...parts: string[]) => ({
    read(buffer: Uint8Array): Promise<number | null> {
      const part = parts.shift();
      if (part === undefined) return Promise.resolve(null);
      buffer.set(encodeText(part));
      return Promise.resolve(part.length);
    },
  });
  const buffer = new Uint8Array(6);
  await readFull(reader("ab", "c", "def", "g"), buffer);
  assertEquals(decodeText(buffer), "abcdef");
  await assertRejects(
    () => readFull(reader("ab"), buffer),
    TruncatedError,
    "Cannot read 6 bytes: the peer closed the connection after 2",
  );
});

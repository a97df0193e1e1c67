import fc from "fast-check";
import net from "node:net";
import { askEcho } from "../../clients/tcp_echo.ts";
import { decodeText, encodeText } from "../../lib/bytes.ts";
import { Log } from "../../lib/net/log.ts";
import { connectTcp, type TcpConnection } from "../../lib/net/tcp.ts";
import { Condition } from "../../lib/net/timing.ts";
import { serveByThreads, shareOut, startWorker } from "../../servers/thread_echo.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { inTime, run, type RunningServer, startServer } from "../harness.ts";

const SERVER = "servers/thread_echo";
const CLIENT = "clients/tcp_echo";
const LISTENING = /^listening on /;

/** Connects as several clients, which end with the test. */
async function connectAll({ port }: { port: number }, count: number): Promise<{ all: TcpConnection[] } & Disposable> {
  const client = () => connectTcp({ hostname: "127.0.0.1", port, timeout: 10_000 });
  const all = await Promise.all(Array.from({ length: count }, client));
  return { all, [Symbol.dispose]: () => all.forEach((client) => client.close()) };
}

async function ask(client: TcpConnection, text: string): Promise<string> {
  return decodeText(await inTime(askEcho(client, encodeText(text)), "an echo"));
}

/** Which workers have served, from the log. */
function servedBy({ stderr }: RunningServer): Set<string> {
  return new Set(stderr.all.flatMap((line) => /served by worker (\d+)$/.exec(line)?.[1] ?? []));
}

Deno.test("thread_echo: the client prints the echo of each message; the server prints each message", async () => {
  await using server = await startServer(SERVER, ["--workers", "2"]);
  const client = await run(CLIENT, [server.hostname, `${server.port}`, "-m", "hello", "-m", "wörld"]);
  assertEquals(client, { code: 0, stdout: "hello\nwörld\n", stderr: "" });
  assertMatch(await server.printed("hello"), /^127\.0\.0\.1:\d+ hello$/);
  assertMatch(await server.printed("wörld"), /^127\.0\.0\.1:\d+ wörld$/);
});

Deno.test("thread_echo: several clients are served at the same time", async () => {
  await using server = await startServer(SERVER, ["--workers", "2"]);
  using clients = await connectAll(server, 2);
  for (const client of [...clients.all, ...clients.all]) assertEquals(await ask(client, "hello"), "hello");
});

Deno.test("thread_echo: on one port, which may be any free one, all workers serve; one line tells where", async () => {
  await using server = await startServer(SERVER, ["--workers", "2", "--verbose"]);
  using clients = await connectAll(server, 64);
  const texts = clients.all.map((_, i) => `message ${i}`);
  assertEquals(await Promise.all(clients.all.map((client, i) => ask(client, texts[i]!))), texts);
  const { stdout } = await server.stop();
  const lines = stdout.split("\n");
  assertEquals(lines.filter((line) => LISTENING.test(line)), [`listening on tcp://127.0.0.1:${server.port}`]);
  assertEquals(lines.slice(1).map((line) => line.replace(/^\S+ /, "")).toSorted(), texts.toSorted());
  assertEquals([...servedBy(server)].toSorted(), ["1", "2"]);
});

Deno.test("thread_echo: outside a checkout and without --unstable-net, one line names the flag, exit code 1", async () => {
  const permissions = ["--no-config", "--import-map=deno.json", "-N", "-R"];
  const stderr = "thread_echo: share the port: SO_REUSEPORT is turned off (add the flag --unstable-net)\n";
  assertEquals(await run(SERVER, ["--port", "0"], { permissions }), { code: 1, stdout: "", stderr });
});

Deno.test("thread_echo: listens on IPv6, and on both families", async () => {
  for (const host of ["::1", "::"]) {
    await using server = await startServer(SERVER, ["--host", host, "--workers", "2"]);
    const client = await run(CLIENT, [host === "::" ? "127.0.0.1" : "::1", `${server.port}`, "-m", "hello"]);
    assertEquals(client, { code: 0, stdout: "hello\n", stderr: "" });
  }
});

Deno.test("thread_echo: a port in use is one line and exit code 1, even where its owner would share it", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0, reusePort: true });
  const { port } = listener.addr;
  const { code, stdout, stderr } = await run(SERVER, ["--port", `${port}`]);
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, new RegExp(`^thread_echo: listen on 127.0.0.1:${port}: address already in use \\(.*\\)\n$`));
});

Deno.test("thread_echo: without the permission to read its worker's module it says which flag is missing", async () => {
  const { code, stdout, stderr } = await run(SERVER, ["--port", "0"], { permissions: ["-N"] });
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /^thread_echo: start a worker: .*--allow-read.* \(try: deno run -N -R .*\)\n$/);
});

Deno.test("thread_echo: no worker at all is wrong usage", async () => {
  const { code, stderr } = await run(SERVER, ["--workers", "0"]);
  assertEquals(code, 2);
  assertMatch(stderr, /^thread_echo: --workers: "0" is no whole number from 1 to /);
});

Deno.test("thread_echo: survives clients that reset at once", async () => {
  await using server = await startServer(SERVER, ["--workers", "2"]);
  for (let i = 0; i < 200; i++) {
    const socket = net.connect(server.port, server.hostname);
    await new Promise((resolve) => socket.once("connect", resolve));
    socket.resetAndDestroy();
  }
  using clients = await connectAll(server, 16);
  for (const client of clients.all) assertEquals(await ask(client, "hello"), "hello");
});

// --- Connections at a time -------------------------------------------------------------------------------------------

Deno.test("shareOut: the shares differ by one at most and add up; nobody's share is nothing", () => {
  assertEquals(shareOut(10_000, { workers: 4, os: "linux" }), [2500, 2500, 2500, 2500]);
  assertEquals(shareOut(3, { workers: 2, os: "linux" }), [1, 2]);
  fc.assert(fc.property(fc.integer({ min: 1, max: 1e6 }), fc.integer({ min: 1, max: 1024 }), (total, workers) => {
    const shares = shareOut(total, { workers, os: "linux" });
    assertEquals(shares.length, Math.min(total, workers));
    assertEquals(shares.reduce((sum, share) => sum + share), total);
    assert(Math.max(...shares) - Math.min(...shares) <= 1);
  }));
});

Deno.test("shareOut: elsewhere than on Linux all goes to one worker", () => {
  assertEquals(shareOut(10_000, { workers: 4, os: "darwin" }), [10_000]);
});

Deno.test("thread_echo: clients beyond --max-connections wait and are served later, none is lost", async () => {
  await using server = await startServer(SERVER, ["--workers", "2", "--max-connections", "3", "--verbose"]);
  using clients = await connectAll(server, 32);
  const full = Promise.withResolvers<void>();
  let served = 0;
  await Promise.all(clients.all.map(async (client) => {
    assertEquals(await ask(client, "hello"), "hello");
    if (++served === 3) full.resolve();
    await inTime(full.promise, "three clients at a time");
    client.close();
  }));
  await server.stop();
  let open = 0;
  const openAtATime = server.stderr.all.map((line) =>
    line.endsWith(": connected") ? ++open : line.endsWith(": closed") ? --open : open
  );
  assertEquals(Math.max(...openAtATime), 3);
});

// --- The end ---------------------------------------------------------------------------------------------------------

Deno.test("thread_echo: SIGTERM lets the echoes of 50 clients complete", async () => {
  await using server = await startServer(SERVER, ["--workers", "2", "--quiet"]);
  using clients = await connectAll(server, 50);
  await Promise.all(clients.all.map((client) => ask(client, "hello")));
  const message = crypto.getRandomValues(new Uint8Array(64 * 1024));
  const replies = clients.all.map((client) => inTime(askEcho(client, message), "an echo"));
  const { code, stderr } = await server.stop();
  assertEquals([code, stderr], [0, ""]);
  for (const reply of await Promise.all(replies)) assertEquals(reply, message);
});

Deno.test("thread_echo: SIGINT ends it though a client never reads", async () => {
  await using server = await startServer(SERVER, ["--workers", "2", "--quiet", "--verbose"]);
  using client = await server.connect();
  const written = (async () => {
    for (;;) await client.write(new Uint8Array(64 * 1024));
  })().catch(() => {});
  await server.logged("connected");
  const { code, stderr } = await server.stop("SIGINT");
  assertEquals([code, stderr.includes("failed")], [0, false], stderr);
  await written;
});

Deno.test("thread_echo: a second signal ends it at once", async () => {
  await using server = await startServer(SERVER, ["--workers", "2", "--quiet", "--verbose"]);
  using client = await server.connect();
  const written = (async () => {
    for (;;) await client.write(new Uint8Array(64 * 1024));
  })().catch(() => {});
  await server.logged("connected");
  server.process.kill("SIGTERM");
  await server.logged("draining");
  assertEquals((await server.stop()).code, 128 + 15);
  await written;
});

// --- In this process, to get at the workers --------------------------------------------------------------------------

/** The server in this process; `await using` stops it. */
class Serving implements AsyncDisposable {
  readonly workers: Worker[] = [];
  readonly log: string[] = [];
  readonly #changed = new Condition();
  readonly #controller = new AbortController();
  readonly #ended: Promise<void>;
  #readyReports = 0;
  port = 0;

  constructor(options: { workers: number; os?: string }) {
    const log = new Log("test");
    log.write = (level, message) => void this.log.push(`${level} ${message}`);
    const settings = { host: "127.0.0.1", port: 0, maxConnections: 100, idleTimeout: 0, quiet: true, verbose: false };
    const start = () => {
      const worker = startWorker();
      this.workers.push(worker);
      worker.addEventListener("message", ({ data }) => {
        if (data.type === "ready") this.#readyReports++;
        this.#changed.notify();
      });
      return worker;
    };
    this.#ended = serveByThreads(
      { ...settings, logFormat: "text", workers: options.workers },
      { signal: this.#controller.signal, log, listening: ({ port }) => this.port = port },
      { ...options, start },
    );
  }

  /** Resolves when so many workers, also dead ones, have been ready. */
  async ready(count: number): Promise<void> {
    while (this.#readyReports < count || this.port === 0) await inTime(this.#changed.wait(), `${count} workers`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort();
    await inTime(this.#ended, "the server's end");
  }
}

Deno.test("thread_echo: a worker that dies takes only its own clients with it and is replaced", async () => {
  await using serving = new Serving({ workers: 2 });
  await serving.ready(2);
  using clients = await connectAll(serving, 32);
  await Promise.all(clients.all.map((client) => ask(client, "hello")));
  serving.workers[0]!.postMessage(null); // no order: an error that nobody catches
  await serving.ready(3);
  const outcomes = await Promise.all(clients.all.map((client) => ask(client, "still there?").catch(() => "closed")));
  assertEquals(new Set(outcomes), new Set(["still there?", "closed"]));
  using later = await connectAll(serving, 32);
  for (const client of later.all) assertEquals(await ask(client, "hello"), "hello");
  assertEquals(serving.log.length, 1);
  assertMatch(serving.log[0]!, /^error worker 1 failed: /);
});

Deno.test("thread_echo: elsewhere than on Linux it says that it runs one worker", async () => {
  await using serving = new Serving({ workers: 4, os: "darwin" });
  await serving.ready(1);
  assertEquals(serving.workers.length, 1);
  assertEquals(serving.log, [
    "warn the kernel of darwin does not spread connections over several listeners: one worker",
  ]);
});

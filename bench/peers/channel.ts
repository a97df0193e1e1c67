/**
 * Both ends of one byte stream in clear, inside TLS 1.3 or inside the secure channel.
 *
 * `channel.ts serve MODE` listens; `channel.ts bulk|echo|small|handshakes MODE PORT` loads it and prints its figures as JSON.
 * MODE is plain, tls, or SUITE-BACKEND: AESGCM-libcrypto, ChaChaPoly-portable.
 * @module
 */
import process from "node:process";
import { Log } from "../../lib/net/log.ts";
import { type BackendName, chooseBackend } from "../../lib/net/ciphers.ts";
import { type ClientSecurity, connectSecure, secured, type ServerSecurity } from "../../lib/net/secure.ts";
import { type Connection, connectTcp, readFull, serveTcp, writeAll } from "../../lib/net/tcp.ts";
import { x25519 } from "../../lib/noise_primitives.ts";

/** What the client wants is the first byte that it sends. */
const TASK = { sink: 0, echo: 1 };
const CHUNK = 256 * 1024;
/** How much is sent before a bulk transfer is measured, and how much is measured, in bytes. */
const BULK = { warmUp: 64 * 2 ** 20, measured: 512 * 2 ** 20 };
const SLOW_BULK = { warmUp: 4 * 2 ** 20, measured: 16 * 2 ** 20 };
const SMALL = 64;
const CHANNEL = { application: "bench/1" };
/** V8 takes over a second to compile the channel for good. */
const WARM_UP_MS = 1500;
const MEASURED_MS = 500;

const [role, mode, port] = Deno.args as [string, string, string?];

/** CPU time of this process, in seconds. */
function cpu(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

// --- Streams -------------------------------------------------------------------------------------------------------

type Stream = Pick<Connection, "read" | "write" | "closeWrite" | "close">;

async function connect(): Promise<Stream> {
  const address = { hostname: "127.0.0.1", port: Number(port) };
  if (mode === "plain") return await connectTcp({ ...address, timeout: 0 });
  if (mode !== "tls") {
    return await connectSecure(await connectTcp({ ...address, timeout: 0 }), await security(), CHANNEL);
  }
  const conn = await Deno.connect(address);
  conn.setNoDelay(true);
  const caCerts = [await Deno.readTextFile("bench/out/tls.crt")];
  return await Deno.startTls(conn, { hostname: "localhost", caCerts });
}

let made: ClientSecurity & ServerSecurity | undefined;

/** XX, with keys that are made and trusted. */
async function security(): Promise<ClientSecurity & ServerSecurity> {
  const [suite, backend] = mode.split("-") as [string, BackendName];
  const protocol = `Noise_XX_25519_${suite}_SHA256`;
  return made ??= {
    backend: await chooseBackend(backend),
    padding: "none",
    maxSession: 0,
    identity: x25519.generate(),
    protocol,
    protocols: [protocol],
    verify: () => Promise.resolve(undefined),
    authorize: () => Promise.resolve(true),
  };
}

// --- The server ----------------------------------------------------------------------------------------------------

async function serve(stream: Stream): Promise<void> {
  const before = cpu();
  const buffer = new Uint8Array(CHUNK);
  await readFull(stream, buffer.subarray(0, 1));
  const echo = buffer[0] === TASK.echo;
  for (let count; (count = await stream.read(buffer)) !== null;) {
    if (echo) await writeAll(stream, buffer.subarray(0, count));
  }
  if (!echo) await writeAll(stream, new Uint8Array(Float64Array.of(cpu() - before).buffer));
  await stream.closeWrite();
}

async function listen(): Promise<void> {
  const address = { hostname: "127.0.0.1", port: 0 };
  if (mode === "tls") {
    const [cert, key] = await Promise.all(["crt", "key"].map((type) => Deno.readTextFile(`bench/out/tls.${type}`)));
    const listener = Deno.listenTls({ ...address, cert: cert!, key: key! });
    console.log(`listening on tls://127.0.0.1:${listener.addr.port}`);
    for (;;) {
      const conn = await listener.accept();
      serve(conn).catch(() => {}).finally(() => conn.close());
    }
  }
  const listener = Deno.listen(address);
  console.log(`listening on tcp://127.0.0.1:${listener.addr.port}`);
  const log = new Log("channel", { quiet: true });
  const handle = mode === "plain" ? serve : secured(serve, await security(), { ...CHANNEL, log });
  await serveTcp(listener, handle, { signal: new AbortController().signal, log });
}

// --- Loads ---------------------------------------------------------------------------------------------------------

/** One direction, as fast as it goes: MB/s, and CPU seconds of both ends for a GiB. */
async function bulk(): Promise<Record<string, number>> {
  const { warmUp, measured } = mode.endsWith("-noble") ? SLOW_BULK : BULK;
  await transfer(warmUp);
  const { seconds, ours, theirs } = await transfer(measured);
  return { mbPerS: measured / seconds / 1e6, cpuPerGiB: (ours + theirs) * 2 ** 30 / measured };
}

async function transfer(bytes: number): Promise<{ seconds: number; ours: number; theirs: number }> {
  const stream = await connect();
  await writeAll(stream, Uint8Array.of(TASK.sink));
  const chunk = new Uint8Array(CHUNK);
  const [before, started] = [cpu(), performance.now()];
  for (let sent = 0; sent < bytes; sent += CHUNK) await writeAll(stream, chunk);
  await stream.closeWrite();
  const theirs = await readCpu(stream);
  const seconds = (performance.now() - started) / 1000;
  stream.close();
  return { seconds, ours: cpu() - before, theirs };
}

async function readCpu(stream: Stream): Promise<number> {
  const bytes = new Uint8Array(8);
  await readFull(stream, bytes);
  return new Float64Array(bytes.buffer)[0]!;
}

/** One message of 64 bytes there and back, again and again. */
async function echo(): Promise<Record<string, number>> {
  const stream = await connect();
  await writeAll(stream, Uint8Array.of(TASK.echo));
  const message = new Uint8Array(SMALL);
  const perSecond = await rate(async () => {
    await writeAll(stream, message);
    await readFull(stream, message);
  });
  await stream.closeWrite();
  return { perSecond };
}

/** Writes of 64 bytes, each without waiting for the one before. */
async function small(): Promise<Record<string, number>> {
  const stream = await connect();
  await writeAll(stream, Uint8Array.of(TASK.sink));
  const message = new Uint8Array(SMALL);
  const batch = 256;
  const perSecond = await rate(async () => {
    await Promise.all(Array.from({ length: batch }, () => writeAll(stream, message)));
  });
  await stream.closeWrite();
  await readCpu(stream);
  stream.close();
  return { mbPerS: perSecond * batch * SMALL / 1e6 };
}

/** Connections, each with a handshake and one byte there and back. */
async function handshakes(): Promise<Record<string, number>> {
  const perSecond = await rate(async () => {
    const stream = await connect();
    await writeAll(stream, Uint8Array.of(TASK.echo, 0));
    await readFull(stream, new Uint8Array(1));
    stream.close();
  });
  return { perSecond };
}

/** How often a second `action` can be done, once the code is compiled. */
async function rate(action: () => Promise<void>): Promise<number> {
  await repeat(action, WARM_UP_MS);
  const started = performance.now();
  const count = await repeat(action, MEASURED_MS);
  return count / (performance.now() - started) * 1000;
}

/** Does it again and again for `ms`; resolves to how often. */
async function repeat(action: () => Promise<void>, ms: number): Promise<number> {
  let count = 0;
  for (const end = performance.now() + ms; performance.now() < end; count++) await action();
  return count;
}

const LOADS: Record<string, () => Promise<Record<string, number>>> = { bulk, echo, small, handshakes };

if (role === "serve") {
  await listen();
} else {
  console.log(JSON.stringify(await LOADS[role]!()));
  Deno.exit(0);
}

#!/usr/bin/env -S deno run -N
/**
 * UDP echo client: sends each message as one datagram and prints the reply, asks again when none comes in time, and tells
 * what is lost, late or doubled. `--count` sends numbered datagrams instead and ends with statistics.
 *
 * Run: `deno run -N clients/udp_echo.ts -m hello`, or `deno run -N clients/udp_echo.ts --count 1000`. See
 * docs/protocols/udp_echo.md.
 * @module
 */
import { checkDatagramLength } from "../lib/datagram.ts";
import { DatagramExchange, type ExchangeOptions } from "../lib/datagram_exchange.ts";
import { DatagramProbe, formatStatistics, type ProbeOptions } from "../lib/datagram_probe.ts";
import { UsageError } from "../lib/errors.ts";
import { integer, option, size, stopSignal } from "../lib/net/cli.ts";
import { messages, printReply, runClient, serverHint, timeoutOption } from "../lib/net/client.ts";
import { AttemptError } from "../lib/net/failure.ts";
import { Log } from "../lib/net/log.ts";
import { Condition, delay, withDeadline } from "../lib/net/timing.ts";
import { DatagramPeer } from "../lib/net/udp.ts";
import { programName } from "../lib/programs.ts";
import { printableBytes } from "../lib/text.ts";
import { formatDuration } from "../lib/units.ts";

const PATH = "clients/udp_echo";
/** How long to listen for doubled replies after the last answer, in ms. */
const LINGER_MS = 50;
/** How far `--rate` may fall behind before it gives up to catch up, in ms: a burst would only overflow buffers. */
const MAX_LAG_MS = 10;
/** The most datagrams of one `--count`; each takes 20 bytes of memory. */
const MAX_COUNT = 10_000_000;
/** How much of a message a notice shows, in bytes. */
const QUOTED = 40;

const DEFAULT_RATE = 1000; // datagrams per second
const DEFAULT_SIZE = 64; // bytes

const log = new Log(programName(PATH));

function noReply({ address, port }: DatagramPeer, what: string): AttemptError {
  return new AttemptError(`ask ${address}`, what, serverHint("servers/udp_echo", port));
}

/** Asks one message after the other and prints the answers. */
async function askAll(
  peer: DatagramPeer,
  texts: AsyncIterable<Uint8Array>,
  { timeout, retries }: ExchangeOptions,
): Promise<void> {
  const exchange = new DatagramExchange({ timeout, retries });
  const answered = new Condition();
  const closing = new AbortController();
  const tell = (what: string) => log.write("info", what, peer.address);
  const receiving = peer.receive((datagram) => {
    const kind = exchange.receive(datagram);
    if (kind === "answer") answered.notify();
    else tell(`${kind} reply: ${printableBytes(datagram.subarray(0, QUOTED))}`);
  }, { signal: closing.signal, log });
  const within = formatDuration(timeout);
  for await (const message of texts) {
    checkDatagramLength(message.length);
    exchange.ask(message, performance.now());
    await peer.send(message);
    for (let step; (step = exchange.next(performance.now())) !== "answered";) {
      if (step === "unanswered") throw noReply(peer, `no reply within ${within}, ${exchange.tries} times`);
      if (step === "wait") {
        await answered.wait(exchange.patience(performance.now()));
      } else {
        tell(`reply lost: none within ${within}, asked again (try ${exchange.tries} of ${retries + 1})`);
        await peer.send(message);
      }
    }
    await printReply(exchange.answer!);
  }
  await delay(LINGER_MS);
  closing.abort();
  await receiving;
}

/** Sends numbered datagrams, `rate` per second, and prints what became of them; SIGINT (Ctrl-C) ends it early. */
async function probeServer(
  peer: DatagramPeer,
  { count, size, rate, timeout }: ProbeOptions & { readonly rate: number; readonly timeout: number },
): Promise<void> {
  const probe = new DatagramProbe({ count, size });
  const over = Promise.withResolvers<void>(); // all came back, or it was stopped
  const stop = stopSignal();
  stop.addEventListener("abort", () => over.resolve());
  let foreign = 0;
  const closing = new AbortController();
  const receiving = peer.receive((datagram) => {
    if (probe.receive(datagram, performance.now()) === "foreign") foreign++;
    if (probe.complete) over.resolve();
  }, { signal: closing.signal, log });
  for (let due = performance.now(); probe.sent < count;) {
    const early = due - performance.now();
    await (early > 0 ? delay(early, stop) : new Promise((resolve) => setImmediate(resolve))); // echoes want their turn
    if (stop.aborted) break;
    await peer.send(probe.next(performance.now()));
    due = Math.max(due + 1000 / rate, performance.now() - MAX_LAG_MS);
  }
  await withDeadline(timeout, over.promise).catch(() => {}); // what has not come by now is lost
  await delay(LINGER_MS, stop);
  closing.abort();
  await receiving;
  if (foreign > 0) log.write("info", `datagrams that are no echoes: ${foreign}`, peer.address);
  const statistics = probe.statistics();
  console.log(formatStatistics(statistics));
  if (statistics.received === 0) throw noReply(peer, `no echo of ${statistics.sent} datagrams`);
}

/** A number of bytes that fit a datagram. */
function datagramSize(given: string): number {
  const bytes = size(given);
  checkDatagramLength(bytes);
  return bytes;
}

if (import.meta.main) {
  const options = {
    timeout: timeoutOption("1s"),
    retries: option({ value: "N", parse: integer(0, 1000), default: "3", help: "how often to ask again" }),
    count: option({ value: "N", parse: integer(1, MAX_COUNT), help: "send N numbered datagrams and count the echoes" }),
    rate: option({ value: "N", parse: integer(1, 1_000_000), help: "with --count: so many a second (default: 1000)" }),
    size: option({ value: "BYTES", parse: datagramSize, help: "with --count: bytes of each (default: 64)" }),
  };
  await runClient({ path: PATH, options }, async ({ host, port, message, timeout, retries, count, rate, size }) => {
    if (count === undefined && (rate ?? size) !== undefined) throw new UsageError("--rate and --size need --count");
    if (count !== undefined && message.length > 0) throw new UsageError("--count sends no text: leave out -m");
    const peer = await DatagramPeer.open({ hostname: host, port });
    await (count === undefined
      ? askAll(peer, messages(message), { timeout, retries })
      : probeServer(peer, { count, timeout, rate: rate ?? DEFAULT_RATE, size: size ?? DEFAULT_SIZE }));
  });
}

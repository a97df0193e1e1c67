#!/usr/bin/env -S deno run -N -R -W -E=NODE_ENV --allow-run --unstable-net
/**
 * TCP beside UDP, an experiment: the same numbered messages through the same kind of echo server over both, through the
 * wiretap, which loses, delays, reorders, splits, glues and stalls. Prints tables; with `--write` also docs/tcp_vs_udp.md and
 * its pictures.
 *
 * Run: `deno task compare`, or smaller: `deno task compare --count 40`.
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { fileURLToPath } from "node:url";
import { readUint, writeUint } from "../lib/bytes.ts";
import { connectTcp, readFull, writeAll } from "../lib/net/tcp.ts";
import { delay } from "../lib/net/timing.ts";
import { type RunningServer, startServer } from "../tests/harness.ts";
import { type BarChart, renderBarChart } from "./chart.ts";

const MESSAGE_SIZE = 64;
/** The time between two messages, in ms. */
const GAP_MS = 3;
/** How long to wait for replies after the last message, in ms: longer than every delay that is tried. */
const PATIENCE_MS = 400;
/** How often a cold start is measured. */
const COLD_STARTS = 30;

type Transport = "TCP" | "UDP";

/** What the wiretap does to the bytes, in each direction, for either transport. */
interface Condition {
  readonly name: string;
  readonly TCP?: readonly string[];
  readonly UDP?: readonly string[];
}

const CONDITIONS: readonly Condition[] = [
  { name: "nothing", TCP: [], UDP: [] },
  { name: "1 % lost", UDP: ["--drop", "1%"] },
  { name: "5 % lost", UDP: ["--drop", "5%"] },
  { name: "20 % lost", UDP: ["--drop", "20%"] },
  { name: "10 % reordered", UDP: ["--reorder", "10%"] },
  { name: "10 % doubled", UDP: ["--duplicate", "10%"] },
  { name: "20 ms delay", TCP: ["--delay", "20ms"], UDP: ["--delay", "20ms"] },
  { name: "split to 10 B", TCP: ["--split", "10"] },
  { name: "glued for 20 ms", TCP: ["--glue", "20ms"] },
  { name: "stalled half-way", TCP: ["--stall-after"] }, // after half of the bytes
];

/** What came back of `sent` messages. */
interface Outcome {
  readonly transport: Transport;
  readonly condition: string;
  readonly sent: number;
  /** Different messages that came back whole. */
  readonly received: number;
  /** Times that a message came back after a later one. */
  readonly reordered: number;
  /** Times that one came back again. */
  readonly doubled: number;
  /** Reads of the socket that brought something. */
  readonly reads: number;
  /** Messages that one read brought, whole and alone. */
  readonly kept: number;
  /** Round-trip times of the first arrivals, in ms, ascending. */
  readonly rtt: readonly number[];
}

/** Notes arrivals and makes the outcome of them. */
class Tally {
  readonly #sentAt: number[] = [];
  readonly #rtt = new Map<number, number>();
  #highest = -1;
  #reordered = 0;
  #doubled = 0;
  reads = 0;
  kept = 0;

  send(): void {
    this.#sentAt.push(performance.now());
  }

  arrive(message: number): void {
    if (this.#rtt.has(message)) this.#doubled++;
    else if (message < this.#highest) this.#reordered++;
    this.#highest = Math.max(this.#highest, message);
    if (!this.#rtt.has(message)) this.#rtt.set(message, performance.now() - this.#sentAt[message]!);
  }

  outcome(transport: Transport, condition: string): Outcome {
    const [sent, received] = [this.#sentAt.length, this.#rtt.size];
    const { reads, kept } = this;
    const rtt = [...this.#rtt.values()].toSorted((a, b) => a - b);
    return {
      transport,
      condition,
      sent,
      received,
      reads,
      kept,
      rtt,
      reordered: this.#reordered,
      doubled: this.#doubled,
    };
  }
}

/** Number `n` as a message: the number in 4 bytes, then filling. */
function message(n: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(MESSAGE_SIZE).fill(0x2e);
  writeUint(bytes, n, { width: 4 });
  return bytes;
}

/** Sends `count` messages at an even pace. */
async function sendAll(count: number, tally: Tally, send: (message: Uint8Array) => Promise<unknown>): Promise<void> {
  for (let n = 0; n < count; n++) {
    tally.send();
    await send(message(n));
    await delay(GAP_MS);
  }
}

async function probeUdp(port: number, count: number, condition: string): Promise<Outcome> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const tally = new Tally();
  const receiving = (async () => {
    for await (const [datagram] of socket) {
      tally.reads++;
      if (datagram.length === MESSAGE_SIZE) tally.kept++;
      tally.arrive(readUint(datagram.subarray(0, 4)));
    }
  })();
  await sendAll(count, tally, (bytes) => socket.send(bytes, { transport: "udp", hostname: "127.0.0.1", port }));
  await delay(PATIENCE_MS);
  socket.close();
  await receiving;
  return tally.outcome("UDP", condition);
}

async function probeTcp(port: number, count: number, condition: string): Promise<Outcome> {
  const connection = await connectTcp({ hostname: "127.0.0.1", port, timeout: 1000 });
  const tally = new Tally();
  const receiving = (async () => {
    const buffer = new Uint8Array(64 * 1024);
    let total = 0;
    for (let length; (length = await connection.read(buffer)) !== null;) {
      tally.reads++;
      if (total % MESSAGE_SIZE === 0 && length === MESSAGE_SIZE) tally.kept++;
      const complete = Math.floor((total + length) / MESSAGE_SIZE);
      for (let n = Math.floor(total / MESSAGE_SIZE); n < complete; n++) tally.arrive(n); // bytes come in order
      total += length;
    }
  })().catch(() => {}); // closed below
  await sendAll(count, tally, (bytes) => writeAll(connection, bytes));
  await delay(PATIENCE_MS);
  connection.close();
  await receiving;
  return tally.outcome("TCP", condition);
}

/** One condition for one transport: echo server, wiretap with the faults, probe. */
async function measure(transport: Transport, condition: Condition, count: number): Promise<Outcome> {
  const udp = transport === "UDP";
  await using server = await startServer(udp ? "servers/udp_echo" : "servers/tcp_echo", ["-q"]);
  const faults = condition[transport]!.flatMap((fault) =>
    fault === "--stall-after" ? [fault, `${count * MESSAGE_SIZE / 2}`] : [fault]
  );
  const args = ["-q", ...(udp ? ["--udp"] : []), "--to", `127.0.0.1:${server.port}`, ...faults];
  await using wiretap = await startServer("servers/wiretap", args);
  return await (udp ? probeUdp : probeTcp)(wiretap.port, count, condition.name);
}

/** What one message costs when nothing has been sent before, and how large it may be. */
async function limits(): Promise<{ title: string; tcp: string; udp: string }[]> {
  await using tcp = await startServer("servers/tcp_echo", ["-q"]);
  await using udp = await startServer("servers/udp_echo", ["-q"]);
  const large = 16 * 2 ** 20;
  let reads = 0;
  using connection = await connectTcp({ hostname: "127.0.0.1", port: tcp.port, timeout: 1000 });
  const counted = { read: (buffer: Uint8Array) => (reads++, connection.read(buffer)) };
  await Promise.all([writeAll(connection, new Uint8Array(large)), readFull(counted, new Uint8Array(large))]);
  connection.close();
  return [
    { title: "first reply of a new socket, median", tcp: await coldTcp(tcp), udp: await coldUdp(udp) },
    {
      title: "largest message",
      tcp: `none: ${large / 2 ** 20} MiB came back, in ${reads} reads`,
      udp: await largestDatagram(udp),
    },
  ];
}

async function coldTcp({ port }: RunningServer): Promise<string> {
  return await medianTime(async () => {
    using connection = await connectTcp({ hostname: "127.0.0.1", port, timeout: 1000 });
    await writeAll(connection, message(0));
    await readFull(connection, new Uint8Array(MESSAGE_SIZE));
  });
}

async function coldUdp({ port }: RunningServer): Promise<string> {
  return await medianTime(async () => {
    const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    await socket.send(message(0), { transport: "udp", hostname: "127.0.0.1", port });
    await socket.receive(new Uint8Array(MESSAGE_SIZE));
    socket.close();
  });
}

async function largestDatagram({ port }: RunningServer): Promise<string> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const send = (size: number) => socket.send(new Uint8Array(size), { transport: "udp", hostname: "127.0.0.1", port });
  try {
    let [low, high] = [0, 2 ** 17];
    while (high - low > 1) {
      const size = (low + high) >> 1;
      await send(size).then(() => low = size, () => high = size);
    }
    const refusal = await send(high).then(() => "", (error: Error) => error.message.replace(/ \(.*/, ""));
    return `${low.toLocaleString("en")} bytes; one more: "${refusal}"`;
  } finally {
    socket.close();
  }
}

async function medianTime(action: () => Promise<void>): Promise<string> {
  const times: number[] = [];
  for (let i = 0; i < COLD_STARTS; i++) {
    const began = performance.now();
    await action();
    times.push(performance.now() - began);
  }
  return `${quantile(times.toSorted((a, b) => a - b), 0.5).toFixed(2)} ms`;
}

/** The value that a share of the ascending values does not exceed; NaN if there are none. */
function quantile(ascending: readonly number[], share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(share * ascending.length))] ?? NaN;
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

function outcomeTable(outcomes: readonly Outcome[]): string {
  const head = [
    "each way",
    "",
    "arrived",
    "lost",
    "out of order",
    "doubled",
    "reads",
    "one read = one message",
    "rtt median",
    "p99",
  ];
  return markdownTable(
    head,
    outcomes.map(({ transport, condition, sent, received, reordered, doubled, reads, kept, rtt }) => [
      condition,
      transport,
      `${received} of ${sent}`,
      `${Number((100 * (1 - received / sent)).toFixed(1))} %`,
      `${reordered}`,
      `${doubled}`,
      `${reads}`,
      `${kept}`,
      `${quantile(rtt, 0.5).toFixed(1)} ms`,
      `${quantile(rtt, 0.99).toFixed(1)} ms`,
    ]),
  );
}

/** The pictures by the name of their file. */
function charts(outcomes: readonly Outcome[]): Record<string, BarChart> {
  const categories = [...new Set(outcomes.map(({ condition }) => condition))];
  const series = (value: (outcome: Outcome) => number) =>
    Object.fromEntries((["TCP", "UDP"] as const).map((transport) => [
      transport,
      categories.map((condition) => {
        const outcome = outcomes.find((each) => each.condition === condition && each.transport === transport);
        return outcome === undefined ? null : Number(value(outcome).toFixed(1));
      }),
    ]));
  const share = (part: number, whole: number) => whole === 0 ? 0 : 100 * part / whole;
  return {
    arrived: {
      title: "Messages that arrived",
      axis: "%",
      categories,
      series: series(({ received, sent }) => share(received, sent)),
    },
    boundaries: {
      title: "Reads that brought exactly one message",
      axis: "%",
      categories,
      series: series(({ kept, reads }) => share(kept, reads)),
    },
    latency: {
      title: "Round trip, median",
      axis: "ms",
      categories,
      series: series(({ rtt }) => quantile(rtt, 0.5)),
    },
  };
}

if (import.meta.main) {
  const args: { count: string; write: boolean } = parseArgs(Deno.args, {
    string: ["count"],
    boolean: ["write"],
    default: { count: "200" },
  });
  const outcomes: Outcome[] = [];
  for (const condition of CONDITIONS) {
    for (const transport of ["TCP", "UDP"] as const) {
      if (condition[transport] === undefined) continue;
      outcomes.push(await measure(transport, condition, Number(args.count)));
    }
  }
  const rows = (await limits()).map(({ title, tcp, udp }) => [title, tcp, udp]);
  const tables = `${outcomeTable(outcomes)}\n\n${markdownTable(["", "TCP", "UDP"], rows)}`;
  console.log(tables);
  if (args.write) {
    const docs = new URL("../docs/", import.meta.url);
    const page = new URL("tcp_vs_udp.md", docs);
    const text = await Deno.readTextFile(page);
    const results = `<!-- results -->\n\n${tables}\n\n<!-- /results -->`;
    await Deno.writeTextFile(page, text.replace(/<!-- results -->[^]*<!-- \/results -->/, results));
    for (const [name, chart] of Object.entries(charts(outcomes))) {
      await Deno.writeTextFile(new URL(`images/${name}.svg`, docs), renderBarChart(chart));
    }
    await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", fileURLToPath(page)] }).output();
  }
}

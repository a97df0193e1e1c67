/**
 * The memory of connections that are open and silent.
 * @module
 */
import { delay } from "../../lib/net/timing.ts";
import { available, type Contender, LOADERS, ours, PEERS } from "../contenders.ts";
import { Process, Server, withOpenFiles } from "../processes.ts";
import { digits, type Report } from "../report.ts";
import { inRounds } from "../rounds.ts";

const CONNECTIONS = 10_000;
/** Open files of a process that holds them. */
const OPEN_FILES = CONNECTIONS + 200;
const SMALL_YOUNG_GENERATION = "--max-semi-space-size=4";
/** How long a server may tidy up before it is looked at, in ms. */
const SETTLE_MS = 500;

/** Measures the resident memory of every server with ten thousand connections. */
export async function idle(rounds: number): Promise<Report> {
  const selector = ours("servers/selector_echo");
  const contenders = available([
    PEERS.epoll,
    PEERS.selectors,
    PEERS.plain,
    selector,
    withV8Flag(selector, SMALL_YOUNG_GENERATION),
    ours("servers/tcp_echo", "--max-connections", `${CONNECTIONS}`),
    // The system spreads connections unevenly, and each worker has its share of the limit.
    ours("servers/thread_echo", "--workers", "2", "--max-connections", `${2 * CONNECTIONS}`),
  ]);
  const samples = await inRounds(contenders, { rounds, part: "idle" }, hold);
  const perConnection = (sample: Memory) => (sample.with - sample.without) / CONNECTIONS;
  return {
    title: `${CONNECTIONS.toLocaleString("en-US")} idle connections`,
    text: "Resident memory (RSS) of the server process before the first connection and with all of them open, after " +
      'each has echoed one byte. The kernel\'s own memory of a socket is not in it. "Deno, plain loop" is ' +
      "bench/peers/tcp_echo_plain.ts: a buffer of 128 bytes and one pending read each. While connections open, V8 " +
      "enlarges the part of its heap for young objects and does not give it back: the row with a V8 flag tells how much.",
    tables: [{
      caption: "",
      head: ["", "KiB a connection", "MiB without", "MiB with"],
      rows: contenders.map(({ name }) => [
        name,
        digits(samples.median(name, perConnection)),
        digits(samples.median(name, (sample) => sample.without / 1024)),
        digits(samples.median(name, (sample) => sample.with / 1024)),
      ]),
    }],
    targets: [{
      demand: `selector_echo: RSS of each of ${CONNECTIONS.toLocaleString("en-US")} idle connections`,
      limit: 8,
      unit: "KiB",
      values: samples.all(selector.name).map(perConnection),
    }],
  };
}

/** Resident memory in KiB. */
interface Memory {
  readonly without: number;
  readonly with: number;
}

async function hold({ command }: Contender): Promise<Memory> {
  await using server = await Server.start(withOpenFiles(OPEN_FILES, command));
  const without = await server.residentKiB();
  await using holder = new Process(withOpenFiles(OPEN_FILES, [LOADERS.idle, `${server.port}`, `${CONNECTIONS}`]));
  await holder.line();
  await delay(SETTLE_MS);
  const memory = { without, with: await server.residentKiB() };
  server.kill(); // before the holder ends: ten thousand resets would only fill its log
  return memory;
}

/** The same server under another setting of V8. */
function withV8Flag({ name, command: [deno, run, ...rest] }: Contender, flag: string): Contender {
  return { name: `${name} ${flag}`, command: [deno!, run!, `--v8-flags=${flag}`, ...rest] };
}

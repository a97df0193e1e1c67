/**
 * Start-up: from the start of the process to the first byte echoed.
 * @module
 */
import { available, type Contender, ours, PEERS } from "../contenders.ts";
import { Server } from "../processes.ts";
import { digits, type Report } from "../report.ts";
import { inRounds } from "../rounds.ts";

/** One start is short, and so it is repeated: this many a round. */
const STARTS = 3;

/** Measures how soon tcp_echo answers, beside C and Python. */
export async function start(rounds: number): Promise<Report> {
  const echo = ours("servers/tcp_echo");
  const contenders = available([PEERS.epoll, PEERS.selectors, echo]);
  const samples = await inRounds(contenders, { rounds: rounds * STARTS, part: "start" }, firstEcho);
  return {
    title: "Start-up",
    text:
      "Milliseconds from the start of the process to its first echo: its `listening on` line is read, a connection " +
      "made, one byte sent and received. Any CPU, files and Deno's cache of compiled modules warm; the row of C shows " +
      "what measuring costs.",
    tables: [{
      caption: "",
      head: ["", "median ms", "fastest ms", "RSS MiB"],
      rows: contenders.map(({ name }) => [
        name,
        digits(samples.median(name, ({ ms }) => ms)),
        digits(Math.min(...samples.all(name).map(({ ms }) => ms))),
        digits(samples.median(name, ({ residentKiB }) => residentKiB / 1024)),
      ]),
    }],
    targets: [{
      demand: "tcp_echo: start to first echo",
      limit: 50,
      unit: "ms",
      values: samples.all(echo.name).map(({ ms }) => ms),
    }],
  };
}

/** Starts a TCP echo server and ends it when it has answered. */
export async function firstEcho({ command }: Contender): Promise<{ ms: number; residentKiB: number }> {
  const started = performance.now();
  await using server = await Server.start(command);
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  await connection.write(Uint8Array.of(0x78));
  await connection.read(new Uint8Array(1));
  return { ms: performance.now() - started, residentKiB: await server.residentKiB() };
}

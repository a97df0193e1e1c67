/**
 * Echo over UDP: what a datagram costs, and how many are lost when they come too fast.
 * @module
 */
import { available, type Contender, LOADERS, ours, PEERS } from "../contenders.ts";
import { load, Server } from "../processes.ts";
import type { Report } from "../report.ts";
import { inRounds } from "../rounds.ts";
import { costs, type Figures } from "./costs.ts";

const WARMUP_S = 1;
const SETTLE_S = 0.2;
const MEASURED_S = 0.5;
const BYTES = [64, 1400];
const WINDOW = 64;
/** Offered datagrams per second. */
const RATES = [20_000, 50_000, 100_000];
/** The bytes that the loss is measured with, and the target is about. */
const AIM = 64;

/** What load/udp_load.c measures. */
interface UdpFigures extends Figures {
  /** Share of the datagrams that never came back. */
  readonly lost: number;
}

/** The figures by bytes with a window, and by rate at {@linkcode AIM} bytes. */
interface Sample {
  readonly window: Record<number, UdpFigures>;
  readonly rate: Record<number, UdpFigures>;
}

/** Measures udp_echo beside C. */
export async function udp(rounds: number): Promise<Report> {
  const echo = ours("servers/udp_echo");
  const contenders = available([PEERS.udp, echo]);
  const samples = await inRounds(contenders, { rounds, part: "udp" }, measure);
  const thousands = (rate: number) => `${rate / 1000}k/s`;
  return {
    title: "UDP echo",
    text:
      `Cost with ${WINDOW} datagrams outstanding, each echo letting the next one go; loss at a rate that does not ` +
      `wait for echoes, ${AIM} bytes each: the median of the rounds and, in parentheses, the least disturbed one.`,
    tables: [
      ...BYTES.map((bytes) =>
        costs({
          caption: `${bytes} bytes`,
          contenders,
          samples,
          of: (sample) => sample.window[bytes]!,
          peer: PEERS.udp,
          message: "datagram",
        })
      ),
      {
        caption: "Lost, %",
        head: ["", ...RATES.map(thousands)],
        rows: contenders.map(({ name }) => [
          name,
          ...RATES.map((rate) => {
            const lost = (sample: Sample) => 100 * sample.rate[rate]!.lost;
            const least = Math.min(...samples.all(name).map(lost));
            return `${samples.median(name, lost).toFixed(1)} (${least.toFixed(1)})`;
          }),
        ]),
      },
    ],
    targets: [{
      demand: `udp_echo ÷ ${PEERS.udp.name}: CPU, ${AIM} B`,
      limit: 3,
      unit: "×",
      values: samples.ratios(echo.name, PEERS.udp.name, (sample) => sample.window[AIM]!.cpuUs),
    }],
  };
}

async function measure({ command }: Contender): Promise<Sample> {
  await using server = await Server.start(command, { cpu: 0 });
  const run = (bytes: number, pace: "window" | "rate", amount: number, seconds = MEASURED_S) => {
    const args = [server.port, server.pid, bytes, pace, amount, SETTLE_S, seconds];
    return load<UdpFigures>([LOADERS.udp, ...args.map(String)]);
  };
  await run(AIM, "window", WINDOW, WARMUP_S);
  const sample: Sample = { window: {}, rate: {} };
  for (const bytes of BYTES) sample.window[bytes] = await run(bytes, "window", WINDOW);
  for (const rate of RATES) sample.rate[rate] = await run(AIM, "rate", rate);
  return sample;
}

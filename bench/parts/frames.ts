/**
 * Length-prefixed frames: what it is worth to answer all frames of one read in one write.
 * @module
 */
import { available, ours, PEERS } from "../contenders.ts";
import { Server } from "../processes.ts";
import type { Report } from "../report.ts";
import { inRounds } from "../rounds.ts";
import { costs } from "./costs.ts";
import { loadTcp, type TcpFigures, warmUpTcp } from "./tcp_load.ts";

const CONNECTIONS = 32;
const BYTES = 64;
const IN_FLIGHT = [1, 16];
/** The number of frames in flight that the targets are about. */
const AIM = 16;

/** Measures framed_echo beside the same server with one write a frame. */
export async function frames(rounds: number): Promise<Report> {
  const framed = ours("servers/framed_echo");
  const contenders = available([PEERS.epoll, PEERS.singleWrite, framed]);
  const samples = await inRounds(contenders, { rounds, part: "frames" }, async ({ command }) => {
    await using server = await Server.start(command, { cpu: 0 });
    const figures: Record<number, TcpFigures> = {};
    const load = { connections: CONNECTIONS, bytes: BYTES, framed: true };
    await warmUpTcp(server, { ...load, inFlight: AIM });
    for (const inFlight of IN_FLIGHT) figures[inFlight] = await loadTcp(server, { ...load, inFlight });
    return figures;
  });
  const peer = PEERS.singleWrite.name;
  return {
    title: "Frames",
    text: `${CONNECTIONS} connections send frames of ${BYTES} bytes, 1 or ${AIM} of them in one write. "${peer}" is ` +
      "bench/peers/framed_echo_single_write.ts: the same decoder, but each frame is written by itself. C epoll echoes " +
      "the bytes and knows nothing of frames. Segments are what the answer to one write came in: without Nagle's " +
      "algorithm, the server's writes.",
    tables: IN_FLIGHT.map((inFlight) =>
      costs({
        caption: `${inFlight} in flight a connection`,
        contenders,
        samples,
        of: (sample) => sample[inFlight]!,
        peer: PEERS.singleWrite,
        message: "frame",
        extra: { title: "segments", figure: ({ segments }) => segments },
      })
    ),
    targets: [
      {
        demand: `framed_echo ÷ ${peer}: CPU, ${AIM} in flight`,
        limit: 0.2,
        unit: "×",
        values: samples.ratios(framed.name, peer, (sample) => sample[AIM]!.cpuUs),
      },
      {
        demand: `framed_echo: answer to ${AIM} frames of one read`,
        limit: 1.05,
        unit: "segments",
        values: samples.all(framed.name).map((sample) => sample[AIM]!.segments),
      },
    ],
  };
}

/**
 * The echo servers over TCP.
 * @module
 */
import { available, type Contender, ours, PEERS } from "../contenders.ts";
import { Server } from "../processes.ts";
import type { Report } from "../report.ts";
import { inRounds } from "../rounds.ts";
import { costs } from "./costs.ts";
import { loadTcp, type TcpFigures, warmUpTcp } from "./tcp_load.ts";

const CONNECTIONS = [1, 64, 512];
const BYTES = 64;
/** The number of connections that the targets are about. */
const AIM = 64;

/** Measures every TCP echo server beside C and Python. */
export async function tcp(rounds: number): Promise<Report> {
  const selector = ours("servers/selector_echo");
  const contenders = available([
    PEERS.epoll,
    PEERS.selectors,
    PEERS.threads,
    selector,
    ours("servers/tcp_echo", "--max-connections", "1000"),
    ours("servers/thread_echo", "--workers", "2"),
  ]);
  const samples = await inRounds(contenders, { rounds, part: "tcp" }, async ({ command }) => {
    await using server = await Server.start(command, { cpu: 0 });
    const figures: Record<number, TcpFigures> = {};
    await warmUpTcp(server, { connections: AIM, bytes: BYTES });
    for (const connections of CONNECTIONS) figures[connections] = await loadTcp(server, { connections, bytes: BYTES });
    return figures;
  });
  const target = (peer: Contender, limit: number) => ({
    demand: `selector_echo ÷ ${peer.name}: CPU, ${AIM} connections of ${BYTES} B`,
    limit,
    unit: "×",
    values: samples.ratios(selector.name, peer.name, (sample) => sample[AIM]!.cpuUs),
  });
  return {
    title: "TCP echo",
    text: `Each connection has one message of ${BYTES} bytes in flight. tcp_echo serves one client at a time unless ` +
      "`--max-connections` says otherwise, as here; thread_echo has two workers on the one CPU.",
    tables: CONNECTIONS.map((connections) =>
      costs({
        caption: connections === 1 ? "1 connection, server and loader on one CPU" : `${connections} connections`,
        contenders,
        samples,
        of: (sample) => sample[connections]!,
        peer: PEERS.epoll,
        message: "message",
        extra: { title: "Jain", figure: ({ jain }) => jain },
      })
    ),
    targets: [target(PEERS.epoll, 1.4), target(PEERS.selectors, 1.15), target(PEERS.threads, 0.8)],
  };
}

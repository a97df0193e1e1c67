/**
 * One closed-loop load on a TCP server: load/tcp_load.c.
 * @module
 */
import { LOADERS } from "../contenders.ts";
import { load, type Server } from "../processes.ts";
import type { Figures } from "./costs.ts";

const WARMUP_S = 1;
const SETTLE_S = 0.2;
const MEASURED_S = 0.5;

/** What a load consists of. */
export interface TcpLoad {
  readonly connections: number;
  /** Of one message. */
  readonly bytes: number;
  /** Messages that each connection sends in one write before it waits for their echoes. Default 1. */
  readonly inFlight?: number;
  /** Whether each message has its length in front. */
  readonly framed?: boolean;
}

/** What it measured. A batch is what one connection has in flight. */
export interface TcpFigures extends Figures {
  /** Jain's index over the connections' batches: 1 is fair. */
  readonly jain: number;
  /** TCP segments that the answer to one batch came in. */
  readonly segments: number;
}

/** Measures a load, after `settle` seconds of it. With one connection both sides share a CPU: waking an idle one would cost more than the echo. */
function run(
  { port, pid }: Server,
  { connections, bytes, inFlight = 1, framed = false }: TcpLoad,
  { settle, seconds }: { settle: number; seconds: number },
): Promise<TcpFigures> {
  const args = [port, pid, connections, bytes, inFlight, Number(framed), settle, seconds];
  return load([LOADERS.tcp, ...args.map(String)], { cpu: connections === 1 ? 0 : 1 });
}

/** Loads a server that has just started until its code is compiled and its memory has grown. */
export async function warmUpTcp(server: Server, load: TcpLoad): Promise<void> {
  await run(server, load, { settle: 0, seconds: WARMUP_S });
}

/** Measures a load on a warm server. */
export function loadTcp(server: Server, load: TcpLoad): Promise<TcpFigures> {
  return run(server, load, { settle: SETTLE_S, seconds: MEASURED_S });
}

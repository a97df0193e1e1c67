/**
 * UDP at the edge: a receive loop that survives every datagram, and the way to one server.
 * @module
 */
import { type Address, formatAddress, unmapped } from "../address.ts";
import { attempt, isExpected, reason, requireUnstableNet, UNKNOWN_NAME } from "./failure.ts";
import type { Log } from "./log.ts";
import { delay } from "./timing.ts";

/** More than any datagram has, IPv6's included: what does not fit is cut without a word. */
const BUFFER_SIZE = 64 * 1024;
/** How long to wait after receiving has failed, in ms: it may fail again at once, and for long. */
const FAILURE_DELAY_MS = 100;

/** How {@linkcode receiveDatagrams} ends, and where it complains. */
export interface ReceiveOptions {
  /** Closes the socket. */
  readonly signal: AbortSignal;
  readonly log: Log;
}

/**
 * Gives each datagram to `handle`, one after another in the order of their arrival, until `signal` is aborted and the last
 * one is done. What goes wrong with one is a line in the log, and the next one follows. The bytes are valid until `handle`
 * ends.
 */
export async function receiveDatagrams(
  socket: Deno.DatagramConn,
  handle: (datagram: Uint8Array, from: Deno.NetAddr) => unknown,
  { signal, log }: ReceiveOptions,
): Promise<void> {
  const close = () => socket.close();
  if (signal.aborted) close();
  signal.addEventListener("abort", close, { once: true });
  const buffer = new Uint8Array(BUFFER_SIZE);
  while (!signal.aborted) {
    let peer: Deno.NetAddr | undefined;
    try {
      // One at a time: receives under way together, and sends too, complete newest first.
      const [datagram, from] = await socket.receive(buffer);
      peer = from as Deno.NetAddr;
      await handle(datagram, peer);
    } catch (error) {
      if (signal.aborted) return;
      const name = peer && formatAddress(peer);
      if (isExpected(error)) {
        log.write("warn", reason(error), name);
      } else {
        log.write("error", `a bug: ${error instanceof Error ? error.stack : error}`, name);
      }
      if (peer === undefined) await delay(FAILURE_DELAY_MS, signal);
    }
  }
}

/**
 * The way to one server and back. A UDP socket hears whoever sends to its port, so what comes from elsewhere is ignored,
 * with a line in the log.
 */
export class DatagramPeer {
  /** The server's address, `127.0.0.1:9001`. */
  readonly address: string;
  /** Its port. */
  readonly port: number;
  readonly #socket: Deno.DatagramConn;
  readonly #server: Deno.NetAddr;
  readonly #from: string; // the hostname that its datagrams come with: without a zone

  private constructor(socket: Deno.DatagramConn, server: Deno.NetAddr) {
    this.address = formatAddress(server);
    this.port = server.port;
    this.#socket = socket;
    this.#server = server;
    this.#from = server.hostname.replace(/%.*/, "");
  }

  /**
   * Finds the server's address and opens a socket of its family. Whether anyone is there remains to be seen.
   * @throws {AttemptError} if the name is unknown
   */
  static async open(server: Address): Promise<DatagramPeer> {
    const address = await resolveUdp(server);
    const hostname = address.hostname.includes(":") ? "::" : "0.0.0.0";
    return new DatagramPeer(bindUdp({ hostname, port: 0 }), address);
  }

  /**
   * Sends a datagram, which may never arrive. Sends that are not awaited overtake each other.
   * @throws {AttemptError} if the system refuses it
   */
  async send(datagram: Uint8Array): Promise<void> {
    await attempt(`send to ${this.address}`, () => this.#socket.send(datagram, this.#server));
  }

  /** Gives each datagram of the server to `handle`, as {@linkcode receiveDatagrams} does. */
  async receive(handle: (datagram: Uint8Array) => unknown, options: ReceiveOptions): Promise<void> {
    await receiveDatagrams(this.#socket, async (datagram, from) => {
      if (from.port === this.port && from.hostname === this.#from) await handle(datagram);
      else options.log.write("info", `ignored: the server is ${this.address}`, formatAddress(from));
    }, options);
  }
}

/**
 * Opens a UDP socket at an address of this machine.
 * @throws {AttemptError} if this Deno was started without its UDP
 */
export function bindUdp({ hostname, port }: Address): Deno.DatagramConn {
  requireUnstableNet("open a UDP socket", "Deno.listenDatagram");
  return Deno.listenDatagram({ transport: "udp", hostname, port });
}

/** Where a server is that listens on every address of this machine, seen from here: its replies come from there. */
const LOOPBACK: Record<string, string> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/** The codes of node:dns in the words of the system, which TCP says too. */
const LOOKUP_FAILURES: Record<string, string> = {
  ENOTFOUND: "Name or service not known",
  EAI_AGAIN: "Temporary failure in name resolution",
};

/**
 * The address of a UDP server, as the system spells it where a datagram came from, and the zone of a link-local one
 * (`fe80::1%eth0`, RFC 4007 §11). A name that has several is taken for its IPv4 one: since nothing tells that nobody
 * listens at an address, trying one after the other, as TCP does, is no way.
 */
function resolveUdp({ hostname, port }: Address): Promise<Deno.NetAddr> {
  return attempt(`find ${hostname}`, async () => {
    const host = unmapped(hostname);
    if (/^\d+(\.\d+){3}$/.test(host)) return { transport: "udp", hostname: LOOPBACK[host] ?? host, port };
    if (host.includes(":")) {
      const [, ipv6, zone] = /^([^%]*)(.*)$/.exec(host)!;
      const spelled = new URL(`udp://[${ipv6}]`).hostname.slice(1, -1);
      return { transport: "udp", hostname: (LOOPBACK[spelled] ?? spelled) + zone, port };
    }
    const { lookup } = await import("node:dns/promises"); // for names only: it takes time to load
    const addresses = await lookup(host, { all: true }).catch((cause) => {
      const why = LOOKUP_FAILURES[cause.code];
      throw why === undefined ? cause : new Error(`${UNKNOWN_NAME}: ${why}`, { cause });
    });
    const { address } = addresses.find(({ family }) => family === 4) ?? addresses[0]!;
    return { transport: "udp", hostname: address, port };
  });
}

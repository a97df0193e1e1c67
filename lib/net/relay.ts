/**
 * Links at work: what arrives on one socket goes into a link, and what the link lets pass is written to another one.
 * @module
 */
import { type Address, formatAddress } from "../address.ts";
import type { DatagramLink } from "../wiretap/datagram_link.ts";
import type { Direction, Link } from "../wiretap/link.ts";
import type { Ends } from "../wiretap/packets.ts";
import type { StreamLink } from "../wiretap/stream_link.ts";
import type { TappedConnection } from "../wiretap/tap.ts";
import { reason } from "./failure.ts";
import type { Log, LogLevel } from "./log.ts";
import { type TcpConnection, writeAll } from "./tcp.ts";
import { Condition } from "./timing.ts";
import { DatagramPeer, receiveDatagrams } from "./udp.ts";

/** The most that one read takes, in bytes. */
const READ_SIZE = 64 * 1024;
/** The time between two looks at idle clients, in ms. */
const SWEEP_MS = 1000;

/** A connection that is watched, and the links that it goes through. */
export interface Tapped<Kind extends Link> {
  readonly tapped: TappedConnection;
  readonly links: Readonly<Record<Direction, Kind>>;
}

/** One direction at work. */
class Lane<Kind extends Link> {
  readonly link: Kind;
  readonly changed = new Condition();
  readonly #direction: Direction;
  readonly #tapped: TappedConnection;

  constructor(direction: Direction, { tapped, links }: Tapped<Kind>) {
    this.link = links[direction];
    this.#direction = direction;
    this.#tapped = tapped;
  }

  /** Shows what has arrived and gives it to the link. */
  receive(bytes: Uint8Array): void {
    this.#tapped.send(this.#direction, bytes, this.link.receive(bytes, performance.now()));
    this.changed.notify();
  }

  /** Does what the link says until the stream has ended. Resolves to whether the other side is to hear of that. */
  async deliver(pass: (bytes: Uint8Array) => Promise<unknown>): Promise<boolean> {
    for (;;) {
      const step = this.link.next(performance.now());
      if (step === undefined) {
        await this.changed.wait();
      } else if (step.type === "wait") {
        await this.changed.wait(step.ms);
      } else if (step.type === "pass") {
        await pass(step.bytes);
        this.changed.notify();
      } else if (step.type === "cut") {
        throw new Deno.errors.ConnectionAborted("cut on purpose");
      } else {
        return step.type === "end";
      }
    }
  }
}

// --- TCP -----------------------------------------------------------------------------------------------------------

/**
 * Relays between a client and its target until both have ended their streams. One that ends first ends only its own: the
 * other direction goes on. What cannot be written yet makes its sender wait.
 * @throws what reading or writing throws when one side is gone, or {@linkcode Deno.errors.ConnectionAborted}: a link cut it
 */
export async function relayStreams(
  client: TcpConnection,
  target: TcpConnection,
  { tapped, links }: Tapped<StreamLink>,
): Promise<void> {
  const relay = async (direction: Direction, source: TcpConnection, sink: TcpConnection) => {
    const lane = new Lane(direction, { tapped, links });
    const read = async () => {
      const buffer = new Uint8Array(READ_SIZE);
      for (let count; (count = await source.read(buffer)) !== null;) {
        lane.receive(buffer.subarray(0, count));
        while (lane.link.full) await lane.changed.wait();
      }
      tapped.end(direction);
      lane.link.end(performance.now());
      lane.changed.notify();
    };
    const pass = (bytes: Uint8Array) => {
      client.restartIdle(); // also what goes slowly to the target is a byte that moves
      return writeAll(sink, bytes);
    };
    const write = async () => {
      if (await lane.deliver(pass)) await sink.closeWrite();
    };
    await Promise.all([read(), write()]);
  };
  // Closed while it waits for the target alone: it was idle, or the server stops.
  const closed = client.closed.then(() => Promise.reject(new Deno.errors.Interrupted("closed")));
  try {
    await Promise.race([Promise.all([relay("up", client, target), relay("down", target, client)]), closed]);
  } catch (error) {
    tapped.reset(client.closedBecause ?? reason(error));
    throw error;
  }
}

// --- UDP -----------------------------------------------------------------------------------------------------------

/** How {@linkcode relayDatagrams} relays. */
export interface DatagramRelay {
  readonly target: Address;
  /** Begins to watch one more client. */
  readonly open: (ends: Ends) => Tapped<DatagramLink>;
  /** Ends it. */
  readonly signal: AbortSignal;
  readonly log: Log;
  /** Clients at a time: a further one takes the place of the one that has been silent longest. */
  readonly maxConnections: number;
  /** A client that has neither sent nor been sent anything for so many ms is forgotten; 0: never. */
  readonly idleTimeout: number;
}

/** A client over UDP. */
interface DatagramClient {
  readonly name: string;
  /** Closes its socket. */
  readonly closing: AbortController;
  readonly up: Lane<DatagramLink>;
  readonly down: Lane<DatagramLink>;
  /** When it last sent or was sent something, in ms. */
  usedAt: number;
}

/** Relays datagrams between clients and a target until `signal` is aborted. */
export async function relayDatagrams(socket: Deno.DatagramConn, relay: DatagramRelay): Promise<void> {
  const { signal, log, maxConnections, idleTimeout } = relay;
  const clients = new Map<string, DatagramClient>();
  const receive = (client: DatagramClient, direction: Direction, datagram: Uint8Array) => {
    client.usedAt = performance.now();
    client[direction].receive(datagram);
  };
  const forget = (client: DatagramClient, why: string, level: LogLevel = "debug") => {
    if (clients.get(client.name) !== client) return;
    clients.delete(client.name);
    client.closing.abort();
    log.write(level, `closed: ${why}`, client.name);
  };
  const welcome = async (name: string, from: Deno.NetAddr) => {
    if (clients.size >= maxConnections) {
      forget(clients.values().reduce((a, b) => a.usedAt <= b.usedAt ? a : b), "its place is needed");
    }
    // A socket of its own towards the target, by which the replies find their way back.
    const target = await DatagramPeer.open(relay.target);
    const tapped = relay.open({ client: name, target: target.address });
    const client: DatagramClient = {
      name,
      up: new Lane("up", tapped),
      down: new Lane("down", tapped),
      closing: new AbortController(),
      usedAt: 0,
    };
    clients.set(name, client);
    Promise.all([
      client.up.deliver((datagram) => target.send(datagram)),
      client.down.deliver((datagram) => socket.send(datagram, from)),
      target.receive((reply) => receive(client, "down", reply), { signal: client.closing.signal, log }),
    ]).catch((error) => forget(client, reason(error), "warn"));
    return client;
  };
  const sweep = setInterval(() => {
    const now = performance.now();
    for (const client of clients.values()) {
      if (idleTimeout > 0 && now - client.usedAt >= idleTimeout) forget(client, "idle");
    }
  }, SWEEP_MS);
  await receiveDatagrams(socket, async (datagram, from) => {
    const name = formatAddress(from);
    const client = clients.get(name) ?? await welcome(name, from);
    receive(client, "up", datagram);
  }, { signal, log });
  clearInterval(sweep);
  for (const client of clients.values()) forget(client, "the server stops");
}

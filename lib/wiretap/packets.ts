/**
 * IP packets as they would have crossed the wire. A relay sees payload only: handshake, headers and sequence numbers are
 * made up around it, between the client's real address and the target's, as if nothing stood in between.
 * @module
 */
import { concat } from "@std/bytes";
import { parseAddress } from "../address.ts";
import type { Direction } from "./link.ts";

/** The most payload of one packet, in bytes: 65,535 less 20 of IPv4 and 20 of TCP. */
export const MAX_PAYLOAD = 65_495;

/** Who talks: addresses as `formatAddress` writes them, with IP addresses and no names. */
export interface Ends {
  readonly client: string;
  readonly target: string;
}

/** What a connection looks like on the wire: each method returns the packets that it adds. */
export interface Trace {
  open(): Uint8Array[];
  /** One side sends. */
  send(direction: Direction, bytes: Uint8Array): Uint8Array[];
  /** One side ends its stream. */
  end(direction: Direction): Uint8Array[];
  /** The connection breaks off, for both sides. */
  reset(): Uint8Array[];
}

// --- TCP (RFC 9293) ------------------------------------------------------------------------------------------------

const PROTOCOL_TCP = 6;
const FIN = 0x01;
const SYN = 0x02;
const RST = 0x04;
const PSH = 0x08;
const ACK = 0x10;
/** NOP and window scale 14 (RFC 7323 §2.2): bytes are not acknowledged here, so that the window must hold them, 1 GiB. */
const SYN_OPTIONS = Uint8Array.of(1, 3, 3, 14);

/** A TCP connection. Sequence numbers begin at 0 and count modulo 2^32. */
export class TcpTrace implements Trace {
  readonly #path: Record<Direction, Path>;
  readonly #next = { up: 0, down: 0 }; // sequence numbers

  constructor(ends: Ends) {
    this.#path = paths(ends);
  }

  open(): Uint8Array[] {
    const synchronize = (direction: Direction, flags: number) =>
      this.#segment(direction, flags, { options: SYN_OPTIONS });
    return [synchronize("up", SYN), synchronize("down", SYN | ACK), this.#segment("up", ACK)];
  }

  send(direction: Direction, bytes: Uint8Array): Uint8Array[] {
    const packets = [];
    for (let start = 0; start < bytes.length; start += MAX_PAYLOAD) {
      packets.push(this.#segment(direction, PSH | ACK, { payload: bytes.subarray(start, start + MAX_PAYLOAD) }));
    }
    return packets;
  }

  end(direction: Direction): Uint8Array[] {
    return [this.#segment(direction, FIN | ACK), this.#segment(opposite(direction), ACK)];
  }

  reset(): Uint8Array[] {
    return [this.#segment("up", RST | ACK), this.#segment("down", RST | ACK)];
  }

  #segment(
    direction: Direction,
    flags: number,
    { options = new Uint8Array(), payload = new Uint8Array() }: { options?: Uint8Array; payload?: Uint8Array } = {},
  ): Uint8Array {
    const path = this.#path[direction];
    const header = new DataView(new ArrayBuffer(20));
    header.setUint16(0, path.source.port);
    header.setUint16(2, path.destination.port);
    header.setUint32(4, this.#next[direction]);
    header.setUint32(8, flags & ACK ? this.#next[opposite(direction)] : 0);
    header.setUint8(12, (20 + options.length) / 4 << 4);
    header.setUint8(13, flags);
    header.setUint16(14, 0xffff); // window
    const numbered = payload.length + (flags & (SYN | FIN) ? 1 : 0); // SYN and FIN take a number each
    this.#next[direction] = (this.#next[direction] + numbered) % 2 ** 32;
    const segment = concat([new Uint8Array(header.buffer), options, payload]);
    return ipPacket(path, { protocol: PROTOCOL_TCP, segment, checksumAt: 16 });
  }
}

// --- UDP (RFC 768) -------------------------------------------------------------------------------------------------

const PROTOCOL_UDP = 17;

/** Datagrams between a client and the target: UDP has no more to show. */
export class UdpTrace implements Trace {
  readonly #path: Record<Direction, Path>;

  constructor(ends: Ends) {
    this.#path = paths(ends);
  }

  open(): Uint8Array[] {
    return [];
  }

  send(direction: Direction, bytes: Uint8Array): Uint8Array[] {
    const path = this.#path[direction];
    const header = new DataView(new ArrayBuffer(8));
    header.setUint16(0, path.source.port);
    header.setUint16(2, path.destination.port);
    header.setUint16(4, 8 + bytes.length);
    const segment = concat([new Uint8Array(header.buffer), bytes]);
    return [ipPacket(path, { protocol: PROTOCOL_UDP, segment, checksumAt: 6 })];
  }

  end(): Uint8Array[] {
    return [];
  }

  reset(): Uint8Array[] {
    return [];
  }
}

// --- IP (RFC 791, RFC 8200) ----------------------------------------------------------------------------------------

/** Hops that a packet may take: what most systems begin with. */
const TIME_TO_LIVE = 64;

interface Endpoint {
  /** 4 or 16 bytes; both ends of a path have the same. */
  readonly ip: Uint8Array;
  readonly port: number;
}

interface Path {
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

/** A TCP segment or UDP datagram whose checksum is still zero. */
interface Transport {
  readonly protocol: number;
  readonly segment: Uint8Array;
  readonly checksumAt: number;
}

function opposite(direction: Direction): Direction {
  return direction === "up" ? "down" : "up";
}

/** Both ways. When only one end is IPv4, it appears as an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2). */
function paths({ client, target }: Ends): Record<Direction, Path> {
  const [source, destination] = [client, target].map((end) => {
    const { hostname, port } = parseAddress(end);
    return { ip: parseIp(hostname), port };
  }) as [Endpoint, Endpoint];
  const mixed = source.ip.length !== destination.ip.length;
  const [a, b] = mixed ? [mapped(source), mapped(destination)] : [source, destination];
  return { up: { source: a, destination: b }, down: { source: b, destination: a } };
}

function mapped({ ip, port }: Endpoint): Endpoint {
  return { ip: ip.length === 16 ? ip : Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...ip), port };
}

/** The bytes of an IP address, without its zone. */
function parseIp(address: string): Uint8Array {
  if (!address.includes(":")) return Uint8Array.from(address.split("."), Number);
  const canonical = new URL(`http://[${address.replace(/%.*/, "")}]`).hostname.slice(1, -1); // hex groups only
  const [before = [], after = []] = canonical.split("::").map((part) =>
    part.split(":").filter((group) => group !== "")
  );
  const zeros: string[] = Array(8 - before.length - after.length).fill("0");
  return Uint8Array.from(
    [...before, ...zeros, ...after].flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16)]),
  );
}

function ipPacket(path: Path, { protocol, segment, checksumAt }: Transport): Uint8Array {
  const addresses = concat([path.source.ip, path.destination.ip]);
  const pseudoHeader = concat([addresses, uint32(segment.length), uint32(protocol)]); // RFC 8200 §8.1
  // In UDP a 0 would mean "no checksum"; 0xffff is the same sum.
  setUint16(segment, checksumAt, checksum(concat([pseudoHeader, segment])) || 0xffff);
  const header = addresses.length === 8 ? ipv4Header(protocol, segment.length) : ipv6Header(protocol, segment.length);
  const packet = concat([header, addresses, segment]);
  if (addresses.length === 8) setUint16(packet, 10, checksum(packet.subarray(0, 20)));
  return packet;
}

/** Up to the addresses, its checksum still zero. */
function ipv4Header(protocol: number, length: number): Uint8Array {
  const header = Uint8Array.of(0x45, 0, 0, 0, 0, 0, 0x40, 0, TIME_TO_LIVE, protocol, 0, 0); // 0x40: do not fragment
  setUint16(header, 2, 20 + length);
  return header;
}

/** Up to the addresses. */
function ipv6Header(protocol: number, length: number): Uint8Array {
  const header = Uint8Array.of(0x60, 0, 0, 0, 0, 0, protocol, TIME_TO_LIVE);
  setUint16(header, 4, length);
  return header;
}

/** The Internet checksum (RFC 1071): the complement of the one's complement sum of 16-bit words. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes[i]! << 8 | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = Math.floor(sum / 0x10000) + (sum & 0xffff);
  return ~sum & 0xffff;
}

function setUint16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 0xff;
}

function uint32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

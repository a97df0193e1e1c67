/**
 * Keepalive with exact times. Deno's `setKeepAlive(true)` leaves the system's own: 2 hours on Linux until the first probe. With
 * the permission `--allow-ffi` the C library is asked instead: the first probe after 10 s of silence, then one each 5 s, and
 * after 3 without an answer the connection is dead. Keepalive does not run while data is unacknowledged: then
 * TCP_USER_TIMEOUT (RFC 5482) ends the connection after 25 s.
 *
 * Only Linux has these option numbers. No program may rely on the socket alone: each has time-outs of its own.
 * @module
 */
import { unmapped } from "../address.ts";

/** When a connection is dead. */
export interface KeepAlive {
  /** Silence before the first probe, in s: TCP_KEEPIDLE. */
  readonly idle: number;
  /** Between two probes, in s: TCP_KEEPINTVL. */
  readonly interval: number;
  /** Probes without an answer: TCP_KEEPCNT. */
  readonly probes: number;
  /** How long data may stay unacknowledged, in ms: TCP_USER_TIMEOUT. */
  readonly userTimeout: number;
}

/** A dead peer is found within 25 s. */
export const KEEP_ALIVE: KeepAlive = { idle: 10, interval: 5, probes: 3, userTimeout: 25_000 };

/** Levels and options of <sys/socket.h> and <netinet/tcp.h> on Linux. */
const SOL_SOCKET = 1;
const SO_KEEPALIVE = 9;
const IPPROTO_TCP = 6;
const TCP_OPTIONS = { idle: 4, interval: 5, probes: 6, userTimeout: 18 } as const;
const AF_INET = 2;
const AF_INET6 = 10;
/** The descriptors that are looked at. */
const FIRST_DESCRIPTOR = 3;
const MAX_DESCRIPTORS = 16_384;
/** sizeof(struct sockaddr_storage) is 128; sockaddr_in6 is the longest that matters. */
const ADDRESS_LENGTH = 28;

const SYMBOLS = {
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getpeername: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
} as const;
type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let libc: Libc | null | undefined; // null: it cannot be had

/**
 * Turns keepalive on, with exact times if the program may. Resolves to the times that the system confirms; undefined: it uses
 * its own. A connection that has ended already stays as it is.
 */
export function keepAlive(conn: Deno.TcpConn): KeepAlive | undefined {
  try {
    conn.setKeepAlive(true);
    if (libc === undefined) libc = openLibc();
    const descriptor = libc === null ? undefined : findDescriptor(libc, conn);
    if (libc === null || descriptor === undefined) return undefined;
    writeOption(libc, descriptor, { level: SOL_SOCKET, option: SO_KEEPALIVE, value: 1 });
    for (const [name, option] of Object.entries(TCP_OPTIONS)) {
      writeOption(libc, descriptor, { level: IPPROTO_TCP, option, value: KEEP_ALIVE[name as keyof KeepAlive] });
    }
    return readKeepAlive(libc, descriptor);
  } catch {
    return undefined; // the peer has reset the connection, or the system is another one
  }
}

/** What `--verbose` says about a connection. */
export function describeKeepAlive(confirmed: KeepAlive | undefined): string {
  if (confirmed === undefined) return "keepalive: the system's own times (exact ones need Linux and --allow-ffi)";
  const { idle, interval, probes, userTimeout } = confirmed;
  return `keepalive: first probe after ${idle} s, then each ${interval} s, dead after ${probes}; unacknowledged data: ${userTimeout} ms`;
}

/** The C library, if the program may use it; nobody is asked for the permission. */
function openLibc(): Libc | null {
  if (Deno.build.os !== "linux" || Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return null;
  for (const name of ["libc.so.6", `libc.musl-${Deno.build.arch}.so.1`]) {
    try {
      return Deno.dlopen(name, SYMBOLS).symbols;
    } catch {
      // the other C library
    }
  }
  return null;
}

/** The descriptor of a connection, which Deno does not tell: the one whose ends are the same. */
function findDescriptor(libc: Libc, conn: Deno.TcpConn): number | undefined {
  const local = conn.localAddr;
  const remote = conn.remoteAddr;
  const address = new Uint8Array(ADDRESS_LENGTH);
  const length = new Uint32Array(1);
  const view = new DataView(address.buffer);
  const isAt = (end: "getsockname" | "getpeername", descriptor: number, { hostname, port }: Deno.NetAddr) => {
    length[0] = ADDRESS_LENGTH;
    if (libc[end](descriptor, address, length) !== 0) return false;
    return view.getUint16(2) === port && sameHost(readHost(address), hostname);
  };
  for (let descriptor = FIRST_DESCRIPTOR; descriptor < MAX_DESCRIPTORS; descriptor++) {
    if (isAt("getsockname", descriptor, local) && isAt("getpeername", descriptor, remote)) return descriptor;
  }
  return undefined;
}

/** The host of a struct sockaddr_in or sockaddr_in6, as the bytes of an IPv4 address or of an IPv6 address. */
function readHost(address: Uint8Array<ArrayBuffer>): Uint8Array | undefined {
  const family = new Uint16Array(address.buffer, 0, 1)[0]; // in the machine's own byte order
  if (family === AF_INET) return address.subarray(4, 8);
  if (family !== AF_INET6) return undefined;
  const host = address.subarray(8, 24);
  const isMapped = host.subarray(0, 10).every((byte) => byte === 0) && host[10] === 0xff && host[11] === 0xff;
  return isMapped ? host.subarray(12) : host;
}

function sameHost(host: Uint8Array | undefined, hostname: string): boolean {
  if (host === undefined) return false;
  if (host.length === 4) return unmapped(hostname) === host.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => (host[2 * i]! << 8 | host[2 * i + 1]!).toString(16));
  return new URL(`http://[${groups.join(":")}]`).hostname === new URL(`http://[${hostname.split("%")[0]}]`).hostname;
}

function writeOption(
  libc: Libc,
  descriptor: number,
  { level, option, value }: { level: number; option: number; value: number },
): void {
  if (libc.setsockopt(descriptor, level, option, Int32Array.of(value), 4) === 0) return;
  throw new Error(`setsockopt ${level} ${option} failed`);
}

function readKeepAlive(libc: Libc, descriptor: number): KeepAlive {
  const value = new Int32Array(1);
  const read = (option: number) => {
    if (libc.getsockopt(descriptor, IPPROTO_TCP, option, value, Uint32Array.of(4)) === 0) return value[0]!;
    throw new Error(`getsockopt ${option} failed`);
  };
  const { idle, interval, probes, userTimeout } = TCP_OPTIONS;
  return { idle: read(idle), interval: read(interval), probes: read(probes), userTimeout: read(userTimeout) };
}

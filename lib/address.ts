/**
 * Socket addresses as text.
 * @module
 */
import { UsageError } from "./errors.ts";

/** Where a socket is, or is to be. */
export interface Address {
  /** A name or an IP address, an IPv6 one without brackets. */
  readonly hostname: string;
  /** From 1 to 65,535; 0 for any free one. */
  readonly port: number;
}

/**
 * An IPv4 peer of a dual-stack socket by its own address: the system calls it an IPv4-mapped IPv6 address (RFC 4291
 * §2.5.5.2). Every other hostname stays as it is.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(unmapped("::ffff:127.0.0.1"), "127.0.0.1");
 * ```
 */
export function unmapped(hostname: string): string {
  return hostname.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "");
}

/**
 * `host:port`, with an IPv6 address in brackets (RFC 3986 §3.2.2) and an IPv4-mapped one as the IPv4 address that it is.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(formatAddress({ hostname: "::1", port: 9001 }), "[::1]:9001");
 * assertEquals(formatAddress({ hostname: "::ffff:127.0.0.1", port: 9001 }), "127.0.0.1:9001");
 * ```
 */
export function formatAddress({ hostname, port }: Address): string {
  const host = unmapped(hostname);
  return host.includes(":") && !host.startsWith("[") ? `[${host}]:${port}` : `${host}:${port}`;
}

const ADDRESS = /^(?:\[([^\]]*:[^\]]*)\]|([^:[\]]+)):(\d{1,5})$/;

/**
 * The inverse of {@linkcode formatAddress}: a name or IPv4 address and a port, or an IPv6 address in brackets and a port.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(parseAddress("[::1]:9001"), { hostname: "::1", port: 9001 });
 * ```
 * @throws {UsageError} if it is neither, or the port is not one of 1 to 65,535
 */
export function parseAddress(text: string): Address {
  const [, ipv6, name, digits] = ADDRESS.exec(text) ?? [];
  const hostname = ipv6 ?? name;
  const port = Number(digits);
  if (hostname === undefined || port < 1 || port > 65535) {
    throw new UsageError(`${JSON.stringify(text)} is no address: write 127.0.0.1:9001, example.org:80 or [::1]:9001`);
  }
  return { hostname, port };
}

/**
 * What stands for everybody behind an address when their connections are counted: an IPv4 address itself, of an IPv6 address
 * its /64, all of which one subscriber has (RFC 6177).
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(networkOf("192.0.2.7"), "192.0.2.7");
 * assertEquals(networkOf("2001:db8:0:7::1"), "2001:db8:0:7::/64");
 * ```
 */
export function networkOf(hostname: string): string {
  const address = unmapped(hostname);
  if (!address.includes(":")) return address;
  const [left, right] = address.split("::").map((half) => half === "" ? [] : half.split(":")) as [string[], string[]?];
  const zeros = right === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...Array<string>(zeros).fill("0"), ...right ?? []];
  return `${groups.slice(0, 4).join(":")}::/64`;
}

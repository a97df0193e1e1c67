/**
 * Socket addresses as text.
 * @module
 */

/** What the system calls an IPv4 peer of a dual-stack socket: an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2). */
const MAPPED_IPV4 = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/**
 * `host:port`, with an IPv6 address in brackets (RFC 3986 §3.2.2) and an IPv4-mapped one as the IPv4 address that it is.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(formatAddress({ hostname: "::1", port: 9001 }), "[::1]:9001");
 * assertEquals(formatAddress({ hostname: "::ffff:127.0.0.1", port: 9001 }), "127.0.0.1:9001");
 * ```
 */
export function formatAddress({ hostname, port }: { hostname: string; port: number }): string {
  const host = MAPPED_IPV4.exec(hostname)?.[1] ?? hostname;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

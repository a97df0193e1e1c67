/**
 * Datagrams: messages that keep their boundaries, and of which each arrives once, twice or never.
 * @module
 */
import { UsageError } from "./errors.ts";

/**
 * The longest payload, in bytes, that every host can be sent: the 65,535 of an IPv4 packet (RFC 791 §3.1) less its header
 * (20) and that of UDP (8, RFC 768).
 */
export const MAX_DATAGRAM = 65_507;

/**
 * Lets pass what one datagram can carry.
 * @throws {UsageError} if it is longer
 */
export function checkDatagramLength(length: number): void {
  if (length <= MAX_DATAGRAM) return;
  throw new UsageError(
    `${length} bytes do not fit a datagram: ${MAX_DATAGRAM} is the most (IPv4: 65535 less headers of 20 and 8 bytes)`,
  );
}

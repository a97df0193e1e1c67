/**
 * Packets as a capture file that Wireshark, tshark and tcpdump open: the classic libpcap format.
 * @module
 */
import { concat } from "@std/bytes";

const MAGIC_MICROSECONDS = 0xa1b2c3d4;
/** Each packet begins with its IP header. */
const LINKTYPE_RAW = 101;
const MAX_PACKET = 262_144;

/** The beginning of a capture file, 24 bytes, little-endian. */
export function pcapHeader(): Uint8Array {
  const header = new DataView(new ArrayBuffer(24));
  header.setUint32(0, MAGIC_MICROSECONDS, true);
  header.setUint16(4, 2, true); // version 2.4
  header.setUint16(6, 4, true);
  header.setUint32(16, MAX_PACKET, true);
  header.setUint32(20, LINKTYPE_RAW, true);
  return new Uint8Array(header.buffer);
}

/**
 * A packet of a capture file: `seconds (4) || microseconds (4) || length (4) || length (4) || packet`, little-endian. The
 * time is in ms since 1970.
 */
export function pcapRecord(packet: Uint8Array, time: number): Uint8Array {
  const header = new DataView(new ArrayBuffer(16));
  header.setUint32(0, Math.floor(time / 1000), true);
  header.setUint32(4, Math.floor((time % 1000) * 1000), true);
  header.setUint32(8, packet.length, true);
  header.setUint32(12, packet.length, true);
  return concat([new Uint8Array(header.buffer), packet]);
}

import fc from "fast-check";
import { concat } from "@std/bytes";
import { formatAddress } from "../../lib/address.ts";
import type { Direction } from "../../lib/wiretap/link.ts";
import { checksum, MAX_PAYLOAD, TcpTrace, type Trace, UdpTrace } from "../../lib/wiretap/packets.ts";
import { pcapHeader, pcapRecord } from "../../lib/wiretap/pcap.ts";
import { assertEquals } from "../assert.ts";

const FIN = 0x01;
const SYN = 0x02;
const RST = 0x04;
const ACK = 0x10;

/** What a packet says. TCP has flags and numbers. */
interface Packet {
  readonly protocol: number;
  readonly source: string;
  readonly destination: string;
  readonly payload: Uint8Array;
  readonly flags?: number;
  readonly sequence?: number;
  readonly acknowledged?: number;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Reads an IP packet, after checking its lengths and checksums. */
function readPacket(packet: Uint8Array): Packet {
  const ip = view(packet);
  const isIpv4 = packet[0] === 0x45;
  const headerLength = isIpv4 ? 20 : 40;
  if (!isIpv4) assertEquals(packet[0], 0x60);
  if (isIpv4) assertEquals(checksum(packet.subarray(0, 20)), 0);
  assertEquals(isIpv4 ? ip.getUint16(2) : 40 + ip.getUint16(4), packet.length);
  const protocol = packet[isIpv4 ? 9 : 6]!;
  const addresses = packet.subarray(isIpv4 ? 12 : 8, headerLength);
  const [from, to] = [addresses.subarray(0, addresses.length / 2), addresses.subarray(addresses.length / 2)];
  const segment = packet.subarray(headerLength);
  const pseudoHeader = new Uint8Array(8);
  view(pseudoHeader).setUint32(0, segment.length);
  pseudoHeader[7] = protocol;
  assertEquals(checksum(concat([addresses, pseudoHeader, segment])), 0);
  const transport = view(segment);
  const ends = {
    protocol,
    source: formatAddress({ hostname: addressText(from), port: transport.getUint16(0) }),
    destination: formatAddress({ hostname: addressText(to), port: transport.getUint16(2) }),
  };
  if (protocol === 17) {
    assertEquals(transport.getUint16(4), segment.length);
    return { ...ends, payload: segment.subarray(8) };
  }
  return {
    ...ends,
    flags: segment[13]!,
    sequence: transport.getUint32(4),
    acknowledged: transport.getUint32(8),
    payload: segment.subarray((segment[12]! >> 4) * 4),
  };
}

function addressText(address: Uint8Array): string {
  if (address.length === 4) return address.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => view(address).getUint16(2 * i).toString(16));
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}

const ENDS = { client: "127.0.0.1:52114", target: "127.0.0.1:9001" };
const talk = fc.array(
  fc.tuple(fc.constantFrom<Direction>("up", "down"), fc.uint8Array({ minLength: 1, maxLength: 50 })),
  {
    maxLength: 20,
  },
);

Deno.test("TcpTrace begins with SYN, SYN-ACK and ACK between the client's address and the target's", () => {
  const [syn, synAck, ack, ...more] = new TcpTrace(ENDS).open().map(readPacket);
  const none = new Uint8Array();
  const up = { protocol: 6, source: ENDS.client, destination: ENDS.target, payload: none };
  const down = { protocol: 6, source: ENDS.target, destination: ENDS.client, payload: none };
  assertEquals(syn, { ...up, flags: SYN, sequence: 0, acknowledged: 0 });
  assertEquals(synAck, { ...down, flags: SYN | ACK, sequence: 0, acknowledged: 1 });
  assertEquals(ack, { ...up, flags: ACK, sequence: 1, acknowledged: 1 });
  assertEquals(more, []);
});

Deno.test("TcpTrace numbers the bytes so that both streams can be put together again", () => {
  fc.assert(fc.property(talk, (talk) => {
    const trace = new TcpTrace(ENDS);
    const packets = [
      ...trace.open(),
      ...talk.flatMap(([direction, bytes]) => trace.send(direction, bytes)),
      ...trace.end("down"),
      ...trace.end("up"),
    ].map(readPacket);
    for (const [direction, source] of [["up", ENDS.client], ["down", ENDS.target]] as const) {
      const expected: Uint8Array = concat(talk.filter(([way]) => way === direction).map(([, bytes]) => bytes));
      const stream = new Uint8Array(expected.length);
      for (const packet of packets) {
        const { payload, sequence } = packet;
        if (packet.source === source && payload.length > 0) stream.set(payload, sequence! - 1);
      }
      assertEquals(stream, expected);
      const fin = packets.find((packet) => packet.source === source && packet.flags! & FIN)!;
      assertEquals(fin.sequence, 1 + expected.length);
      const heard = packets.findLast((packet) => packet.destination === source)!;
      assertEquals(heard.acknowledged, 2 + expected.length); // SYN, the bytes, FIN
    }
  }));
});

Deno.test("TcpTrace cuts what is too long for a packet", () => {
  const trace = new TcpTrace(ENDS);
  trace.open();
  const sizes = trace.send("up", new Uint8Array(2 * MAX_PAYLOAD + 1)).map((packet) =>
    readPacket(packet).payload.length
  );
  assertEquals(sizes, [MAX_PAYLOAD, MAX_PAYLOAD, 1]);
});

Deno.test("TcpTrace shows a connection that breaks off as RST both ways", () => {
  const trace = new TcpTrace(ENDS);
  trace.open();
  assertEquals(trace.reset().map(readPacket).map(({ source, flags }) => [source, flags]), [
    [ENDS.client, RST | ACK],
    [ENDS.target, RST | ACK],
  ]);
});

Deno.test("UdpTrace shows each datagram, up to the longest and the empty one", () => {
  const trace: Trace = new UdpTrace(ENDS);
  assertEquals(trace.open(), []);
  for (const payload of [new Uint8Array(65_507).fill(7), new Uint8Array(), Uint8Array.of(1, 2, 3)]) {
    const [packet, ...more] = trace.send("down", payload);
    const { source, destination } = { source: ENDS.target, destination: ENDS.client };
    assertEquals(readPacket(packet!), { protocol: 17, source, destination, payload });
    assertEquals(more, []);
  }
});

Deno.test("UdpTrace never writes a checksum of 0, which would mean that there is none", () => {
  const trace = new UdpTrace(ENDS);
  for (let sum = 0; sum < 2 ** 16; sum++) { // one of them makes it 0
    const [packet] = trace.send("up", Uint8Array.of(sum >> 8, sum));
    if (view(packet!).getUint16(26) === 0) throw new Error(`checksum 0 for payload ${sum}`);
  }
});

Deno.test("Packets are IPv6 when an end is, the other one mapped", () => {
  const ends = (client: string, target: string) => {
    const { source, destination } = readPacket(new TcpTrace({ client, target }).open()[0]!);
    return [source, destination];
  };
  assertEquals(ends("[::1]:5000", "[2001:db8::5:0:1]:443"), ["[::1]:5000", "[2001:db8::5:0:1]:443"]);
  assertEquals(ends("[1:2:3:4:5:6:7:8]:1", "[fe80::1%eth0]:2"), ["[1:2:3:4:5:6:7:8]:1", "[fe80::1]:2"]);
  assertEquals(ends("127.0.0.1:1", "[::1]:2"), ["[::ffff:7f00:1]:1", "[::1]:2"]);
});

Deno.test("A capture file is a header and records that hold packet and time to the microsecond", () => {
  assertEquals(pcapHeader().toHex(), "d4c3b2a1" + "02000400" + "00000000" + "00000000" + "00000400" + "65000000");
  fc.assert(fc.property(fc.uint8Array(), fc.nat(2 ** 31), fc.nat(999_999), (packet, seconds, microseconds) => {
    const record = pcapRecord(packet, seconds * 1000 + microseconds / 1000);
    const header = view(record);
    const time = header.getUint32(0, true) * 1e6 + header.getUint32(4, true);
    assertEquals(Math.abs(time - seconds * 1e6 - microseconds) <= 1, true); // a float has no more
    assertEquals([header.getUint32(8, true), header.getUint32(12, true)], [packet.length, packet.length]);
    assertEquals(record.subarray(16), packet);
  }));
});

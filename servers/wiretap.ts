#!/usr/bin/env -S deno run -N
/**
 * A transparent proxy for TCP or UDP: shows what client and server say to each other, looks for a text in clear, writes a
 * capture for Wireshark, and breaks the connection in the ways that networks do, repeatably.
 *
 * Run: `deno run -N servers/wiretap.ts --to 127.0.0.1:9001`, and let the client connect to port 9009 instead of 9001. With a
 * capture: `deno run -N -W=talk.pcap servers/wiretap.ts --to 127.0.0.1:9001 --save talk.pcap`. What the faults mean
 * exactly: docs/protocols/wiretap.md.
 * @module
 */
import { type Address, formatAddress, parseAddress } from "../lib/address.ts";
import { UsageError } from "../lib/errors.ts";
import { duration, EXIT, flag, integer, oneOf, option, type OptionValues, size, text } from "../lib/net/cli.ts";
import { attempt } from "../lib/net/failure.ts";
import { relayDatagrams, relayStreams } from "../lib/net/relay.ts";
import { runServer, type ServerContext, type ServerOptions } from "../lib/net/server.ts";
import { connectTcp, serveTcp } from "../lib/net/tcp.ts";
import { bindUdp } from "../lib/net/udp.ts";
import { parsePercent } from "../lib/units.ts";
import { DatagramLink } from "../lib/wiretap/datagram_link.ts";
import { seededRandom } from "../lib/wiretap/link.ts";
import type { Ends } from "../lib/wiretap/packets.ts";
import { StreamLink } from "../lib/wiretap/stream_link.ts";
import { Tap } from "../lib/wiretap/tap.ts";

const PATH = "servers/wiretap";
/** The exit code of `--find` when the text was not seen. */
const NOT_FOUND = 3;
/** How long the target may take to accept a connection, in ms. */
const CONNECT_TIMEOUT_MS = 10_000;
/** Clients at a time: each may have 2 MiB on their way. */
const MAX_CONNECTIONS = 1000;

const STREAM_FAULTS = {
  split: option({ value: "BYTES", parse: size, help: "TCP: cut what passes into pieces of so many bytes" }),
  glue: option({ value: "DURATION", parse: duration, help: "TCP: merge what arrives within this time" }),
  cutAfter: option({ value: "BYTES", parse: size, help: "TCP: close both sides after so many bytes" }),
  stallAfter: option({ value: "BYTES", parse: size, help: "TCP: pass on no more after so many bytes, close nothing" }),
  corruptAt: option({ value: "OFFSET", parse: size, help: "TCP: invert the byte at this offset of the stream" }),
};
const DATAGRAM_FAULTS = {
  drop: option({ value: "PERCENT", parse: parsePercent, help: "UDP: lose this share of the datagrams" }),
  duplicate: option({ value: "PERCENT", parse: parsePercent, help: "UDP: send this share twice" }),
  reorder: option({ value: "PERCENT", parse: parsePercent, help: "UDP: let the next one overtake this share" }),
};
const OPTIONS = {
  to: option({ value: "HOST:PORT", parse: parseAddress, help: "the target, the server behind the proxy (needed)" }),
  udp: flag({ help: "relay UDP instead of TCP" }),
  show: option({ value: "BYTES", parse: size, default: "256", help: "the most to show of one chunk" }),
  find: option({ value: "TEXT", parse: text, help: "exit with 0 once this passes in clear, with 3 if it never does" }),
  save: option({ value: "FILE", parse: text, help: "write a capture for Wireshark (needs -W=FILE)" }),
  direction: option({
    value: "up|down|both",
    parse: oneOf("up", "down", "both"),
    default: "both",
    help: "which way the faults are for; up: to the target",
  }),
  seed: option({ value: "N", parse: integer(0, 2 ** 32 - 1), default: "1", help: "another seed, other accidents" }),
  delay: option({ value: "DURATION", parse: duration, help: "everything arrives so much later" }),
  rate: option({ value: "BYTES", parse: size, help: "pass on so many bytes per second" }),
  ...STREAM_FAULTS,
  ...DATAGRAM_FAULTS,
};
type Options = OptionValues<typeof OPTIONS> & ServerOptions;

/** The target, when the options make sense together. */
function checkOptions(options: Options): Address {
  const { to, host, port, udp, split, rate, find } = options;
  const given = (faults: object) => Object.keys(faults).some((name) => options[name as keyof Options] !== undefined);
  if (to === undefined) throw new UsageError("--to HOST:PORT is needed: the server behind the proxy");
  if (formatAddress(to) === formatAddress({ hostname: host, port })) throw new UsageError("--to is the proxy itself");
  if (split === 0 || rate === 0) throw new UsageError("--split and --rate: nothing passes at 0, 1 is the least");
  if (find === "") throw new UsageError("--find: an empty text is in everything");
  if (udp && given(STREAM_FAULTS)) {
    throw new UsageError("--split, --glue, --cut-after, --stall-after and --corrupt-at are for TCP");
  }
  if (!udp && given(DATAGRAM_FAULTS)) {
    throw new UsageError("--drop, --duplicate and --reorder need --udp");
  }
  return to;
}

/** Opens a capture file and resolves to what appends to it: at once, so that whatever ends the program leaves it whole. */
async function openCapture(path: string): Promise<(bytes: Uint8Array) => void> {
  const file = await attempt(
    `save to ${path}`,
    () => Deno.open(path, { write: true, create: true, truncate: true }),
    (error) => error instanceof Deno.errors.NotCapable ? `add the flag -W=${path}` : undefined,
  );
  return (bytes) => {
    for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
  };
}

/** Relays TCP connections until the program is to stop. */
async function tapTcp(to: Address, options: Options, tap: Tap, context: ServerContext): Promise<void> {
  const listener = Deno.listen({ hostname: options.host, port: options.port });
  context.listening(listener.addr);
  const link = (faulty: boolean) => new StreamLink(faulty ? options : {});
  await serveTcp(listener, async (client) => {
    using target = await connectTcp({ ...to, timeout: CONNECT_TIMEOUT_MS, turnstile: client.turnstile });
    const tapped = tap.open("tcp", { client: client.peer, target: target.peer });
    const links = { up: link(options.direction !== "down"), down: link(options.direction !== "up") };
    await relayStreams(client, target, { tapped, links });
  }, { ...options, ...context });
}

/** Relays datagrams until the program is to stop. */
async function tapUdp(target: Address, options: Options, tap: Tap, context: ServerContext): Promise<void> {
  const socket = bindUdp({ hostname: options.host, port: options.port });
  context.listening(socket.addr as Deno.NetAddr);
  const open = (ends: Ends) => {
    const tapped = tap.open("udp", ends);
    const link = (faulty: boolean, way: number) =>
      new DatagramLink(faulty ? options : {}, seededRandom(options.seed, tapped.number, way));
    return { tapped, links: { up: link(options.direction !== "down", 0), down: link(options.direction !== "up", 1) } };
  };
  await relayDatagrams(socket, { target, open, ...options, ...context });
}

if (import.meta.main) {
  await runServer({ path: PATH, options: OPTIONS, maxConnections: MAX_CONNECTIONS }, async (options, context) => {
    const to = checkOptions(options);
    const { find, show, quiet } = options;
    const print = quiet ? undefined : (line: string) => console.log(line);
    const save = options.save === undefined ? undefined : await openCapture(options.save);
    const found = Promise.withResolvers<string>();
    const now = () => performance.timeOrigin + performance.now();
    const tap = new Tap({ print, show, save, find, onFound: found.resolve, now });
    const relay = options.udp ? tapUdp : tapTcp;
    const where = await Promise.race([found.promise, relay(to, options, tap, context)]);
    if (find === undefined) return EXIT.done;
    print?.(`${where === undefined ? "not found" : "found"} ${JSON.stringify(find)}: ${where ?? tap.summary}`);
    return where === undefined ? NOT_FOUND : EXIT.done;
  });
}

/**
 * What a wiretap makes of the connections that pass it: rows on a screen, packets in a capture file, and the answer to
 * whether a text went by in clear. It sees what each side sends, before any fault.
 * @module
 */
import { formatChunk } from "./chunk_text.ts";
import type { Direction } from "./link.ts";
import { type Ends, TcpTrace, type Trace, UdpTrace } from "./packets.ts";
import { pcapHeader, pcapRecord } from "./pcap.ts";
import { TextFinder } from "./text_finder.ts";

const ARROW: Record<Direction, string> = { up: "->", down: "<-" };

/** What a {@linkcode Tap} does; what is absent is not wanted. */
export interface TapOptions {
  /** Shows a line. */
  readonly print?: ((line: string) => void) | undefined;
  /** The most bytes of a chunk to show. */
  readonly show: number;
  /** Appends to a capture file, one whole packet at a time. */
  readonly save?: ((bytes: Uint8Array) => void) | undefined;
  /** The text to look for, in each direction of each connection. */
  readonly find?: string | undefined;
  /** Is told where the text was seen. */
  readonly onFound?: (where: string) => void;
  /** The time, in ms since 1970. */
  readonly now: () => number;
}

/** Watches connections and numbers them from 1. Over UDP a connection is what one client address exchanges with the target. */
export class Tap {
  readonly #options: TapOptions;
  #connections = 0;
  #bytes = 0;

  constructor(options: TapOptions) {
    this.#options = options;
    options.save?.(pcapHeader());
  }

  /** What has passed so far: `2 connections, 345 bytes`. */
  get summary(): string {
    return `${counted(this.#connections, "connection")}, ${counted(this.#bytes, "byte")}`;
  }

  /** Begins to watch one more. */
  open(transport: "tcp" | "udp", ends: Ends): TappedConnection {
    const count = (bytes: number) => this.#bytes += bytes;
    return new TappedConnection(++this.#connections, { transport, ends, count, ...this.#options });
  }
}

interface TappedOptions extends TapOptions {
  readonly transport: "tcp" | "udp";
  readonly ends: Ends;
  readonly count: (bytes: number) => void;
}

/** One connection that a {@linkcode Tap} watches: tell it what happens. */
export class TappedConnection {
  /** From 1. */
  readonly number: number;
  readonly #options: TappedOptions;
  readonly #trace: Trace | undefined;
  readonly #finders: Record<Direction, TextFinder> | undefined;
  readonly #offset = { up: 0, down: 0 };

  constructor(number: number, options: TappedOptions) {
    const { transport, ends, find, save } = options;
    this.number = number;
    this.#options = options;
    if (save !== undefined) this.#trace = transport === "tcp" ? new TcpTrace(ends) : new UdpTrace(ends);
    this.#finders = find === undefined ? undefined : { up: new TextFinder(find), down: new TextFinder(find) };
    this.#print(`${ends.client} to ${ends.target}`);
    this.#save(this.#trace?.open());
  }

  /** One side sends; `note` is what befalls the bytes on their way. */
  send(direction: Direction, bytes: Uint8Array, note?: string): void {
    const { transport, show, print, count, onFound } = this.#options;
    const offset = this.#offset[direction];
    this.#offset[direction] += bytes.length;
    count(bytes.length);
    this.#save(this.#trace?.send(direction, bytes));
    if (print !== undefined) {
      const place = transport === "tcp" ? ` at ${offset}` : "";
      this.#print(
        `${ARROW[direction]} ${counted(bytes.length, "byte")}${place}${note === undefined ? "" : ` (${note})`}`,
      );
      formatChunk(bytes, { offset: transport === "tcp" ? offset : 0, limit: show }).forEach(print);
    }
    const found = this.#finders?.[direction].receive(bytes);
    if (found !== undefined) onFound?.(`#${this.number} ${ARROW[direction]} at ${found}`);
  }

  /** One side ends its stream. */
  end(direction: Direction): void {
    this.#print(`${ARROW[direction]} end`);
    this.#save(this.#trace?.end(direction));
  }

  /** The connection breaks off. */
  reset(reason: string): void {
    this.#print(`broken off: ${reason}`);
    this.#save(this.#trace?.reset());
  }

  #print(event: string): void {
    this.#options.print?.(`${timeOfDay(this.#options.now())} #${this.number} ${event}`);
  }

  #save(packets: readonly Uint8Array[] = []): void {
    for (const packet of packets) this.#options.save?.(pcapRecord(packet, this.#options.now()));
  }
}

/** The local time as `12:03:44.007`. */
function timeOfDay(ms: number): string {
  const time = new Date(ms);
  const parts = [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => `${part}`.padStart(2, "0"));
  return `${parts.join(":")}.${`${time.getMilliseconds()}`.padStart(3, "0")}`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

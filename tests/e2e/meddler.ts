/**
 * Somebody on the way between the two ends of a secure channel, who knows where its messages begin and meddles with one.
 * @module
 */
import { concat } from "@std/bytes";
import { readFull, TcpConnection, writeAll } from "../../lib/net/tcp.ts";

/** Whose message it is. */
export type Side = "client" | "server";

/** What can be done to a message that cannot be read. */
export const MEDDLINGS = ["longer", "flip", "drop", "double", "swap", "reflect", "cut"] as const;

/** One message, and what is done to it. */
export interface Meddling {
  readonly side: Side;
  /** Its number on its side: the handshake's messages come first. */
  readonly number: number;
  readonly how: typeof MEDDLINGS[number];
}

/** Bytes of a client's preamble: what comes after it has its length in front, as all has that a server sends. */
const PREAMBLE = 33;
/** After how much silence the line is cut once the meddling is done, in ms: an end that misses something may wait for ever. */
const SILENCE_MS = 300;

/** A man in the middle, who meddles with the first connection and lets those after it pass. */
export class Meddler implements AsyncDisposable {
  readonly port: number;
  /** How many messages have come, by their side. */
  readonly counts: Record<Side, number> = { client: 0, server: 0 };
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #links: Promise<void>[] = [];

  /** Stands between the port `to` and whoever connects. */
  constructor(to: number, meddling?: Meddling) {
    this.port = this.#listener.addr.port;
    this.#accept(to, meddling);
  }

  /** Resolves when all connections have ended on both sides. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await Promise.all(this.#links);
  }

  async #accept(to: number, meddling: Meddling | undefined): Promise<void> {
    for await (const client of this.#listener) {
      const server = await Deno.connect({ hostname: "127.0.0.1", port: to });
      const ends = { client: new TcpConnection(client), server: new TcpConnection(server) };
      this.#links.push(new Link(ends, this.counts, meddling).ended);
      meddling = undefined;
    }
  }
}

/** Both directions of a connection. */
class Link {
  readonly ended: Promise<void>;
  readonly #ends: Record<Side, TcpConnection>;
  readonly #counts: Record<Side, number>;
  readonly #meddling: Meddling | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;

  constructor(ends: Record<Side, TcpConnection>, counts: Record<Side, number>, meddling: Meddling | undefined) {
    this.#ends = ends;
    this.#counts = counts;
    this.#meddling = meddling;
    this.ended = this.#run();
  }

  async #run(): Promise<void> {
    await Promise.all([this.#relay("client", "server"), this.#relay("server", "client")]);
    this.#cut();
  }

  #cut(): void {
    clearTimeout(this.#silence);
    for (const end of Object.values(this.#ends)) end.close();
  }

  async #relay(from: Side, to: Side): Promise<void> {
    try {
      if (from === "client") await this.#send(to, await this.#read(from, PREAMBLE));
      for (let held = new Uint8Array();;) {
        const length = await this.#read(from, 2);
        const message = concat([length, await this.#read(from, length[0]! * 256 + length[1]!)]);
        const number = this.#counts[from]++;
        const isHit = this.#meddling?.side === from && this.#meddling.number === number;
        if (isHit || this.#silence !== undefined) this.#awaitSilence();
        if (isHit) held = await this.#meddle(this.#meddling.how, message, from, to);
        else {
          await this.#send(to, concat([message, held]));
          held = new Uint8Array();
        }
      }
    } catch {
      await this.#ends[to].closeWrite().catch(() => {}); // the end of its stream, or a reset
    }
  }

  #awaitSilence(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#cut(), SILENCE_MS);
  }

  /** Resolves to what is to follow the next message. */
  async #meddle(
    how: Meddling["how"],
    message: Uint8Array<ArrayBuffer>,
    from: Side,
    to: Side,
  ): Promise<Uint8Array<ArrayBuffer>> {
    if (how === "swap") return message;
    if (how === "longer") message[1]!++;
    if (how === "flip") message[message.length - 1]! ^= 1;
    if (how === "longer" || how === "flip") await this.#send(to, message);
    if (how === "double") await this.#send(to, concat([message, message]));
    if (how === "reflect") await this.#send(from, message);
    if (how === "cut") {
      await this.#send(to, message.subarray(0, message.length / 2));
      this.#cut();
    }
    return new Uint8Array();
  }

  #send(to: Side, bytes: Uint8Array): Promise<void> {
    return writeAll(this.#ends[to], bytes);
  }

  async #read(from: Side, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(length);
    await readFull(this.#ends[from], bytes);
    return bytes;
  }
}

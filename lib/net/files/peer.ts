/**
 * The file server's end of one connection: lines in, replies out, bodies past both, each with its deadline.
 * @module
 */
import { TruncatedError } from "../../errors.ts";
import { CODE, formatReply } from "../../files/replies.ts";
import { CommandReader, type LineEvent } from "../../files/session.ts";
import { MAX_SKIP, type Refusal, type UnwantedBody } from "../../files/upload_rules.ts";
import { encodeText } from "../../bytes.ts";
import { formatDuration } from "../../units.ts";
import { type SocketConnection, writeAll } from "../tcp.ts";
import { withDeadline } from "../timing.ts";
import type { Wait, Watch } from "./watch.ts";

/** How long a connection may wait, in ms. */
export interface PeerTimeouts {
  /** Between commands; 0: for ever. */
  readonly idle: number;
  /** In a line that has begun, to its end. */
  readonly line: number;
  /** Without a byte of a transfer, in either direction. */
  readonly stall: number;
  /** In an upload that is slower than it must be. */
  readonly slow: number;
}

/** How long a connection may wait, but for `idle`. */
export const PEER_TIMEOUTS: Omit<PeerTimeouts, "idle"> = { line: 30_000, stall: 25_000, slow: 60_000 };
/** How long what a peer still sends is read and thrown away before the connection ends, in ms: else it would not get the last reply. */
const GOODBYE_MS = 1500;
/** How long a connection that ends may take for its last reply, in ms. */
const LAST_WORD_MS = 1000;
/** The most that one read of lines takes, in bytes; every idle connection holds a buffer of this size. */
const LINE_READ_SIZE = 4096;
/** The smallest and the largest read of a body, in bytes: it grows while reads fill it, so that slow peers cost little. */
const MIN_BODY_READ = 64 * 1024;
const MAX_BODY_READ = 2 ** 20;

/** What a peer is told that does not send. */
const NO_BODY = "the body has stopped";
/** Why a peer that does not read is let go. It is told nothing: that would stand in the middle of what it was sent. */
const NOT_TAKEN = "the peer takes no byte";

/** One client of the file server. */
export class Peer implements Wait, Disposable {
  until = Infinity;
  readonly connection: SocketConnection;
  readonly #reader = new CommandReader();
  readonly #watch: Watch;
  readonly #timeouts: PeerTimeouts;
  readonly #lineBuffer = new Uint8Array(LINE_READ_SIZE);
  #bodyBuffer = new Uint8Array(0);
  #lineDeadline = Infinity;
  #isIdle = false;
  #isDismissed = false;
  #isDeaf = false;
  #whenLate = "";
  #notice: Promise<void> | undefined;

  constructor(connection: SocketConnection, { watch, timeouts }: { watch: Watch; timeouts: PeerTimeouts }) {
    this.connection = connection;
    this.#watch = watch;
    this.#timeouts = timeouts;
    watch.add(this);
  }

  /** Whether it waits for a command. */
  get isIdle(): boolean {
    return this.#isIdle;
  }

  /** Whether its connection has ended as far as is known, or is being ended. */
  get isGone(): boolean {
    return this.#isDismissed || this.#isDeaf;
  }

  /** Whether bytes are due that are no command. */
  get owesBody(): boolean {
    return this.#reader.bodyLeft > 0 || this.#reader.digestFollows;
  }

  [Symbol.dispose](): void {
    this.#watch.delete(this);
  }

  late(): void {
    this.until = Infinity;
    if (this.#whenLate === NOT_TAKEN) {
      this.#isDismissed = true;
      return this.connection.close(NOT_TAKEN);
    }
    this.dismiss(this.owesBody ? CODE.broken : CODE.unavailable, this.#whenLate);
  }

  /** Ends the connection in the middle of whatever it does, with a last reply if it takes one. */
  dismiss(code: number, text: string): void {
    if (this.#isDismissed) return;
    this.#isDismissed = true;
    const last = Promise.resolve(this.#notice).then(() =>
      writeAll(this.connection, encodeText(formatReply(code, text)))
    );
    withDeadline(LAST_WORD_MS, last).catch(() => {}).finally(() => this.connection.close(text));
  }

  // --- Lines -------------------------------------------------------------------------------------------------------

  /** The next line; null when the peer has closed its side. */
  async next(): Promise<LineEvent | null> {
    for (;;) {
      const event = this.#reader.next();
      const answers = this.#reader.takeAnswers();
      if (answers.length > 0) await this.send(answers);
      if (event !== undefined) {
        this.#lineDeadline = Infinity;
        return event;
      }
      const count = await this.#readLine();
      if (count === null) return this.#end();
      this.#reader.receive(this.#lineBuffer.subarray(0, count));
    }
  }

  async #readLine(): Promise<number | null> {
    const now = performance.now();
    if (this.#reader.isInLine) {
      this.#lineDeadline = Math.min(this.#lineDeadline, now + this.#timeouts.line);
      return await this.#within(
        this.#lineDeadline,
        "a line that has begun must end",
        this.connection.read(this.#lineBuffer),
      );
    }
    if (this.#reader.digestFollows) {
      return await this.#within(this.#stallDeadline(), NO_BODY, this.connection.read(this.#lineBuffer));
    }
    const { idle } = this.#timeouts;
    this.#isIdle = true;
    try {
      const why = `idle for ${formatDuration(idle)}`;
      return await this.#within(idle === 0 ? Infinity : now + idle, why, this.connection.read(this.#lineBuffer));
    } finally {
      this.#isIdle = false;
    }
  }

  #end(): null {
    if (!this.#reader.isInLine && !this.#reader.digestFollows) return null;
    throw new TruncatedError("Cannot read a line: the peer closed the connection in the middle");
  }

  /** Sends a reply. */
  async reply(code: number, text: string): Promise<void> {
    await this.send(encodeText(formatReply(code, text)));
  }

  /** Sends a reply of many lines. */
  async replyLines(code: number, lines: Iterable<string>, last: string): Promise<void> {
    const all = Array.from(lines, (line) => formatReply(code, line, true));
    await this.send(encodeText(all.join("") + formatReply(code, last)));
  }

  /** Sends a reply that only tells how things go: not while an earlier one is on its way, so that nobody waits for it. */
  notify(code: number, text: string): void {
    if (this.#notice !== undefined || this.#isDismissed) return;
    const sent = writeAll(this.connection, encodeText(formatReply(code, text)));
    this.#notice = sent.catch(() => void (this.#isDeaf = true)).finally(() => this.#notice = undefined);
  }

  /** Sends bytes, after whatever is on its way. */
  async send(bytes: Uint8Array): Promise<void> {
    if (this.#notice !== undefined) await this.#within(this.#stallDeadline(), NOT_TAKEN, this.#notice);
    for (let sent = 0; sent < bytes.length;) {
      sent += await this.#within(this.#stallDeadline(), NOT_TAKEN, this.connection.write(bytes.subarray(sent)));
    }
  }

  // --- Bodies ------------------------------------------------------------------------------------------------------

  /** What comes next is a body, and its digest as a line. */
  expectBody(count: number, digestFollows: boolean): void {
    this.#reader.expectBody(count, { digestFollows });
  }

  /**
   * At least one byte of the body, at most `most`, valid until the next call.
   * @throws {TruncatedError} if the peer closes its side before the body's end
   */
  async readBody(most = Infinity): Promise<Uint8Array> {
    const early = this.#reader.takeBody();
    if (early.length > 0) return early;
    const left = this.#reader.bodyLeft;
    if (this.#bodyBuffer.length === 0) this.#bodyBuffer = new Uint8Array(Math.min(MIN_BODY_READ, left));
    const room = this.#bodyBuffer.subarray(0, Math.min(left, most));
    const count = await this.#within(this.#stallDeadline(), NO_BODY, this.connection.read(room));
    if (count === null) {
      throw new TruncatedError(`Cannot complete the body: the peer closed the connection ${left} bytes before its end`);
    }
    this.#reader.passBody(count);
    if (count === this.#bodyBuffer.length && count < MAX_BODY_READ) {
      this.#bodyBuffer = new Uint8Array(Math.min(4 * count, MAX_BODY_READ));
    }
    return room.subarray(0, count);
  }

  /** Gives back the memory of a body that is over. */
  endBody(): void {
    this.#bodyBuffer = new Uint8Array(0);
  }

  /** Sends a refusal and gets past the body that comes nevertheless; false: the connection has ended instead. */
  async refuse({ code, text }: Refusal, { count, digestFollows, ends }: UnwantedBody): Promise<boolean> {
    await this.reply(code, text);
    if (ends) {
      await this.sayGoodbye();
      return false;
    }
    this.expectBody(count, digestFollows);
    while (this.#reader.bodyLeft > 0) await this.readBody();
    this.endBody();
    const event = digestFollows ? await this.next() : null; // what it says does not matter, but it must end
    if (event?.type !== "refused" || !event.ends) return true;
    await this.reply(event.code, event.text);
    await this.sayGoodbye();
    return false;
  }

  /** Half-closes, and reads what still comes for a moment: a connection closed over unread bytes is reset, and its last reply lost. */
  async sayGoodbye(): Promise<void> {
    await this.connection.closeWrite();
    const buffer = new Uint8Array(MIN_BODY_READ);
    const drained = async () => {
      for (let total = 0, count; total < MAX_SKIP && (count = await this.connection.read(buffer)) !== null;) {
        total += count;
      }
    };
    await withDeadline(GOODBYE_MS, drained()).catch(() => {});
  }

  #stallDeadline(): number {
    return performance.now() + this.#timeouts.stall;
  }

  /** What `action` resolves to; when the deadline is over before, the connection ends. */
  async #within<T>(deadline: number, whenLate: string, action: Promise<T>): Promise<T> {
    this.#whenLate = whenLate;
    this.until = deadline;
    try {
      return await action;
    } finally {
      this.until = Infinity;
    }
  }
}

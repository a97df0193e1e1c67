/**
 * The client's end of a connection to the file server. Nothing waits for ever: when no byte moves for the time-out while one
 * is due, the link is lost.
 * @module
 */
import { TruncatedError } from "../../errors.ts";
import { type Command, formatCommand } from "../../files/commands.ts";
import { type Answer, RefusalError } from "../../files/client_talk.ts";
import { CODE, type ReplyLine, ReplyReader } from "../../files/replies.ts";
import { encodeLine } from "../../files/session.ts";
import { formatDuration } from "../../units.ts";
import { AttemptError, isNetworkError, reason } from "../failure.ts";
import { describeKeepAlive, keepAlive } from "../keepalive.ts";
import type { SocketConnection } from "../tcp.ts";
import { withDeadline } from "../timing.ts";
import { DiskError } from "./disk.ts";

/** The most that one read of replies takes, in bytes. */
const READ_SIZE = 64 * 1024;
/** The longest time between two looks at the deadline, in ms. */
const MAX_SWEEP_MS = 1000;

/** The connection is dead, or was never made: a try, not the transfer, has failed. */
export class LinkLostError extends Error {
  override name = "LinkLostError";
}

/** A whole reply: its last line, and the texts of those before it. */
export interface Reply extends Answer {
  readonly lines: readonly string[];
}

/** Shown each line that only tells how things go: 102 and 110. */
export type Notice = (line: ReplyLine) => void;

/** How a link is made. */
export interface LinkOptions {
  /** The server's name as the user gave it. */
  readonly hostname: string;
  /** Makes the connection. */
  readonly connect: () => Promise<SocketConnection>;
  /** How long no byte may move while one is due, in ms; 0: for ever. */
  readonly timeout: number;
  /** Ends whatever is under way. */
  readonly signal: AbortSignal;
  /** Shown what `--verbose` shows. */
  readonly explain: (text: string) => void;
}

/** One connection. Dispose of it after any failure: nobody knows what comes next. */
export class Link implements Disposable {
  readonly #connection: SocketConnection;
  readonly #timeout: number;
  readonly #reader = new ReplyReader();
  readonly #buffer = new Uint8Array(READ_SIZE);
  readonly #sweep: ReturnType<typeof setInterval>;
  readonly #release: () => void;
  #until = Infinity;
  #isLost = false;

  private constructor(connection: SocketConnection, { timeout, signal }: LinkOptions) {
    this.#connection = connection;
    this.#timeout = timeout === 0 ? Infinity : timeout;
    this.#sweep = setInterval(() => this.#look(), Math.min(MAX_SWEEP_MS, this.#timeout / 4));
    const interrupt = () => this.#lose("interrupted");
    signal.addEventListener("abort", interrupt);
    this.#release = () => signal.removeEventListener("abort", interrupt);
    if (signal.aborted) interrupt();
  }

  /**
   * Connects, and takes the greeting.
   * @throws {AttemptError} if it cannot be made
   * @throws {RefusalError} if the server has no place
   */
  static async open(options: LinkOptions): Promise<Link> {
    const connection = await connectUnlessAborted(options);
    options.explain(describeKeepAlive(keepAlive(connection.socket)));
    const link = new Link(connection, options);
    try {
      const hello = await link.busy(() => link.reply());
      if (hello.code !== CODE.hello) throw new RefusalError(hello);
      return link;
    } catch (error) {
      link[Symbol.dispose]();
      if (!(error instanceof LinkLostError) || options.signal.aborted) throw error;
      throw new LinkLostError(`wait for the greeting: ${error.message}`, { cause: error });
    }
  }

  /** Whether it is of no use any more. */
  get isLost(): boolean {
    return this.#isLost;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#sweep);
    this.#release();
    this.#lose("closed");
  }

  /** Says a command and resolves to its reply. */
  ask(command: Command, notice?: Notice): Promise<Reply> {
    return this.busy(async () => {
      await this.write(encodeLine(formatCommand(command)));
      return await this.reply(notice);
    });
  }

  /** Runs an exchange in which bytes are due all the time. */
  async busy<T>(exchange: () => Promise<T>): Promise<T> {
    this.#moved();
    try {
      return await exchange();
    } finally {
      this.#until = Infinity;
    }
  }

  /** The next reply. */
  async reply(notice: Notice = () => {}): Promise<Reply> {
    for (const lines: string[] = [];;) {
      const line = this.#reader.next();
      if (line === undefined) {
        const count = await this.#read(this.#buffer);
        this.#reader.receive(this.#buffer.subarray(0, count));
      } else if (line.code === CODE.working || line.code === CODE.progress) {
        notice(line);
      } else if (line.more) {
        lines.push(line.text);
      } else {
        return { ...line, lines };
      }
    }
  }

  /** Bytes of a body, at most `buffer` holds: 1 or more. */
  async readBody(buffer: Uint8Array): Promise<Uint8Array> {
    const early = this.#reader.takeBody(buffer.length);
    return early.length > 0 ? early : buffer.subarray(0, await this.#read(buffer));
  }

  /** Writes all bytes. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let written = 0; written < bytes.length;) {
      written += await this.#guard(() => this.#connection.write(bytes.subarray(written)));
      this.#moved();
    }
  }

  /** Says goodbye without waiting for an answer. */
  async close(): Promise<void> {
    using _ = this;
    if (!this.#isLost) await this.write(encodeLine("CLOSE")).catch(() => {});
  }

  async #read(buffer: Uint8Array): Promise<number> {
    const count = await this.#guard(() => this.#connection.read(buffer));
    this.#moved();
    if (count !== null) return count;
    this.#lose("the server closed the connection");
    throw new LinkLostError("the server closed the connection");
  }

  async #guard<T>(operation: () => Promise<T>): Promise<T> {
    try {
      return await operation();
    } catch (error) {
      const { closedBecause } = this.#connection;
      this.#isLost = true;
      if (closedBecause !== undefined) throw new LinkLostError(closedBecause, { cause: error });
      throw isBreak(error) ? new LinkLostError(reason(error), { cause: error }) : error;
    }
  }

  #moved(): void {
    this.#until = performance.now() + this.#timeout;
  }

  #look(): void {
    if (performance.now() > this.#until) this.#lose(`no byte has moved for ${formatDuration(this.#timeout)}`);
  }

  #lose(why: string): void {
    this.#isLost = true;
    this.#connection.close(why);
  }
}

/** Connects, or stops waiting: for the network, or for the user's answer whether to trust the server. */
async function connectUnlessAborted({ connect, signal }: LinkOptions): Promise<SocketConnection> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(new LinkLostError("interrupted"));
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  const connecting = connect();
  try {
    return await Promise.race([connecting, aborted]);
  } catch (error) {
    connecting.then((connection) => connection.close(), () => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Whether the error is of the network: trying again may help. */
export function isBreak(error: unknown): boolean {
  if (error instanceof RefusalError) return false; // its code is no system's
  return error instanceof LinkLostError || error instanceof TruncatedError || isNetworkError(error);
}

/** The link of a client: made when it is needed, and again when it was lost. Whoever talks on it has it alone. */
export class Dialer implements AsyncDisposable {
  readonly options: LinkOptions;
  #link: Link | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: LinkOptions) {
    this.options = options;
  }

  /** The link. */
  async get(): Promise<Link> {
    if (this.#link?.isLost) this.drop();
    return this.#link ??= await Link.open(this.options);
  }

  /** Ends a link that has failed. */
  drop(): void {
    this.#link?.[Symbol.dispose]();
    this.#link = undefined;
  }

  /** Runs a talk of several commands and bodies on the link: what others say waits for its end. */
  talk<T>(talk: (link: Link) => Promise<T>): Promise<T> {
    return this.#alone(async () => await talk(await this.get()));
  }

  /**
   * Says one command; on a link that was lost in silence before, once more on a new one: none of these commands changes
   * anything that would be there twice.
   */
  ask(command: Command, notice?: Notice): Promise<Reply> {
    return this.#alone(() => this.#askNow(command, notice));
  }

  /**
   * Asks a server that nobody has anything to ask whether it is there.
   * @throws if it does not answer within `ms` (0: for ever); the link is dead then
   */
  beat(ms: number): Promise<void> {
    return this.#alone(async () => {
      if (this.#link?.isLost === false) await withDeadline(ms, this.#link.ask({ verb: "NOOP" }));
    });
  }

  /** Runs what talks when all that began before has ended: a link has one talk at a time. */
  #alone<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#last.then(action);
    this.#last = result.catch(() => {});
    return result;
  }

  async #askNow(command: Command, notice?: Notice): Promise<Reply> {
    const wasUp = this.#link !== undefined;
    try {
      return await (await this.get()).ask(command, notice);
    } catch (error) {
      this.drop();
      if (!wasUp || this.options.signal.aborted || !(error instanceof LinkLostError)) throw error;
      return await (await this.get()).ask(command, notice);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#link?.close();
  }
}

/** Why a try has failed, as half a line. */
export function whyLost(error: unknown): string {
  if (error instanceof DiskError) return `the disk here: ${error.message}`;
  return error instanceof AttemptError || error instanceof LinkLostError ? error.message : reason(error);
}

/**
 * Secure connections: a TCP connection with a secure channel inside, which every program can use in place of a plain one.
 * The bytes and rules are those of {@link ../secure_channel.ts} and {@link ../secure_records.ts}.
 * @module
 */
import { networkOf, parseAddress } from "../address.ts";
import { ProtocolError } from "../errors.ts";
import { FailureCounter } from "../failure_counter.ts";
import { fingerprint } from "../identity.ts";
import type { X25519KeyPair } from "../noise_primitives.ts";
import type { CipherBackend } from "../record_cipher.ts";
import { type ChannelHandshake, type ChannelKeys, initiate, respond } from "../secure_channel.ts";
import { type Padding, RecordReader, RecordWriter } from "../secure_records.ts";
import { formatDuration } from "../units.ts";
import { AttemptError } from "./failure.ts";
import type { Remember } from "./identity.ts";
import type { Log } from "./log.ts";
import { readFull, type SocketConnection, type TcpConnection, writeAll } from "./tcp.ts";
import { withDeadline } from "./timing.ts";

/** How long a handshake may take in all, in ms. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;
/** The handshakes of a server that are under way at a time, and those of one address; further ones wait their turn. */
const MAX_HALF_OPEN = 256;
const MAX_HALF_OPEN_PER_ADDRESS = 128;
/** How long the end of a stream may take to leave when a connection is closed, in ms. */
const FAREWELL_TIMEOUT_MS = 2000;
/** How long a peer may take nothing of what is left when a stream ends, in ms. The end of plain TCP leaves that to the system. */
const LINGER_TIMEOUT_MS = 60_000;
/** The time between two looks at it, in ms. */
const LINGER_SWEEP_MS = 1000;
/** What the silence of a server that closes the connection may mean. */
const REFUSED_HINT =
  "the server says nothing to strangers: does it speak this channel, with this --pattern, --cipher and pre-shared key, " +
  "and is our public key on its list?";
/** And where it should have had a key that was known before. */
const OTHER_KEY_HINT = "has it still the key in known_hosts?";

/** What both ends need. */
export interface Security {
  readonly backend: CipherBackend;
  /** 32 bytes, if the pattern has one. */
  readonly psk?: Uint8Array;
  /** Our static key, if the pattern has one. */
  readonly identity?: X25519KeyPair;
  readonly padding: Padding;
  /** The longest time that a channel lives, in ms; 0: any. */
  readonly maxSession: number;
}

/** How a server accepts secure connections. */
export interface ServerSecurity extends Security {
  /** The exact protocol names that it takes. */
  readonly protocols: readonly string[];
  /** Whether a client may come in, by its key; undefined: it has none. */
  readonly authorize: (key: Uint8Array | undefined) => Promise<boolean>;
}

/** How a client makes secure connections. */
export interface ClientSecurity extends Security {
  /** The exact protocol name that it asks for. */
  readonly protocol: string;
  /** The server's key, where the pattern wants it known. */
  readonly serverKey?: Uint8Array;
  /**
   * Throws if the server's key is not to be trusted; called before the client shows who it is. What it may resolve to is done
   * when the server has confirmed the handshake.
   */
  readonly verify: (key: Uint8Array) => Promise<Remember | undefined>;
}

/**
 * A byte stream inside a secure channel, with the methods of a plain connection.
 *
 * What is written gathers until the turn ends, and while an earlier write is under way, at most 320 KiB of each: then writing
 * waits. Writes at the same time follow each other whole. Nothing is read ahead of {@linkcode read}, one at a time. Whatever
 * goes wrong closes the connection, and nothing more is sent.
 */
export class SecureConnection implements SocketConnection {
  /** `Noise_XX_25519_AESGCM_SHA256`. */
  readonly protocol: string;
  /** The peer's static key, which it has proved to have; undefined if it has none. */
  readonly remoteStatic: Uint8Array | undefined;
  /** The same on both sides and of no other channel. */
  readonly handshakeHash: Uint8Array;
  readonly #connection: TcpConnection;
  readonly #writer: RecordWriter;
  readonly #reader: RecordReader;
  readonly #sessionTimer: ReturnType<typeof setTimeout> | undefined;
  #failure: unknown;
  #opening: Promise<boolean> | undefined; // a record, while its reader was given the one before
  #sending: Promise<void> | undefined;
  #writing: Promise<unknown> | undefined; // the last of the writes that wait
  #batchTaken: PromiseWithResolvers<void> | undefined;
  #ended: Promise<void> | undefined;
  #stuck = 0; // ms since the peer took something, while our stream ends

  /** Takes over a connection on which the handshake has just ended. */
  constructor(
    connection: TcpConnection,
    keys: ChannelKeys,
    { backend, padding, maxSession }: Pick<ServerSecurity, "backend" | "padding" | "maxSession">,
  ) {
    this.#connection = connection;
    this.protocol = keys.protocol;
    this.remoteStatic = keys.remoteStatic;
    this.handshakeHash = keys.handshakeHash;
    this.#writer = new RecordWriter(keys.send, { backend, padding });
    this.#reader = new RecordReader(keys.receive, { backend });
    for (const { key } of [keys.send, keys.receive]) key.fill(0);
    connection.farewell = () => this.#sayFarewell();
    if (maxSession > 0) {
      this.#sessionTimer = setTimeout(() => this.close(`open for ${formatDuration(maxSession)}`), maxSession);
      Deno.unrefTimer(this.#sessionTimer);
    }
  }

  get peer(): string {
    return this.#connection.peer;
  }

  get socket(): Deno.TcpConn {
    return this.#connection.socket;
  }

  get closedBecause(): string | undefined {
    return this.#connection.closedBecause;
  }

  /** Resolves when the connection is closed, from either reason. */
  get closed(): Promise<void> {
    return this.#connection.closed;
  }

  /**
   * Reads at least one byte into `buffer` and resolves to their number; null when the peer has ended its stream.
   * @throws {TruncatedError} if the connection ends before the stream
   * @throws {AuthenticationError} if a record is not the one that the peer sent
   */
  async read(buffer: Uint8Array): Promise<number | null> {
    try {
      for (;;) {
        const count = this.#takeInto(buffer);
        if (count > 0 || buffer.length === 0) return count;
        if (this.#failure !== undefined) throw this.#failure;
        if (this.#reader.closed) return null;
        if (this.#opening !== undefined) await this.#finishOpening();
        else this.#receive(await this.#connection.read(this.#reader.space()));
      }
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** Takes what there is and what can be opened at once, until the buffer is full. */
  #takeInto(buffer: Uint8Array): number {
    let count = this.#reader.take(buffer);
    while (count < buffer.length && this.#opening === undefined && this.#failure === undefined) {
      try {
        const opened = this.#reader.next();
        if (opened === false) break;
        if (opened !== true) this.#awaitLater(opened);
        else count += this.#reader.take(count === 0 ? buffer : buffer.subarray(count));
      } catch (error) {
        this.#fail(error); // told by the next read, after what came before it
      }
    }
    return count;
  }

  #awaitLater(opening: Promise<boolean>): void {
    opening.catch(() => {}); // told by the read that waits for it
    this.#opening = opening;
  }

  async #finishOpening(): Promise<void> {
    const opening = this.#opening;
    await opening;
    this.#opening = undefined;
  }

  #receive(count: number | null): void {
    if (count === null) this.#reader.end();
    else this.#reader.received(count);
  }

  /** Writes all of `bytes` and resolves when they are on their way or wait in a batch: see {@linkcode flush}. */
  async write(bytes: Uint8Array): Promise<number> {
    this.#checkOpen();
    if (this.#writing !== undefined) return await this.#writeLater(bytes, 0);
    const count = this.#append(bytes);
    return count === bytes.length ? count : await this.#writeLater(bytes, count);
  }

  async #writeLater(bytes: Uint8Array, from: number): Promise<number> {
    const before = this.#writing;
    const writing = (async () => {
      await before;
      for (let count = from; count < bytes.length;) {
        if (this.#writer.full) await (this.#batchTaken ??= Promise.withResolvers()).promise;
        this.#checkOpen();
        count += this.#append(bytes.subarray(count));
      }
    })();
    this.#writing = writing;
    try {
      await writing;
    } finally {
      if (this.#writing === writing) this.#writing = undefined;
    }
    return bytes.length;
  }

  #append(bytes: Uint8Array): number {
    try {
      const count = this.#writer.append(bytes);
      this.#sending ??= this.#sendAll();
      return count;
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** Sends batch after batch, from the end of this turn on, until there is nothing more. */
  async #sendAll(): Promise<void> {
    try {
      await undefined;
      for (let batch; (batch = this.#writer.take()) !== undefined;) {
        this.#batchTaken?.resolve();
        this.#batchTaken = undefined;
        if (batch.sealed !== undefined) await batch.sealed;
        for (let written = 0; written < batch.bytes.length; this.#stuck = 0) {
          written += await this.#connection.write(batch.bytes.subarray(written));
        }
        this.#writer.recycle(batch);
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#sending = undefined;
  }

  /** Resolves when all that was written has been handed to the system. */
  async flush(): Promise<void> {
    await this.#writing;
    await this.#sending;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Ends our stream (a close record and a FIN) when all has left; the peer's may go on. */
  async closeWrite(): Promise<void> {
    await this.#end();
    await this.#connection.closeWrite();
  }

  /** Flushes and sends the close record, once, as long as the peer takes something. */
  #end(): Promise<void> {
    return this.#ended ??= (async () => {
      const linger = setInterval(() => {
        this.#stuck += LINGER_SWEEP_MS;
        if (this.#stuck > LINGER_TIMEOUT_MS) this.close("the peer takes nothing any more");
      }, LINGER_SWEEP_MS);
      try {
        await this.flush();
        this.#writer.close();
        this.#sending = this.#sendAll();
        await this.flush();
      } finally {
        clearInterval(linger);
      }
    })();
  }

  /** Ends our stream in a short time, then closes both sides; harmless when closed already. */
  close(reason?: string): void {
    this.#connection.close(reason);
  }

  /** The same, and resolves when it is done. */
  async finish(reason?: string): Promise<void> {
    this.close(reason);
    await this.closed;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.finish();
  }

  async #sayFarewell(): Promise<void> {
    clearTimeout(this.#sessionTimer);
    if (this.#failure === undefined) await withDeadline(FAREWELL_TIMEOUT_MS, this.#end()).catch(() => {});
    this.#failure ??= new Deno.errors.BadResource("the connection is closed");
    this.#batchTaken?.resolve(); // who waits to write learns it
    this.#writer.dispose();
    this.#reader.dispose();
  }

  #checkOpen(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#ended !== undefined) throw new Deno.errors.BrokenPipe("our side of the connection is closed");
  }

  /** Closes the connection without another word; what waits learns why. */
  #fail(error: unknown): unknown {
    if (this.#failure !== undefined) return this.#failure;
    this.#failure = error;
    this.close();
    return error;
  }
}

/** Whose connection it is, where they are counted. */
function sourceOf(connection: TcpConnection): string {
  return networkOf(parseAddress(connection.peer).hostname);
}

/** How many handshakes a server has under way. */
export class HandshakeGate {
  readonly #byAddress = new Map<string, number>();
  readonly #waiting: { readonly address: string; readonly enter: () => void }[] = [];
  #count = 0;

  /** The handshakes that are under way, and the connections that wait for their turn. */
  get counts(): { readonly halfOpen: number; readonly waiting: number } {
    return { halfOpen: this.#count, waiting: this.#waiting.length };
  }

  /** Resolves when the connection's turn has come; disposing ends it. It is left out when it closes before. */
  async enter(connection: TcpConnection): Promise<Disposable> {
    const address = sourceOf(connection);
    if (this.#hasRoom(address)) this.#add(address, 1);
    else await this.#wait(address, connection.closed);
    return {
      [Symbol.dispose]: () => {
        this.#add(address, -1);
        this.#admitNext();
      },
    };
  }

  /** Gives the place that is free to the first that may have it, at once: whoever comes now must not take it too. */
  #admitNext(): void {
    const index = this.#waiting.findIndex(({ address }) => this.#hasRoom(address));
    if (index === -1) return;
    const [next] = this.#waiting.splice(index, 1);
    this.#add(next!.address, 1);
    next!.enter();
  }

  #wait(address: string, closed: Promise<void>): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { address, enter: resolve };
    this.#waiting.push(waiter);
    closed.then(() => {
      const index = this.#waiting.indexOf(waiter);
      if (index === -1) return;
      this.#waiting.splice(index, 1);
      reject(new ProtocolError("Cannot begin: too many handshakes are under way"));
    });
    return promise;
  }

  #hasRoom(address: string): boolean {
    return this.#count < MAX_HALF_OPEN && (this.#byAddress.get(address) ?? 0) < MAX_HALF_OPEN_PER_ADDRESS;
  }

  #add(address: string, change: number): void {
    this.#count += change;
    const count = (this.#byAddress.get(address) ?? 0) + change;
    if (count === 0) this.#byAddress.delete(address);
    else this.#byAddress.set(address, count);
  }
}

/** How a handshake is held. */
export interface HandshakeSettings {
  /** What is spoken inside, `echo/1`. */
  readonly application: string;
  /** How long it may take, in ms; default {@linkcode HANDSHAKE_TIMEOUT_MS}. */
  readonly timeout?: number;
}

/**
 * Makes the channel as the client. A user who is asked whether to trust the server may take more time than the handshake.
 * @throws {AttemptError} if the server is not the right one, or refuses us; the connection is closed then
 */
export async function connectSecure(
  connection: TcpConnection,
  security: ClientSecurity,
  { application, timeout = HANDSHAKE_TIMEOUT_MS }: HandshakeSettings,
): Promise<SecureConnection> {
  const { protocol, identity: staticKey, serverKey: remoteStatic, psk, verify } = security;
  const handshake = initiate({ protocol, application, staticKey, remoteStatic, psk });
  try {
    return new SecureConnection(connection, await hold(connection, handshake, { timeout, trust: verify }), security);
  } catch (error) {
    if (error instanceof AttemptError) throw error;
    const hint = remoteStatic === undefined ? REFUSED_HINT : `${REFUSED_HINT} ${OTHER_KEY_HINT}`;
    throw new AttemptError("make the channel secure", error, hint);
  }
}

/** How a server accepts. */
export interface AcceptSettings extends HandshakeSettings {
  readonly gate: HandshakeGate;
}

/**
 * Makes the channel as the server, when there is room for another handshake.
 * @throws {ProtocolError} if the client does not keep to the protocol, is not authorized or takes too long; the connection is
 * closed then, and the client told nothing
 */
export async function acceptSecure(
  connection: TcpConnection,
  security: ServerSecurity,
  { application, gate, timeout = HANDSHAKE_TIMEOUT_MS }: AcceptSettings,
): Promise<SecureConnection> {
  const { protocols, identity: staticKey, psk, authorize } = security;
  const refusal = (why: string, cause?: unknown) => new ProtocolError(`Cannot let in the client: ${why}`, { cause });
  const trust = async (key: Uint8Array | undefined) => {
    const authorized = await authorize(key).catch((error) => {
      throw error instanceof AttemptError ? refusal(error.message, error) : error;
    });
    if (!authorized) throw refusal(key === undefined ? "it has no key" : `${fingerprint(key)} is not authorized`);
    return undefined;
  };
  const handshake = respond({ protocols, application, staticKey, psk });
  const keys = await hold(connection, handshake, { timeout, trust, gate });
  if (keys.remoteStatic === undefined) {
    await trust(undefined).catch((error) => {
      connection.close();
      throw error;
    });
  }
  return new SecureConnection(connection, keys, security);
}

/** A handler of plain connections that makes each one secure, and ends its stream when `handle` ends. */
export function secured(
  handle: (connection: SecureConnection) => Promise<void>,
  security: ServerSecurity,
  { application, log }: { readonly application: string; readonly log: Log },
): (connection: TcpConnection) => Promise<void> {
  const gate = new HandshakeGate();
  const failures = new FailureCounter(() => performance.now());
  return async (plain) => {
    const source = sourceOf(plain); // while it has one
    const connection = await acceptSecure(plain, security, { application, gate }).catch((error) => {
      const count = failures.add(source);
      if (Number.isInteger(Math.log10(count)) && count > 1) {
        log.write("warn", `${count} handshakes of ${source} have failed within a minute`);
      }
      throw error;
    });
    const { protocol, remoteStatic } = connection;
    const who = remoteStatic === undefined ? "a client without a key" : fingerprint(remoteStatic);
    log.write("debug", `secure: ${who}, ${protocol}`, connection.peer);
    try {
      await handle(connection);
      await connection.closeWrite().catch(() => {}); // as long as bytes leave, as the system does for a plain connection
    } finally {
      await connection.finish();
    }
  };
}

/**
 * Holds the handshake within its time, and closes the connection if it fails. What a server needs to decide about a client is
 * part of its time, what the user of a client needs is not.
 */
async function hold(
  connection: TcpConnection,
  handshake: ChannelHandshake,
  { timeout, trust, gate }: {
    readonly timeout: number;
    readonly trust: (key: Uint8Array) => Promise<Remember | undefined>;
    readonly gate?: HandshakeGate;
  },
): Promise<ChannelKeys> {
  const late = `no handshake within ${formatDuration(timeout)}`;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let [left, begun] = [timeout, 0];
  const startTimer = () => {
    begun = performance.now();
    timer = setTimeout(() => connection.close(late), left);
  };
  let remember: Remember | undefined;
  startTimer();
  try {
    using _ = await gate?.enter(connection);
    for (let received = new Uint8Array();;) {
      const { done, value } = handshake.next(received);
      if (done) {
        await remember?.();
        return value;
      }
      received = new Uint8Array("need" in value ? value.need : 0);
      if ("send" in value) await writeAll(connection, value.send);
      else if ("need" in value) await readFull(connection, received);
      else if (gate !== undefined) await Promise.race([trust(value.trust), connection.closed]);
      else {
        clearTimeout(timer); // the user decides now, not the peer
        left -= performance.now() - begun;
        remember = await trust(value.trust);
        startTimer();
      }
    }
  } catch (error) {
    connection.close();
    throw connection.closedBecause === late ? new Deno.errors.TimedOut(late) : error;
  } finally {
    clearTimeout(timer);
  }
}

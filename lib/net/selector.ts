/**
 * A selector: one thread waits for many connections at once and serves those that are ready, in the vocabulary of Python's
 * `selectors`: `register`, `modify`, `unregister`, `select`.
 *
 * The select of an operating system tells *readiness*: "a read would not wait now", and the program reads. Deno shows
 * *completions*: a read is begun, and its promise resolves when bytes are there. So this selector begins the accept, the
 * read or the write itself, and its events hand over what has already happened, as Python's ProactorEventLoop, io_uring
 * and Windows' IOCP do. What this changes:
 * - A connection that waits for a read owns a buffer: {@linkcode MIN_BUFFER} bytes while it is quiet.
 * - An operation cannot be taken back. What arrives after the interest in it has gone waits in the key for its return.
 * @module
 */
import { SelfPipe, TURN_BUDGET } from "./self_pipe.ts";

/** A connection can be accepted. */
export const EVENT_ACCEPT = 1;
/** Bytes have arrived, or the end of the stream. */
export const EVENT_READ = 2;
/** Some of what was sent has left, or there is nothing to send. */
export const EVENT_WRITE = 4;

/** The buffer of a connection that reads little, in bytes: 10,000 quiet ones must cost little. */
export const MIN_BUFFER = 128;
/** How many bytes are allocated at a time for such buffers. */
const BLOCK = 32 * MIN_BUFFER;
/** The buffer of a connection that reads much, in bytes. */
export const MAX_BUFFER = 64 * 1024;
/** How much a buffer grows when a read fills it. */
const GROWTH = 8;
/** After so many reads in a row that {@linkcode MIN_BUFFER} would have held, it does. */
const SMALL_READS = 16;
const NOTHING = new Uint8Array();

/** What connections are accepted from: a `Deno.TcpListener`, for example. It resolves to null when no more will come. */
export interface Acceptor {
  accept(): Promise<Deno.TcpConn | null>;
}

/** What bytes are read from and written to: a `Deno.TcpConn`, for example. */
export interface Stream {
  read(buffer: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
}

/** A registered listener or connection. */
export interface SelectorKey<Data> {
  readonly source: Acceptor | Stream;
  /** What it was registered with. */
  readonly data: Data;
  /** The events of interest: 0, or some of the `EVENT_` constants. */
  readonly events: number;
  /** Those of them that the last select() found. */
  readonly ready: number;

  /**
   * Takes the connection that has arrived; null when no more will come.
   * @throws what the accept failed with
   * @throws {TypeError} if the key is not ready for it
   */
  accept(): Deno.TcpConn | null;

  /**
   * Takes the bytes that have arrived, up to {@linkcode MAX_BUFFER}; null when the peer has closed its side. They are valid
   * until the next select(), or until they have left when they are given to {@linkcode send}.
   * @throws what the read or an earlier write failed with
   * @throws {TypeError} if the key is not ready for it
   */
  recv(): Uint8Array | null;

  /**
   * Sends `bytes`, as long as there is interest in {@linkcode EVENT_WRITE}. They must not change before they have left.
   * @throws {TypeError} if some of what was sent before has not left
   */
  send(bytes: Uint8Array): void;

  /**
   * Whether all that was sent has left.
   * @throws what the write or an earlier read failed with
   */
  drained(): boolean;
}

/** How long {@linkcode Selector.select} waits. */
export interface SelectOptions {
  /** In ms; without end if absent. */
  readonly timeout?: number;
  /** Ends the wait. */
  readonly signal?: AbortSignal;
}

/**
 * Waits for events on any number of keys.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const hello = new TextEncoder().encode("hello");
 * const selector = new Selector<string>();
 * const stream = { read: (buffer: Uint8Array) => Promise.resolve(buffer.set(hello) ?? 5), write: () => Promise.resolve(1) };
 * selector.register(stream, EVENT_READ, "a client");
 * for (const key of await selector.select()) assertEquals([key.data, key.recv()], ["a client", hello]);
 * ```
 */
export class Selector<Data> implements Disposable {
  readonly #pipe = new SelfPipe();
  readonly #sources = new Set<Acceptor | Stream>();
  #due: Registration<Data>[] = []; // those that the next select() looks at
  #ready: Registration<Data>[] = [];
  #wasFull = false; // the last turn
  #resolve: (() => void) | undefined; // ends the wait of select()
  #timer: ReturnType<typeof setTimeout> | undefined; // of that wait
  #signal: AbortSignal | undefined; // of that wait
  readonly #wake = (): void => {
    clearTimeout(this.#timer);
    this.#resolve?.();
    this.#resolve = undefined;
  };
  readonly #abort = (): void => {
    if (this.#signal?.aborted) this.#wake();
  };
  readonly #notify = (key: Registration<Data>): void => {
    this.#ready.push(key);
    if (this.#resolve !== undefined) this.#wake();
  };

  /**
   * Begins to watch `source` for `events`, a sum of `EVENT_` constants.
   * @throws {TypeError} if it is watched already, or cannot have such events
   */
  register(source: Acceptor | Stream, events: number, data: Data): SelectorKey<Data> {
    if (this.#sources.has(source)) throw new TypeError("Cannot register: it is registered already");
    const key = new Registration(source, data, this.#notify);
    key.watch(events);
    this.#sources.add(source);
    this.#lookAt(key);
    return key;
  }

  /**
   * Changes the events of interest; with 0 the key waits for better times.
   * @throws {TypeError} if the key is not registered, or cannot have such events
   */
  modify(key: SelectorKey<Data>, events: number): void {
    const registration = this.#registration(key);
    registration.watch(events);
    this.#lookAt(registration);
  }

  /**
   * Forgets the key, with what has arrived for it and not been taken. Its source stays open, but an operation that has
   * begun goes on until the source is closed: close it.
   * @throws {TypeError} if the key is not registered
   */
  unregister(key: SelectorKey<Data>): void {
    this.#registration(key).release();
    this.#sources.delete(key.source);
  }

  /**
   * Waits until at least one key is ready and resolves to the ready ones; to none when the time is over, the signal aborted
   * or the interest in what has happened is gone. What is not taken is reported again.
   * @throws {TypeError} if another select() waits
   */
  async select({ timeout, signal }: SelectOptions = {}): Promise<SelectorKey<Data>[]> {
    // What begins now would complete before what had to wait: of 512 busy connections the same 128 would be served.
    if (this.#wasFull) await this.#pipe.look();
    const due = this.#due;
    this.#due = [];
    for (const key of due) key.begin();
    if (this.#ready.length === 0 && !signal?.aborted) await this.#wait(timeout, signal);
    const ready = this.#ready;
    this.#ready = [];
    this.#wasFull = ready.length >= TURN_BUDGET;
    for (const key of ready) this.#lookAt(key);
    return ready.filter((key) => key.collect());
  }

  /** Closes its self-pipe. The keys stay as they are: unregister them. */
  [Symbol.dispose](): void {
    this.#pipe[Symbol.dispose]();
  }

  #wait(timeout: number | undefined, signal: AbortSignal | undefined): Promise<void> {
    if (this.#resolve !== undefined) throw new TypeError("Cannot select: another select() waits");
    this.#signal = signal;
    signal?.addEventListener("abort", this.#abort); // the same one again and again: it is there once
    if (timeout !== undefined) this.#timer = setTimeout(this.#wake, timeout);
    return new Promise((resolve) => this.#resolve = resolve);
  }

  #lookAt(key: Registration<Data>): void {
    if (key.due) return;
    key.due = true;
    this.#due.push(key);
  }

  #registration(key: SelectorKey<Data>): Registration<Data> {
    if (key instanceof Registration && this.#sources.has(key.source)) return key;
    throw new TypeError("Cannot change the key: it is not registered");
  }
}

let block = NOTHING;
/** A buffer of {@linkcode MIN_BUFFER} bytes, cut from a block: an ArrayBuffer of its own would cost more than its bytes. */
function smallBuffer(): Uint8Array {
  if (block.length === 0) block = new Uint8Array(BLOCK);
  const buffer = block.subarray(0, MIN_BUFFER);
  block = block.subarray(MIN_BUFFER);
  return buffer;
}

/** A key as its selector sees it: at most one accept or read and at most one write are under way. */
class Registration<Data> implements SelectorKey<Data> {
  events = 0;
  ready = 0;
  due = false; // in the selector's list of those to look at
  #happened = 0; // events since the last select()
  #receiving = false; // an accept or a read is under way
  #arrived: Deno.TcpConn | Uint8Array | null | undefined; // what it brought
  #sending = false; // a write is under way
  #unsent: Uint8Array = NOTHING;
  #failure: { readonly error: unknown } | undefined;
  #released = false;
  #buffer: Uint8Array = NOTHING;
  #filled = 0; // bytes of the buffer that the last read filled
  #smallReads = 0; // in a row

  constructor(
    readonly source: Acceptor | Stream,
    readonly data: Data,
    readonly notify: (key: Registration<Data>) => void,
  ) {}

  accept(): Deno.TcpConn | null {
    try {
      return this.#take("accept") as Deno.TcpConn | null;
    } finally {
      this.#failure = undefined; // the next accept may succeed
    }
  }

  recv(): Uint8Array | null {
    return this.#take("receive") as Uint8Array | null;
  }

  send(bytes: Uint8Array): void {
    if (this.#unsent.length > 0) throw new TypeError(`Cannot send: ${this.#unsent.length} bytes have not left yet`);
    this.#unsent = bytes;
  }

  drained(): boolean {
    this.#check();
    return this.#unsent.length === 0;
  }

  /** Sets the events of interest. */
  watch(events: number): void {
    const possible = "accept" in this.source ? EVENT_ACCEPT : EVENT_READ | EVENT_WRITE;
    if ((events & ~possible) !== 0) throw new TypeError(`Cannot wait for events ${events}: ${possible} are possible`);
    this.events = events;
  }

  /** Begins the operations that there is interest in and that are not under way. */
  begin(): void {
    this.due = false;
    if (this.#failure !== undefined) return this.#happen(this.events);
    const receive = this.events & (EVENT_ACCEPT | EVENT_READ);
    if (receive !== 0 && !this.#receiving) {
      if (this.#arrived !== undefined) this.#happen(receive);
      else if (receive === EVENT_ACCEPT) this.#accept();
      else this.#read();
    }
    if ((this.events & EVENT_WRITE) !== 0 && !this.#sending) {
      if (this.#unsent.length === 0) this.#happen(EVENT_WRITE);
      else this.#write();
    }
  }

  /** Moves what has happened into `ready`, as far as there is still interest in it; false if there is none. */
  collect(): boolean {
    this.ready = this.#happened & this.events;
    this.#happened = 0;
    return this.ready !== 0;
  }

  /** Ends all interest. A connection that nobody can take any more is closed. */
  release(): void {
    this.events = this.ready = 0;
    this.#released = true;
    if (this.#arrived && "close" in this.#arrived) this.#arrived.close();
  }

  #accept(): void {
    this.#receiving = true;
    (this.source as Acceptor).accept().then((connection) => {
      this.#receiving = false;
      this.#arrived = connection;
      if (this.#released) connection?.close();
      this.#happen(EVENT_ACCEPT);
    }, (error) => {
      this.#receiving = false;
      this.#hasFailed(error);
    });
  }

  #read(): void {
    this.#receiving = true;
    (this.source as Stream).read(this.#nextBuffer()).then(this.#hasRead, this.#hasFailed);
  }

  #write(): void {
    this.#sending = true;
    (this.source as Stream).write(this.#unsent).then(this.#hasWritten, this.#hasFailed);
  }

  readonly #hasRead = (count: number | null): void => {
    this.#receiving = false;
    this.#filled = count ?? 0;
    this.#arrived = count === null ? null : this.#buffer.subarray(0, count);
    this.#happen(EVENT_READ);
  };

  readonly #hasWritten = (count: number): void => {
    this.#sending = false;
    this.#unsent = count === this.#unsent.length ? NOTHING : this.#unsent.subarray(count);
    this.#happen(EVENT_WRITE);
  };

  readonly #hasFailed = (error: unknown): void => {
    this.#failure = { error };
    this.#happen(this.events);
  };

  /** Larger after a full one, small again after many small reads; another one while bytes of the old are being sent. */
  #nextBuffer(): Uint8Array {
    const size = this.#buffer.length;
    this.#smallReads = this.#filled < MIN_BUFFER ? this.#smallReads + 1 : 0;
    const next = this.#filled === size
      ? Math.min(Math.max(MIN_BUFFER, size * GROWTH), MAX_BUFFER)
      : this.#smallReads >= SMALL_READS
      ? MIN_BUFFER
      : size;
    if (next !== size || this.#unsent.buffer === this.#buffer.buffer) {
      this.#buffer = next === MIN_BUFFER ? smallBuffer() : new Uint8Array(next);
    }
    return this.#buffer;
  }

  #take(what: string): Deno.TcpConn | Uint8Array | null {
    this.#check();
    const arrived = this.#arrived;
    if (arrived === undefined) throw new TypeError(`Cannot ${what}: nothing has arrived`);
    this.#arrived = undefined;
    return arrived;
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #happen(events: number): void {
    const news = events & this.events;
    if (news === 0) return;
    if (this.#happened === 0) this.notify(this);
    this.#happened |= news;
  }
}

/**
 * The records of a secure channel: a byte stream that cannot be read, changed, reordered, repeated or cut unnoticed.
 *
 * ```text
 * on the wire:  length (u16) || ciphertext || tag (16 bytes)        length: 19 to 65535, of what follows it
 * plaintext:    type (u8) || n (u16) || n bytes || zero padding     type: 0 data, 1 close, 2 padding; n is 0 but for data
 * ```
 *
 * Integers are big-endian. The nonce of a record is its number in its direction, never sent; there is no associated data.
 * After every 2^16 records of a direction its key is replaced by the next one (Noise, §4.2). The ciphers work in place in
 * buffers that are used again; nothing here waits for a cipher that does not make it wait.
 * See docs/protocols/secure_channel.md.
 * @module
 */
import { ProtocolError, TruncatedError, UsageError } from "./errors.ts";
import { nextKey } from "./noise.ts";
import { type CipherBackend, type CipherSuite, type RecordCipher, TAG_LENGTH } from "./record_cipher.ts";

/** Records under one key: after so many of a direction, the next key follows. */
export const REKEY_INTERVAL = 2 ** 16;
/** The records that one direction may ever have. */
export const MAX_RECORDS = 2 ** 48;

const LENGTH_WIDTH = 2;
const HEADER_LENGTH = 3;
const MAX_SEALED = 65535;
const MAX_PLAINTEXT = MAX_SEALED - TAG_LENGTH;
/** The most data of one record, in bytes. */
export const MAX_RECORD_DATA = MAX_PLAINTEXT - HEADER_LENGTH;
/** A record on the wire, in bytes. */
const MIN_RECORD = LENGTH_WIDTH + HEADER_LENGTH + TAG_LENGTH;
const MAX_RECORD = LENGTH_WIDTH + MAX_SEALED;
/** The records that a cipher is given at a time, and those of a batch: enough for the 256 KiB of one usual write. */
const MAX_IN_FLIGHT = 5;
/** A large buffer: so many of the longest records. */
const LARGE_BUFFER = MAX_IN_FLIGHT * MAX_RECORD;
/** A small one, for channels that say little. */
const SMALL_BUFFER = 4096;
/** Large buffers that wait for their next use, at most. */
const MAX_SPARE_BUFFERS = 8;

const DATA = 0;
const CLOSE = 1;
const PADDING = 2;

/** The plaintext of a record without data: what confirms a handshake. */
export const EMPTY_RECORD: Uint8Array = Uint8Array.of(PADDING, 0, 0);
/** Bytes of an {@linkcode EMPTY_RECORD} on the wire. */
export const EMPTY_RECORD_LENGTH: number = MIN_RECORD;

/** How the lengths of records are hidden: not, to a few lengths (at most 12 % more), or to multiples of so many bytes. */
export type Padding = "none" | "padme" | { readonly multiple: number };

/**
 * Reads `none`, `padme` or `fixed:N`, N from 16 to 32768.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(parsePadding("fixed:256"), { multiple: 256 });
 * ```
 * @throws {UsageError} if it is neither
 */
export function parsePadding(text: string): Padding {
  if (text === "none" || text === "padme") return text;
  const multiple = Number(/^fixed:(\d{2,5})$/.exec(text)?.[1]);
  if (multiple >= 16 && multiple <= 32768) return { multiple };
  throw new UsageError(`${JSON.stringify(text)} is no padding: none, padme or fixed:N with N from 16 to 32768`);
}

/** The length that a plaintext of `length` bytes is filled up to. */
function paddedLength(length: number, padding: Padding): number {
  if (padding === "none") return length;
  if (padding === "padme") return Math.min(padme(length), MAX_PLAINTEXT);
  return Math.ceil(length / padding.multiple) * padding.multiple;
}

/** Padmé (Nikitin et al., Reducing Metadata Leakage from Encrypted Files, 2019): the last bits of a length become zero. */
function padme(length: number): number {
  const exponent = 31 - Math.clz32(length);
  const zeros = exponent - (32 - Math.clz32(exponent));
  const mask = (1 << Math.max(0, zeros)) - 1;
  return (length + mask) & ~mask;
}

function maxData(padding: Padding): number {
  if (typeof padding === "string") return MAX_RECORD_DATA;
  return Math.floor(MAX_PLAINTEXT / padding.multiple) * padding.multiple - HEADER_LENGTH;
}

/** What one direction begins with. */
export interface DirectionKey {
  /** Its cipher. */
  readonly suite: CipherSuite;
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** The number of its next record. */
  readonly counter: number;
}

/** How records are made and read. */
export interface RecordOptions {
  /** What computes the ciphers. */
  readonly backend: CipherBackend;
  /** Of what is sent; default none. */
  readonly padding?: Padding;
  /** Default {@linkcode REKEY_INTERVAL}: both sides must have the same. */
  readonly rekeyInterval?: number;
}

/** The keys of one direction, one after the other. */
class KeySequence {
  readonly #suite: CipherSuite;
  readonly #backend: CipherBackend;
  readonly #interval: number;
  #key: Uint8Array;
  #cipher: RecordCipher;
  #counter: number;
  #closed = false;

  constructor({ suite, key, counter }: DirectionKey, { backend, rekeyInterval = REKEY_INTERVAL }: RecordOptions) {
    this.#suite = suite;
    this.#backend = backend;
    this.#interval = rekeyInterval;
    this.#key = key.slice();
    this.#cipher = backend.cipher(suite, key);
    this.#counter = counter;
  }

  seal(record: Uint8Array<ArrayBuffer>): void | Promise<void> {
    const counter = this.#take();
    return this.#cipher.seal(counter, record);
  }

  open(record: Uint8Array<ArrayBuffer>): Uint8Array | Promise<Uint8Array> {
    const counter = this.#take();
    return this.#cipher.open(counter, record);
  }

  /** Forgets the key; harmless when done already. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cipher.close();
    this.#key.fill(0);
  }

  /** Takes a number, which never comes again, and changes the key when its turn has come. */
  #take(): number {
    const counter = this.#counter;
    if (counter >= MAX_RECORDS) throw new ProtocolError(`Cannot go on: the channel has had ${MAX_RECORDS} records`);
    this.#counter++;
    if (counter > 0 && counter % this.#interval === 0) this.#rekey();
    return counter;
  }

  #rekey(): void {
    const key = nextKey(this.#suite, this.#key);
    this.#cipher.close();
    this.#key.fill(0);
    this.#key = key;
    this.#cipher = this.#backend.cipher(this.#suite, key);
  }
}

const spareBuffers: Uint8Array<ArrayBuffer>[] = [];

function takeBuffer(length: number): Uint8Array<ArrayBuffer> {
  return length <= SMALL_BUFFER ? new Uint8Array(SMALL_BUFFER) : spareBuffers.pop() ?? new Uint8Array(LARGE_BUFFER);
}

function giveBuffer(buffer: Uint8Array<ArrayBuffer>): void {
  if (buffer.length === LARGE_BUFFER && spareBuffers.length < MAX_SPARE_BUFFERS) spareBuffers.push(buffer);
}

/** Records that are ready, or will be, to be sent in one write. */
export interface RecordBatch {
  /** The records, one after the other. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Resolves when they are sealed; undefined: they are. */
  readonly sealed: Promise<unknown> | undefined;
}

/**
 * Turns a byte stream into records. What is appended gathers in a batch of at most 320 KiB until it is taken; a record is
 * sealed as soon as it is full.
 */
export class RecordWriter {
  readonly #keys: KeySequence;
  readonly #padding: Padding;
  readonly #maxData: number;
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #spare: Uint8Array<ArrayBuffer> | undefined; // a small one
  #start = 0; // of the record that is being filled
  #filled = 0; // bytes of data in it
  #sealing: Promise<void>[] = [];
  #state: "open" | "closed" | "failed" = "open";

  /** Begins with the key and the number of the first record. */
  constructor(key: DirectionKey, options: RecordOptions) {
    this.#keys = new KeySequence(key, options);
    this.#padding = options.padding ?? "none";
    this.#maxData = maxData(this.#padding);
  }

  /** Whether there is something to take. */
  get pending(): boolean {
    return this.#start + this.#filled > 0;
  }

  /** Whether the batch takes no more. */
  get full(): boolean {
    return this.#start + MAX_RECORD > LARGE_BUFFER;
  }

  /** Copies what fits of `bytes` into the batch, and returns how many bytes it was. */
  append(bytes: Uint8Array): number {
    if (this.#state !== "open") throw new TypeError(`Cannot write: the channel has ${this.#state}`);
    let taken = 0;
    while (taken < bytes.length && !this.full) {
      const count = Math.min(bytes.length - taken, this.#maxData - this.#filled);
      this.#reserve(this.#filled + count);
      const part = count === bytes.length ? bytes : bytes.subarray(taken, taken + count);
      this.#buffer.set(part, this.#start + LENGTH_WIDTH + HEADER_LENGTH + this.#filled);
      this.#filled += count;
      taken += count;
      if (this.#filled === this.#maxData) this.#seal(DATA);
    }
    return taken;
  }

  /** Puts the record that ends the stream into an empty batch. */
  close(): void {
    if (this.#state !== "open" || this.pending) throw new TypeError("Cannot close: the channel is not ready to");
    this.#reserve(0);
    this.#seal(CLOSE);
    this.#state = "closed";
    this.#keys.close();
  }

  /** Takes the batch, if there is one; the next begins. It is given back by {@linkcode recycle} after use. */
  take(): RecordBatch | undefined {
    if (this.#state === "failed") throw new TypeError("Cannot write: the channel has failed");
    if (this.#filled > 0) this.#seal(DATA);
    if (this.#start === 0) return undefined;
    const bytes = this.#buffer.subarray(0, this.#start);
    const sealed = this.#sealing.length === 0 ? undefined : Promise.all(this.#sealing);
    this.#buffer = this.#spare ?? new Uint8Array(0);
    this.#spare = undefined;
    this.#start = 0;
    if (sealed !== undefined) this.#sealing = [];
    return { bytes, sealed };
  }

  /** Takes back the memory of a batch that has been sent: it holds nothing but sealed records. */
  recycle({ bytes }: RecordBatch): void {
    const buffer = new Uint8Array(bytes.buffer);
    if (buffer.length === SMALL_BUFFER) this.#spare = buffer;
    else giveBuffer(buffer);
  }

  /** Forgets the key: nothing is written any more. */
  dispose(): void {
    if (this.#state === "open") this.#state = "closed";
    this.#keys.close();
  }

  /** Makes room for the record that begins at #start with `count` bytes of data; what is sealed already never moves. */
  #reserve(count: number): void {
    const length = paddedLength(HEADER_LENGTH + count, this.#padding);
    const end = this.#start + LENGTH_WIDTH + length + TAG_LENGTH;
    if (end <= this.#buffer.length) return;
    const buffer = takeBuffer(end);
    buffer.set(this.#buffer.subarray(0, this.#start + LENGTH_WIDTH + HEADER_LENGTH + this.#filled));
    this.#buffer = buffer;
  }

  #seal(type: number): void {
    const buffer = this.#buffer;
    const at = this.#start + LENGTH_WIDTH;
    const length = paddedLength(HEADER_LENGTH + this.#filled, this.#padding);
    const end = at + length + TAG_LENGTH;
    buffer[at - 2] = (length + TAG_LENGTH) >> 8;
    buffer[at - 1] = length + TAG_LENGTH; // stored modulo 256
    buffer[at] = type;
    buffer[at + 1] = this.#filled >> 8;
    buffer[at + 2] = this.#filled;
    buffer.fill(0, at + HEADER_LENGTH + this.#filled, at + length);
    const state = this.#state;
    this.#state = "failed"; // unless the cipher does its part: the number is used up
    const sealing = this.#keys.seal(buffer.subarray(at, end));
    this.#state = state;
    if (sealing !== undefined) {
      sealing.catch(() => this.#state = "failed"); // told by `sealed`
      this.#sealing.push(sealing);
    }
    this.#start = end;
    this.#filled = 0;
  }
}

/**
 * Turns records into the byte stream that they hold: received bytes go into {@linkcode space}, {@linkcode next} opens a
 * record, {@linkcode take} hands out what it held, never anything before its tag has been verified. After an error it says
 * nothing more.
 */
export class RecordReader {
  readonly #keys: KeySequence;
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(SMALL_BUFFER);
  #start = 0; // of the bytes that are not being opened yet
  #end = 0;
  #lastCount = 0; // bytes of the last read
  #data: Uint8Array = new Uint8Array(); // what can be taken
  readonly #opening: (Uint8Array | Promise<Uint8Array>)[] = []; // plaintexts of the records that are under way
  #state: "open" | "closed" | "failed" = "open";

  /** Begins with the key and the number of the first record. */
  constructor(key: DirectionKey, options: RecordOptions) {
    this.#keys = new KeySequence(key, options);
  }

  /** Whether the peer has ended its stream. */
  get closed(): boolean {
    return this.#state === "closed";
  }

  /** Where the bytes that come next are to be put: never empty. Only after {@linkcode next} wants more of them. */
  space(): Uint8Array<ArrayBuffer> {
    const waiting = this.#end - this.#start;
    const length = this.#sealedLength();
    if (LENGTH_WIDTH + length > this.#buffer.length || (this.#lastCount >= SMALL_BUFFER && !this.#isLarge)) {
      this.#move(takeBuffer(LARGE_BUFFER));
    } else if (waiting === 0 && this.#isLarge && this.#lastCount < SMALL_BUFFER) {
      this.#move(takeBuffer(SMALL_BUFFER));
    } else if (waiting === 0 || this.#end + MAX_RECORD > this.#buffer.length) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#start = 0;
      this.#end = waiting;
    }
    return this.#buffer.subarray(this.#end);
  }

  /** So many bytes were put into {@linkcode space}. */
  received(count: number): void {
    this.#end += count;
    this.#lastCount = count;
    if (this.#state === "closed") this.#refuseMore();
  }

  /**
   * Opens the next record; false if it has not arrived in full. All that was in the last one must have been taken.
   * @throws {ProtocolError} if the peer does not keep to the protocol, AuthenticationError if a record is not its own
   */
  next(): boolean | Promise<boolean> {
    if (this.#state === "failed") throw new TypeError("Cannot read: the channel has failed");
    if (this.#state === "closed") return false;
    try {
      if (this.#opening.length > 0) return this.#finishFirst();
      const plaintext = this.#begin();
      if (plaintext === undefined) return false;
      if (plaintext instanceof Promise) {
        this.#await(plaintext);
        return this.#finishFirst();
      }
      this.#accept(plaintext);
      return true;
    } catch (error) {
      this.#state = "failed";
      throw error;
    }
  }

  /** Copies what is there of the stream into `target` and returns how many bytes that is, 0 if there is nothing. */
  take(target: Uint8Array): number {
    const count = Math.min(target.length, this.#data.length);
    if (count === 0 || this.#state === "failed") return 0;
    target.set(this.#data.subarray(0, count));
    this.#data = this.#data.subarray(count);
    return count;
  }

  /**
   * The connection has ended.
   * @throws {TruncatedError} if the stream has not
   */
  end(): void {
    if (this.#state === "closed") return;
    this.#state = "failed";
    throw new TruncatedError("Cannot read on: the connection ended without a close record, so what came may be cut");
  }

  /** Forgets the key: nothing is read any more. */
  dispose(): void {
    if (this.#state === "open") this.#state = "failed";
    this.#keys.close();
  }

  get #isLarge(): boolean {
    return this.#buffer.length === LARGE_BUFFER;
  }

  #move(buffer: Uint8Array<ArrayBuffer>): void {
    buffer.set(this.#buffer.subarray(this.#start, this.#end));
    this.#leave(buffer);
    this.#end -= this.#start;
    this.#start = 0;
  }

  /** Overwrites what the buffer held, which another channel may use next, and goes on with `buffer`. */
  #leave(buffer: Uint8Array<ArrayBuffer>): void {
    this.#buffer.fill(0);
    giveBuffer(this.#buffer);
    this.#buffer = buffer;
  }

  /** The announced length of the record at #start; 0 if not even that is there. */
  #sealedLength(): number {
    return this.#end - this.#start < LENGTH_WIDTH
      ? 0
      : this.#buffer[this.#start]! * 256 + this.#buffer[this.#start + 1]!;
  }

  #isComplete(length: number): boolean {
    if (this.#end - this.#start < LENGTH_WIDTH) return false;
    if (length < MIN_RECORD - LENGTH_WIDTH) {
      throw new ProtocolError(`Cannot read a record of ${length} bytes: too short`);
    }
    return this.#end - this.#start >= LENGTH_WIDTH + length;
  }

  /** Begins to open the next record that has arrived in full. */
  #begin(): Uint8Array | Promise<Uint8Array> | undefined {
    const length = this.#sealedLength();
    if (!this.#isComplete(length)) return undefined;
    const at = this.#start + LENGTH_WIDTH;
    this.#start = at + length;
    return this.#keys.open(this.#buffer.subarray(at, at + length));
  }

  #await(plaintext: Uint8Array | Promise<Uint8Array>): void {
    if (plaintext instanceof Promise) plaintext.catch(() => {}); // told when its turn comes
    this.#opening.push(plaintext);
  }

  /** A cipher that takes its time is given more to do meanwhile: what has arrived, as much as may be under way. */
  #beginMore(): void {
    try {
      while (this.#opening.length < MAX_IN_FLIGHT) {
        const plaintext = this.#begin();
        if (plaintext === undefined) break;
        this.#await(plaintext);
      }
    } catch (error) {
      this.#await(Promise.reject(error)); // those before it are delivered first
    }
  }

  async #finishFirst(): Promise<boolean> {
    try {
      this.#beginMore();
      const plaintext = await this.#opening[0]!;
      this.#opening.shift();
      this.#accept(plaintext);
      return true;
    } catch (error) {
      this.#state = "failed";
      throw error;
    }
  }

  /** Looks at a plaintext: its tag was right. */
  #accept(plaintext: Uint8Array): void {
    const type = plaintext[0]!;
    const count = plaintext[1]! * 256 + plaintext[2]!;
    const end = HEADER_LENGTH + count;
    if (type > PADDING) throw new ProtocolError(`Cannot read a record of type ${type}: it is not known`);
    if (end > plaintext.length) throw new ProtocolError("Cannot read a record: it announces more than it holds");
    if (type !== DATA && count > 0) throw new ProtocolError(`Cannot read a record of type ${type}: it holds data`);
    for (let i = end; i < plaintext.length; i++) {
      if (plaintext[i] !== 0) throw new ProtocolError("Cannot read a record: its padding is not zero");
    }
    this.#data = plaintext.subarray(HEADER_LENGTH, end);
    if (type === CLOSE) this.#endStream();
  }

  #endStream(): void {
    this.#state = "closed";
    if (this.#start < this.#end || this.#opening.length > 0) this.#refuseMore();
    this.#keys.close();
    this.#leave(new Uint8Array(SMALL_BUFFER));
    this.#start = this.#end = 0;
  }

  #refuseMore(): never {
    this.#state = "failed";
    throw new ProtocolError("Cannot read on: bytes follow the close record");
  }
}

/**
 * JSON objects on a byte stream that marks no boundaries: written one after the other, on lines of their own, or
 * pretty-printed (RFC 8259; "concatenated JSON"). An object ends where its braces close, so no peer has to agree on anything.
 * @module
 */
import { TruncatedError } from "./errors.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";

/** The largest object unless `maxObject` says otherwise, in bytes. */
export const DEFAULT_MAX_OBJECT = 64 * 1024;
/** How many objects and arrays may be within each other unless `maxDepth` says otherwise. */
export const DEFAULT_MAX_DEPTH = 64;
/** A peer that has sent so many objects in one chunk does not wait for answers, and must find objects by itself. */
const COALESCED_OBJECTS = 3;

/** What a stream holds. */
export type JsonStreamEvent =
  /** An object, and its text as it came. */
  | { readonly type: "object"; readonly object: Record<string, unknown>; readonly text: string }
  /** From `{` to the end it is no JSON. */
  | { readonly type: "malformed" }
  /** Bytes between objects that are no white space: one event for all of them up to the next `{` or line end. */
  | { readonly type: "garbage" }
  /** An object of more bytes than the limit; told as soon as that is clear, and the rest of it is skipped. */
  | { readonly type: "too-large" }
  /** An object with more within each other than the limit; the same. */
  | { readonly type: "too-deep" }
  /** An object that is no UTF-8. */
  | { readonly type: "not-utf8" }
  /** The stream is no JSON but Python's pickle, which must never be loaded from strangers. Nothing comes after this. */
  | { readonly type: "pickle" };

/** How a stream is read. */
export interface JsonStreamOptions {
  /** The largest object, in bytes. Default {@linkcode DEFAULT_MAX_OBJECT}. */
  readonly maxObject?: number;
  /** How many objects and arrays may be within each other. Default {@linkcode DEFAULT_MAX_DEPTH}. */
  readonly maxDepth?: number;
  /** How to read an object that is no UTF-8. Default: it is a `not-utf8` event. */
  readonly fallbackEncoding?: "windows-1251";
}

const LF = 0x0a;
const CR = 0x0d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;
/** What may stand between objects: white space, commas, NUL (C strings), the bytes of a byte order mark. */
const SEPARATORS = new Set([0x20, 0x09, CR, LF, 0x2c, 0x00, 0xef, 0xbb, 0xbf]);
/** How pickled dictionaries begin: PROTO of protocols 2 to 5; `(dp` of protocol 0; `}q` of protocol 1. */
const PICKLES = [[0x80], [0x28, 0x64, 0x70], [CLOSING_BRACE, 0x71]];

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const fallbacks = { "windows-1251": new TextDecoder("windows-1251") };

/** Where in the stream the next byte is. */
type Place = "start" | "between" | "after object" | "garbage" | "given up" | "object" | "string" | "escape" | "refused";

/**
 * Finds the objects of a byte stream, however it was cut: the time is linear in the bytes, and no more than one object and
 * one chunk are ever stored. After anything that is no object it goes on with the next one.
 *
 * The bytes that matter (`{ } [ ] " \`) are never part of another character in UTF-8, so it looks at bytes and decodes whole
 * objects. A line end within a string, which JSON forbids, gives the object up: one lost quote does not swallow the
 * lines after it.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const stream = new JsonStream();
 * stream.receive(new TextEncoder().encode('{"to":"}{"}{"a'));
 * assertEquals(stream.next(), { type: "object", object: { to: "}{" }, text: '{"to":"}{"}' });
 * assertEquals(stream.next(), undefined); // needs more
 * ```
 */
export class JsonStream {
  readonly #buffer = new ReceiveBuffer();
  readonly #maxObject: number;
  readonly #maxDepth: number;
  readonly #fallback: TextDecoder | undefined;
  #place: Place = "start";
  #depth = 0; // of the next byte: 0 is between objects
  #scanned = 0; // bytes of the buffer that have been looked at
  #objectAt = 0; // where in the buffer the object begins
  #dropping = false; // the object has been told of: only its end is looked for
  #objectsInChunk = 0;
  #streams = false;

  /** Reads a stream from its beginning. */
  constructor({ maxObject, maxDepth, fallbackEncoding }: JsonStreamOptions = {}) {
    this.#maxObject = maxObject ?? DEFAULT_MAX_OBJECT;
    this.#maxDepth = maxDepth ?? DEFAULT_MAX_DEPTH;
    this.#fallback = fallbackEncoding && fallbacks[fallbackEncoding];
  }

  /**
   * Whether the peer has shown that objects may follow each other closely: it ended one with LF or CRLF, or sent three in
   * one chunk. Others may take whatever one read brings for one object.
   */
  get streams(): boolean {
    return this.#streams;
  }

  /** Bytes that are stored: at most `maxObject` once `next()` wants more. */
  get pending(): number {
    return this.#buffer.length;
  }

  /** Whether an object has begun and not ended. */
  get unfinished(): boolean {
    return this.#depth > 0;
  }

  /** Stores a copy of the chunk. */
  receive(chunk: Uint8Array): void {
    this.#objectsInChunk = 0;
    if (this.#place !== "refused") this.#buffer.receive(chunk);
  }

  /** What comes next in the stream; undefined: more bytes are needed. */
  next(): JsonStreamEvent | undefined {
    for (;;) {
      const bytes = this.#buffer.peek(this.#buffer.length)!;
      if (this.#scanned === bytes.length) break;
      const event = this.#place === "start"
        ? this.#begin(bytes)
        : this.unfinished
        ? this.#scan(bytes)
        : this.#seek(bytes);
      if (event !== undefined) return event;
      if (this.#place === "start") return undefined; // too short to know
    }
    this.#discard();
    return undefined;
  }

  /** Gives the unfinished object up; what comes before the next `{` is taken for the rest of it and not told of. */
  reset(): void {
    if (!this.unfinished) return;
    this.#leave("given up");
    this.#discard();
  }

  /**
   * Tells that the stream has ended.
   * @throws {TruncatedError} if it ended in the middle of an object
   */
  end(): void {
    if (this.unfinished) throw new TruncatedError("Cannot complete object: the stream ended in the middle of it");
  }

  /** Looks at the first bytes of all. */
  #begin(bytes: Uint8Array): JsonStreamEvent | undefined {
    const pickle = beginsAsPickle(bytes);
    if (pickle === undefined) return undefined;
    if (!pickle) return void (this.#place = "between");
    this.#place = "refused";
    this.#scanned = bytes.length;
    this.#discard();
    return { type: "pickle" };
  }

  /** Goes on to the brace that opens the next object. */
  #seek(bytes: Uint8Array): JsonStreamEvent | undefined {
    while (this.#scanned < bytes.length) {
      const byte = bytes[this.#scanned++]!;
      if (byte === OPENING_BRACE) {
        this.#place = "object";
        this.#depth = 1;
        this.#objectAt = this.#scanned - 1;
        return undefined;
      }
      if (this.#place === "given up") continue;
      if (byte === LF) {
        this.#streams ||= this.#place === "after object";
        this.#place = "between";
      } else if (this.#place !== "garbage" && !SEPARATORS.has(byte)) {
        this.#place = "garbage";
        return { type: "garbage" };
      }
    }
    return undefined;
  }

  /** Goes on to the end of the object, or to what is wrong with it. */
  #scan(bytes: Uint8Array): JsonStreamEvent | undefined {
    const limit = this.#dropping ? Infinity : this.#objectAt + this.#maxObject;
    const maxDepth = this.#dropping ? Infinity : this.#maxDepth;
    const end = Math.min(bytes.length, limit);
    let place = this.#place;
    let depth = this.#depth;
    let at = this.#scanned;
    while (at < end && depth > 0 && depth <= maxDepth && place !== "garbage") {
      const byte = bytes[at++]!;
      if (place === "string") {
        if (byte === QUOTE) place = "object";
        else if (byte === BACKSLASH) place = "escape";
        else if (byte === LF) place = "garbage";
      } else if (place === "escape") place = "string";
      else if (byte === QUOTE) place = "string";
      else if (byte === OPENING_BRACE || byte === OPENING_BRACKET) depth++;
      else if (byte === CLOSING_BRACE || byte === CLOSING_BRACKET) depth--;
    }
    this.#place = place;
    this.#depth = depth;
    this.#scanned = at;
    if (depth === 0 || place === "garbage") return this.#finish();
    if (depth > maxDepth) return this.#drop("too-deep");
    return at === limit ? this.#drop("too-large") : undefined;
  }

  /** Leaves the object, whose last byte has been looked at. */
  #finish(): JsonStreamEvent | undefined {
    const told = this.#dropping;
    const broken = this.#place === "garbage"; // by a line end
    const start = this.#objectAt;
    this.#leave(broken ? "garbage" : "after object");
    const bytes = this.#buffer.takeExactly(this.#scanned)!.subarray(start);
    this.#scanned = 0;
    this.#streams ||= ++this.#objectsInChunk >= COALESCED_OBJECTS || this.#atLineEnd();
    if (told) return undefined;
    return broken ? { type: "malformed" } : this.#parse(bytes);
  }

  /** Whether a line end follows at once and has come already; if it comes later, it is seen then. */
  #atLineEnd(): boolean {
    const [first, second] = this.#buffer.peek(Math.min(2, this.#buffer.length))!;
    return first === LF || (first === CR && second === LF);
  }

  #parse(bytes: Uint8Array): JsonStreamEvent {
    const text = decode(utf8, bytes) ?? (this.#fallback && decode(this.#fallback, bytes));
    if (text === undefined) return { type: "not-utf8" };
    try {
      return { type: "object", object: JSON.parse(text), text };
    } catch {
      return { type: "malformed" };
    }
  }

  /** Only looks for the end of the object from here on. */
  #drop(type: "too-large" | "too-deep"): JsonStreamEvent {
    this.#dropping = true;
    return { type };
  }

  #leave(place: Place): void {
    this.#place = place;
    this.#depth = 0;
    this.#objectAt = 0;
    this.#dropping = false;
  }

  /** Lets go of what has been looked at and is not needed. */
  #discard(): void {
    const count = this.unfinished && !this.#dropping ? this.#objectAt : this.#scanned;
    if (count === 0) return;
    this.#buffer.takeExactly(count);
    this.#scanned -= count;
    this.#objectAt = 0;
  }
}

/** Whether a stream begins with a pickled dictionary; undefined: it is too short to know. */
function beginsAsPickle(bytes: Uint8Array): boolean | undefined {
  const candidates = PICKLES.filter((pickle) => pickle.every((byte, i) => (bytes[i] ?? byte) === byte));
  if (candidates.length === 0) return false;
  return candidates.some((pickle) => pickle.length <= bytes.length) ? true : undefined;
}

function decode(decoder: TextDecoder, bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

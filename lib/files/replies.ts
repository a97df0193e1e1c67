/**
 * The replies of the file server: `NNN text`, and `NNN-text` for the lines of one reply before its last (RFC 959 §4.2 has the
 * form). The first digit says it all: 1 under way, 2 done, 3 partly there, 4 try again later, 5 never.
 * @module
 */
import { decodeText } from "../bytes.ts";
import { ProtocolError } from "../errors.ts";
import { ReceiveBuffer } from "../receive_buffer.ts";
import { quote, unquote } from "./quoting.ts";

/** Every code by its meaning. */
export const CODE = {
  /** Still at work: hashing. */
  working: 102,
  /** So much of the body has come. */
  progress: 110,
  /** The body may be sent, or follows. */
  body: 150,
  ok: 200,
  list: 212,
  /** The file is complete. */
  complete: 213,
  help: 214,
  hello: 220,
  bye: 221,
  /** The transfer is done. */
  done: 226,
  /** A part of the file is there. */
  partial: 350,
  /** Too many clients, idle for too long, the server stops: the connection ends. */
  unavailable: 421,
  /** The transfer was broken off. */
  broken: 426,
  /** Another connection is at it. */
  busy: 450,
  /** The server's own system failed. */
  failed: 451,
  /** No space. */
  full: 452,
  unknown: 500,
  badArguments: 501,
  missing: 550,
  tooLarge: 552,
  badName: 553,
  /** The offset or the source is another than what is there. */
  differentSource: 554,
  exists: 555,
  /** The digest of the first bytes is another. */
  differentPrefix: 556,
  /** The digest of the whole is another. */
  corrupt: 557,
} as const;

/** The longest line of a reply, its end included, in bytes: an ECHO of the longest command line fits. */
export const MAX_REPLY_LENGTH = 8192;

/** One line of a reply. */
export interface ReplyLine {
  /** One of {@linkcode CODE}. */
  readonly code: number;
  /** What follows it. */
  readonly text: string;
  /** Whether another line of the same reply follows. */
  readonly more: boolean;
}

/** The line of a reply, CRLF included. */
export function formatReply(code: number, text: string, more = false): string {
  return `${code}${more ? "-" : " "}${text}\r\n`;
}

/**
 * Turns the chunks of a server's byte stream into the lines of replies, and gives the raw bytes between them on demand.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const reader = new ReplyReader();
 * reader.receive(new TextEncoder().encode("212-5\r\n212 1 files\r\nbody"));
 * assertEquals(reader.next(), { code: 212, text: "5", more: true });
 * assertEquals(reader.next(), { code: 212, text: "1 files", more: false });
 * assertEquals(reader.takeBody(3).length, 3);
 * ```
 */
export class ReplyReader {
  readonly #buffer = new ReceiveBuffer();
  #inside: number | undefined; // the code of the reply whose last line has not come

  /** Bytes that have come and were not taken. */
  get pending(): number {
    return this.#buffer.length;
  }

  /** Stores a copy of the chunk. */
  receive(chunk: Uint8Array): void {
    this.#buffer.receive(chunk);
  }

  /**
   * The next line, or undefined: more bytes are needed.
   * @throws {ProtocolError} if it is no line of a reply, or longer than {@linkcode MAX_REPLY_LENGTH}
   */
  next(): ReplyLine | undefined {
    const bytes = this.#buffer.takeLine(MAX_REPLY_LENGTH - 1);
    if (bytes === undefined) return undefined;
    const [, digits, mark, text] = /^([1-5][0-9]{2})([ -])(.*)$/s.exec(decodeText(bytes)) ?? [];
    const code = Number(digits);
    if (text === undefined || (this.#inside ?? code) !== code) {
      throw new ProtocolError("Cannot read the reply: no code");
    }
    const more = mark === "-";
    this.#inside = more ? code : undefined;
    return { code, text, more };
  }

  /** Takes what has come of a body, up to `count` bytes. */
  takeBody(count: number): Uint8Array {
    return this.#buffer.takeAtMost(count);
  }
}

// --- Texts that programs read --------------------------------------------------------------------------------------

/** How a value of a kind is written: a pattern for the reader, a text for the writer. */
export interface Kind<T> {
  /** The source of a regular expression. */
  readonly pattern: string;
  /** The value of a text that matches. */
  readonly parse: (text: string) => T;
  /** The text of a value. */
  readonly format: (value: T) => string;
}

const bytes: Kind<number> = {
  pattern: "[0-9]{1,16}",
  parse: (text) => {
    if (Number.isSafeInteger(Number(text))) return Number(text);
    throw new ProtocolError("Cannot read the reply: a number is too large");
  },
  format: String,
};
/** `-`: not known. */
const digest: Kind<string | undefined> = {
  pattern: "[0-9a-f]{64}|-",
  parse: (text) => text === "-" ? undefined : text,
  format: (value) => value ?? "-",
};
const date: Kind<number> = {
  pattern: "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{12}Z",
  parse: (text) => Date.parse(text),
  format: (ms) => new Date(ms).toISOString(),
};
const id: Kind<string> = { pattern: "[0-9a-f]{16}", parse: (text) => text, format: (text) => text };
const name: Kind<string> = {
  pattern: '"(?:[^"\\\\]|\\\\["\\\\])*"',
  parse: (text) => unquote(text.slice(1, -1)),
  format: quote,
};

/** What may stand in a place, by the place's name. */
export const KINDS = {
  /** Of the whole file, in bytes. */
  size: bytes,
  /** Where in the file, in bytes from its beginning. */
  offset: bytes,
  /** Bytes of the body. */
  count: bytes,
  /** What a power failure would leave, in bytes from the file's beginning. */
  durable: bytes,
  /** What has come, in bytes from the file's beginning. */
  received: bytes,
  /** When the file was last changed, in ms since 1970. */
  mtime: bytes,
  /** The same for people: `2026-11-21T00:17:28.123Z`. */
  changed: date,
  percent: bytes,
  /** The digest of the first bytes, 64 hex digits. */
  prefix: digest,
  /** The digest of the whole file, 64 hex digits. */
  sha256: digest,
  /** Of an upload under way, 16 hex digits. */
  id,
  name,
};
/** The kinds of values by the names of their places. */
export type Kinds = typeof KINDS;
/** The names of a template's places. */
export type FieldsIn<Template extends string> = Template extends `${string}{${infer Name}}${infer Rest}`
  ? (Name extends keyof Kinds ? Name : never) | FieldsIn<Rest>
  : never;
/** The values that stand in a template's places. */
export type ReplyFields<Template extends string> = {
  readonly [Name in FieldsIn<Template>]: Kinds[Name] extends Kind<infer Value> ? Value : never;
};

/** A text of a reply with places `{size}` for values, as writer and as reader. */
export class ReplyText<const Template extends string> {
  readonly #template: Template;
  readonly #pattern: RegExp;

  /** Text after the template's end is free. */
  constructor(template: Template) {
    this.#template = template;
    const pattern = template.replace(/\{(\w+)\}/g, (_, name: keyof Kinds) => `(?<${name}>${KINDS[name].pattern})`);
    this.#pattern = new RegExp(`^${pattern}(?: |$)`, "su");
  }

  /** The text with these values. */
  format(values: ReplyFields<Template>): string {
    const given = values as Record<string, never>;
    return this.#template.replace(/\{(\w+)\}/g, (_, name: keyof Kinds) => KINDS[name].format(given[name]!));
  }

  /**
   * The values of a text.
   * @throws {ProtocolError} if it does not fit
   */
  parse(text: string): ReplyFields<Template> {
    const groups = this.#pattern.exec(text)?.groups;
    if (groups === undefined) throw new ProtocolError(`Cannot read the reply: it is not "${this.#template}"`);
    const values = Object.entries(groups).map(([name, value]) => [name, KINDS[name as keyof Kinds].parse(value)]);
    return Object.fromEntries(values);
  }
}

/** 102: hashing a file that is long. */
export const WORKING: ReplyText<"hashing {percent} %"> = new ReplyText("hashing {percent} %");
/** 110: what of an upload has come. */
export const PROGRESS: ReplyText<"{durable} received={received}"> = new ReplyText("{durable} received={received}");
/** 150 of UPLOAD: send the body. */
export const SEND: ReplyText<"send {count} from {offset} id={id}"> = new ReplyText(
  "send {count} from {offset} id={id}",
);
/** 150 of DOWNLOAD: the body follows. */
export const FOLLOWS: ReplyText<"{count} {offset} {size} sha256={sha256} mtime={mtime} {name}"> = new ReplyText(
  "{count} {offset} {size} sha256={sha256} mtime={mtime} {name}",
);
/** 212: one file. */
export const LISTED: ReplyText<"{size} {changed} {sha256} {name}"> = new ReplyText("{size} {changed} {sha256} {name}");
/** 212 of LIST PARTIAL: one upload that is not complete; `changed` is when its last byte came. */
export const LISTED_PARTIAL: ReplyText<"{offset} of {size} {changed} id={id} {name}"> = new ReplyText(
  "{offset} of {size} {changed} id={id} {name}",
);
/** 213 of STAT and UPLOAD. */
export const COMPLETE: ReplyText<"complete {size} sha256={sha256} {name}"> = new ReplyText(
  "complete {size} sha256={sha256} {name}",
);
/** 213 of HASH. */
export const HASHED: ReplyText<"{offset} sha256={sha256}"> = new ReplyText("{offset} sha256={sha256}");
/** 226 of UPLOAD: verified, and durable. */
export const STORED: ReplyText<"stored {size} sha256={sha256}"> = new ReplyText("stored {size} sha256={sha256}");
/** 226 of DOWNLOAD; the digest is that of the whole file, `-` unless it was sent to its end. */
export const SENT: ReplyText<"sent {count} sha256={sha256}"> = new ReplyText("sent {count} sha256={sha256}");
/** 350: a part is there. */
export const PARTIAL: ReplyText<"partial {offset} of {size} prefix={prefix} id={id}"> = new ReplyText(
  "partial {offset} of {size} prefix={prefix} id={id}",
);
/** 554 of UPLOAD: another offset is right. */
export const OTHER_OFFSET: ReplyText<"offset {offset} prefix={prefix}"> = new ReplyText(
  "offset {offset} prefix={prefix}",
);

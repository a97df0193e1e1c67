/**
 * What a client says to the file server: lines that are commands, bodies between them, and what telnet mixes in.
 * @module
 */
import { encodeText } from "../bytes.ts";
import { FrameTooLargeError } from "../errors.ts";
import { ReceiveBuffer } from "../receive_buffer.ts";
import { TelnetFilter } from "../telnet.ts";
import { type Command, CommandError, CONTROL, MAX_LINE_LENGTH, parseCommand } from "./commands.ts";
import { CODE } from "./replies.ts";

/** What a line was. */
export type LineEvent =
  | { readonly type: "command"; readonly command: Command }
  /** The digest that follows a body: 64 lower-case hex digits. */
  | { readonly type: "digest"; readonly sha256: string }
  /** No command: the reply, and whether the connection must end since nobody knows where the next line begins. */
  | { readonly type: "refused"; readonly code: number; readonly text: string; readonly ends: boolean };

const LF = 0x0a;
/** The keys that take a character back: BACKSPACE and DELETE. */
const TAKE_BACK = new Set(["\b", "\x7f"]);

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Turns the chunks of a client's byte stream into commands; after {@linkcode expectBody} into the bytes of a body.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const reader = new CommandReader();
 * reader.receive(new TextEncoder().encode("UPLOAD a 4\r\nbodyTIME\n"));
 * assertEquals(reader.next(), { type: "command", command: { verb: "UPLOAD", name: "a", size: 4 } });
 * reader.expectBody(4);
 * assertEquals(reader.takeBody().length, 4);
 * assertEquals(reader.next(), { type: "command", command: { verb: "TIME" } });
 * ```
 */
export class CommandReader {
  readonly #arrived = new ReceiveBuffer(); // as it came
  readonly #line = new ReceiveBuffer(); // without telnet's commands
  readonly #telnet = new TelnetFilter();
  #bodyLeft = 0;
  #digestFollows = false;
  #ended = false;

  /** Bytes of the body that have not been taken or passed. */
  get bodyLeft(): number {
    return this.#bodyLeft;
  }

  /** Whether a digest comes after the body. */
  get digestFollows(): boolean {
    return this.#digestFollows;
  }

  /** Whether a line has begun and not ended. */
  get isInLine(): boolean {
    return this.#line.length > 0;
  }

  /** Bytes that have come and are not understood yet: less than a line once `next()` wants more. */
  get pending(): number {
    return this.#arrived.length + this.#line.length;
  }

  /** Stores a copy of the chunk. */
  receive(chunk: Uint8Array): void {
    if (!this.#ended) this.#arrived.receive(chunk);
  }

  /** What comes next is a body of `count` bytes, then, if wanted, its digest as a line of 64 hex digits. */
  expectBody(count: number, { digestFollows = false }: { readonly digestFollows?: boolean } = {}): void {
    this.#bodyLeft = count;
    this.#digestFollows = digestFollows;
  }

  /** Takes what has come of the body. */
  takeBody(): Uint8Array {
    const bytes = this.#arrived.takeAtMost(this.#bodyLeft);
    this.#bodyLeft -= bytes.length;
    return bytes;
  }

  /** Tells that `count` bytes of the body went past this reader, after `takeBody()` has come to the end of what it had. */
  passBody(count: number): void {
    this.#bodyLeft -= count;
  }

  /** Takes what the user's telnet waits for. */
  takeAnswers(): Uint8Array {
    return this.#telnet.takeAnswers();
  }

  /** What the next line is, or undefined: more bytes are needed, or the connection must end. Never within a body. */
  next(): LineEvent | undefined {
    if (this.#ended || this.#bodyLeft > 0) return undefined;
    try {
      const line = this.#nextLine();
      return line && this.#understand(editLine(line));
    } catch (error) {
      return this.#refuse(error);
    }
  }

  /** The next line without telnet's commands; bytes after it are left as they came, since they may be a body. */
  #nextLine(): Uint8Array | undefined {
    while (this.#arrived.length > 0) {
      const arrived = this.#arrived.peek(this.#arrived.length)!;
      const end = arrived.indexOf(LF);
      this.#line.receive(this.#telnet.receive(this.#arrived.takeAtMost(end === -1 ? arrived.length : end + 1)));
      const line = this.#line.takeLine(MAX_LINE_LENGTH - 1);
      if (line !== undefined) return line;
    }
    return undefined;
  }

  #understand(line: string): LineEvent {
    if (!this.#digestFollows) return { type: "command", command: parseCommand(line) };
    this.#digestFollows = false;
    const digest = line.trim().toLowerCase();
    if (!/^[0-9a-f]{64}$/.test(digest)) {
      throw new CommandError(CODE.badArguments, "after the body comes its SHA-256 as 64 hex digits");
    }
    return { type: "digest", sha256: digest };
  }

  #refuse(error: unknown): LineEvent {
    if (error instanceof CommandError) {
      this.#ended = error.bodyFollows;
      return { type: "refused", code: error.code, text: error.message, ends: error.bodyFollows };
    }
    if (!(error instanceof FrameTooLargeError)) throw error;
    this.#ended = true;
    return {
      type: "refused",
      code: CODE.unknown,
      text: `line too long: limit is ${MAX_LINE_LENGTH} bytes`,
      ends: true,
    };
  }
}

/** The line's text, after the keys that take characters back. */
function editLine(bytes: Uint8Array): string {
  let line;
  try {
    line = utf8.decode(bytes);
  } catch {
    throw new CommandError(CODE.unknown, "bad characters: a line is UTF-8");
  }
  const kept: string[] = [];
  for (const character of line) {
    if (TAKE_BACK.has(character)) kept.pop();
    else kept.push(character);
  }
  const edited = kept.join("");
  if (CONTROL.test(edited)) throw new CommandError(CODE.unknown, "bad characters: a line has no controls");
  return edited;
}

/** The bytes of a line, CRLF included. */
export function encodeLine(line: string): Uint8Array<ArrayBuffer> {
  return encodeText(`${line}\r\n`);
}

/**
 * A talk by turns: one side opens, the other answers, and so on; `q` or `Q` alone ends it. See docs/protocols/chat.md.
 *
 * Layout of a message: `text (UTF-8) || LF`, where CRLF is taken for LF; raw: just the text, as one write or datagram.
 * @module
 */
import { concat } from "@std/bytes";
import { encodeText, withoutLineEnd } from "./bytes.ts";
import { MAX_DATAGRAM } from "./datagram.ts";
import { TruncatedError, UsageError } from "./errors.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";
import { TelnetFilter } from "./telnet.ts";

/** The longest message, in bytes: over TCP it is the same as over UDP. */
export const MAX_MESSAGE: number = MAX_DATAGRAM;
/** The message that ends a talk. */
export const GOODBYE: Uint8Array = encodeText("q");

const LF = Uint8Array.of(0x0a);

/** Whether a message ends the talk: `q` or `Q` and nothing else, with or without a line end. */
export function isGoodbye(message: Uint8Array): boolean {
  const text = withoutLineEnd(message);
  return text.length === 1 && (text[0]! | 0x20) === GOODBYE[0];
}

/** What the other side has said. */
export type ChatEvent =
  | { readonly type: "message"; readonly text: Uint8Array }
  | { readonly type: "goodbye" };

/** How a talk goes. */
export interface TalkOptions {
  /** Whether we speak first. */
  readonly opens: boolean;
  /** Each chunk received is one message and nothing is appended to what is said. Default: messages are lines. */
  readonly raw?: boolean;
  /** Each chunk received is a whole datagram: its end ends the last line. Default: chunks of a stream. */
  readonly datagrams?: boolean;
}

/**
 * One side of a talk.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const talk = new Talk({ opens: false });
 * talk.receive(new TextEncoder().encode("hello\r\nq\n"));
 * assertEquals(talk.next(), { type: "message", text: new TextEncoder().encode("hello") });
 * assertEquals(talk.ourTurn, true);
 * assertEquals(talk.next(), { type: "goodbye" });
 * ```
 */
export class Talk {
  readonly #options: TalkOptions;
  readonly #telnet = new TelnetFilter();
  readonly #lines = new ReceiveBuffer();
  readonly #rawMessages: Uint8Array[] = [];
  #turns: number;
  #goodbyeSaid = false;
  #goodbyeHeard = false;
  #ended = false;

  /** Begins a talk. */
  constructor(options: TalkOptions) {
    this.#options = options;
    this.#turns = options.opens ? 1 : 0;
  }

  /** Whether something heard is not answered yet, or we open the talk. Both sides may speak out of turn all the same. */
  get ourTurn(): boolean {
    return this.#turns > 0;
  }

  /** Whether one side has said goodbye, or the stream has ended. */
  get over(): boolean {
    return this.#goodbyeSaid || this.#goodbyeHeard || this.#ended;
  }

  /** The beginning of a line that has not ended yet. */
  get unfinished(): Uint8Array {
    return this.#lines.peek(this.#lines.length)!;
  }

  /** Stores what has arrived. */
  receive(chunk: Uint8Array): void {
    const { raw, datagrams } = this.#options;
    if (raw) return void this.#rawMessages.push(withoutLineEnd(chunk).slice());
    this.#lines.receive(datagrams ? chunk : this.#telnet.receive(chunk));
    if (datagrams && chunk.at(-1) !== LF[0]) this.#lines.receive(LF);
  }

  /**
   * What the other side has said next, or undefined: more bytes are needed, or it has said goodbye. After our own goodbye
   * it may still bring what was said before that arrived.
   * @throws {FrameTooLargeError} if a line is longer than {@linkcode MAX_MESSAGE}; then every time
   */
  next(): ChatEvent | undefined {
    if (this.#goodbyeHeard) return undefined;
    const text = this.#options.raw ? this.#rawMessages.shift() : this.#lines.takeLine(MAX_MESSAGE);
    if (text === undefined && !this.#telnet.interrupted) return undefined;
    if (text === undefined || isGoodbye(text)) {
      this.#goodbyeHeard = true;
      return { type: "goodbye" };
    }
    this.#turns++;
    return { type: "message", text };
  }

  /**
   * Tells that nothing more comes: the stream has ended.
   * @throws {TruncatedError} if it ended in the middle of a line, or before the answer to us, who opened the talk
   */
  end(): void {
    if (this.over) return;
    this.#ended = true;
    const { length } = this.#lines;
    if (length > 0) {
      throw new TruncatedError(`Cannot complete a line: the other side closed the talk after ${length} bytes`);
    }
    if (this.#options.opens && !this.ourTurn) {
      throw new TruncatedError("Cannot get an answer: the other side closed the talk before it");
    }
  }

  /**
   * The bytes that say `text`; of an empty raw message there are none on a stream, and nothing is said. It answers one
   * message, or with `all` whatever was heard.
   * @throws {UsageError} if they are more than {@linkcode MAX_MESSAGE}
   */
  say(text: Uint8Array, { all = false }: { readonly all?: boolean } = {}): Uint8Array {
    const { raw, datagrams } = this.#options;
    const bytes = raw ? text : concat([text, LF]);
    if (bytes.length > MAX_MESSAGE) {
      throw new UsageError(`a message of ${bytes.length} bytes is too long: limit is ${MAX_MESSAGE} bytes`);
    }
    if (bytes.length === 0 && !datagrams) return bytes;
    this.#goodbyeSaid ||= isGoodbye(text);
    this.#turns = all ? 0 : Math.max(0, this.#turns - 1);
    return bytes;
  }
}

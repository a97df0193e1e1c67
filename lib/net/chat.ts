/**
 * A talk at a terminal: shows what the other side says, sends what is typed.
 * @module
 */
import { GOODBYE, Talk, type TalkOptions } from "../chat.ts";
import { UsageError } from "../errors.ts";
import type { ProgramPath } from "../programs.ts";
import { printableBytes } from "../text.ts";
import { flag, stopSignal } from "./cli.ts";
import { notice, printReply } from "./client.ts";
import { attempt, AttemptError } from "./failure.ts";
import type { Log } from "./log.ts";
import type { ServerContext } from "./server.ts";
import { Terminal } from "./terminal.ts";
import { Condition, withDeadline } from "./timing.ts";

/** The option of all four programs. */
export const RAW_OPTION = { raw: flag({ help: "one read is one message, and nothing is appended to one" }) };

/** How long a client that has closed its side, having spoken last, is given for our answer, in ms. */
const LAST_WORD_MS = 10_000;

/** One talk. */
export interface ChatOptions extends TalkOptions {
  /** The other side's address. */
  readonly peer: string;
  readonly terminal: Terminal;
  /** Sends bytes to the other side: all of them, or one datagram. */
  readonly send: (bytes: Uint8Array) => Promise<void>;
  /** Shows what the other side says. */
  readonly show: (text: Uint8Array) => void | Promise<void>;
  /** Tells what happens: that the other side has left. */
  readonly tell: (what: string) => void;
  /** Ends the talk with a goodbye. */
  readonly signal: AbortSignal;
  /** How long a piped line waits for its turn, in ms; 0 (default): as long as it takes. */
  readonly timeout?: number;
}

/** A talk, the terminal where it is held and the way to the other side. */
export class Chat implements Disposable {
  readonly #options: ChatOptions;
  readonly #talk: Talk;
  readonly #finished = new AbortController(); // no line is wanted any more
  readonly #turned = new Condition();
  #closed = false;

  /** Begins a talk. */
  constructor(options: ChatOptions) {
    this.#options = options;
    this.#talk = new Talk(options);
    options.signal.addEventListener("abort", this.#finish);
    if (options.signal.aborted) this.#finish();
    this.#update();
  }

  /** The other side's address. */
  get peer(): string {
    return this.#options.peer;
  }

  /** Whether one side has said goodbye or left. */
  get over(): boolean {
    return this.#closed || this.#talk.over;
  }

  /** Shows what has arrived. Resolves to whether more may come: not after the other side's goodbye. */
  async hear(chunk: Uint8Array): Promise<boolean> {
    const { show, tell } = this.#options;
    this.#talk.receive(chunk);
    for (let event; (event = this.#talk.next()) !== undefined;) {
      if (event.type === "message") {
        await show(event.text);
      } else {
        tell("said goodbye");
        this.#finish();
        return false;
      }
    }
    this.#update();
    return true;
  }

  /**
   * Sends what is typed until the talk is over: a person's lines at once, a pipe's each in its turn. The end of input and
   * the signal are a goodbye.
   * @throws {AttemptError} if sending fails, a piped line is too long, or its turn does not come in time
   */
  async speak(): Promise<void> {
    const { terminal, send, tell } = this.#options;
    while (!this.over) {
      if (!terminal.interactive) await this.#turn();
      await terminal.ready(this.#finished.signal);
      if (this.over) return; // a line that is ready now is for the next one
      const line = this.#finished.signal.aborted ? GOODBYE : terminal.take() ?? GOODBYE;
      try {
        await attempt("send a line", () => send(this.#talk.say(line, { all: terminal.interactive })));
      } catch (error) {
        const refused = error instanceof AttemptError && error.cause instanceof UsageError ? error.cause : undefined;
        if (refused === undefined || !terminal.interactive) throw error;
        tell(`not sent: ${refused.message}`);
      }
      this.#update();
    }
  }

  /**
   * Ends the talk after the other side has closed the stream. A client that has spoken last may have closed its side only
   * (a half-close) and still wait for the answer.
   * @throws {TruncatedError} as {@linkcode Talk.end} does
   */
  async leave(): Promise<void> {
    const { opens, show, tell } = this.#options;
    const { unfinished, ourTurn } = this.#talk;
    if (unfinished.length > 0) await show(unfinished);
    else if (!opens && ourTurn && !this.over) {
      tell("closed its side: it can still get an answer");
      await withDeadline(LAST_WORD_MS, this.#until(() => !this.#talk.ourTurn)).catch(() => {});
    }
    this.#finish();
    const left = !this.over;
    this.#talk.end();
    if (left) tell("left");
  }

  /** Ends the talk without a word. */
  close(): void {
    this.#closed = true;
    this.#options.signal.removeEventListener("abort", this.#finish);
    this.#finish();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  readonly #finish = (): void => {
    this.#finished.abort();
    this.#turned.notify();
  };

  /** Lets a piped line go on when its turn has come, and shows a person whose turn it is. */
  #update(): void {
    this.#turned.notify();
    if (!this.over) this.#options.terminal.prompt(this.#talk.ourTurn ? `to ${this.peer}> ` : `${this.peer}'s turn> `);
  }

  async #turn(): Promise<void> {
    const { send, timeout = 0 } = this.#options;
    const turn = this.#until(() => this.#talk.ourTurn);
    try {
      await attempt("wait for an answer", () => withDeadline(timeout, turn));
    } catch (error) {
      await send(this.#talk.say(GOODBYE));
      throw error;
    }
  }

  /** Resolves when the condition holds, or no line is wanted any more. */
  async #until(condition: () => boolean): Promise<void> {
    while (!condition() && !this.#finished.signal.aborted) await this.#turned.wait();
  }
}

/** What a talk takes at one end. */
type ChatEnd = Pick<ChatOptions, "opens" | "peer" | "terminal" | "signal" | "show" | "tell">;

/** The client's end of a talk with the server `peer`. */
export function visit(path: ProgramPath, peer: string, terminal: Terminal): ChatEnd {
  return {
    opens: true,
    peer,
    terminal,
    signal: stopSignal(),
    show: (text) => terminal.above(() => printReply(text)),
    tell: (what) => terminal.above(() => notice(path, `${peer} ${what}`)),
  };
}

/** The person or the pipe at a server's end, who talks with one client after the other. */
export class Operator implements Disposable {
  /** Aborted when the server is to stop: by a signal, or by the person's end of input. */
  readonly signal: AbortSignal;
  readonly #terminal: Terminal;
  readonly #log: Log;
  #met = new AbortController();

  private constructor(terminal: Terminal, { log, signal }: ServerContext) {
    this.signal = AbortSignal.any([signal, terminal.left]);
    this.#terminal = terminal;
    this.#log = log;
    log.around = (print) => terminal.above(print);
    this.wait();
  }

  /** Seats an operator at the program's terminal. */
  static async open(context: ServerContext): Promise<Operator> {
    return new Operator(await Terminal.open(), context);
  }

  /** Turns to a client: its end of a talk. */
  meet(peer: string): ChatEnd {
    this.#met.abort();
    this.#log.write("info", "is here", peer);
    return {
      opens: false,
      peer,
      terminal: this.#terminal,
      signal: this.signal,
      show: (text) => this.#log.print(`${peer} ${printableBytes(text)}`),
      tell: (what) => this.#log.write("info", what, peer),
    };
  }

  /** Nobody is there until the next {@linkcode meet}: a person who types is told so, a pipe's lines stay in it. */
  wait(): void {
    this.#met = new AbortController();
    if (this.#terminal.interactive) this.#answerNobody();
  }

  async #answerNobody(): Promise<void> {
    const { signal } = this.#met;
    for (;;) {
      this.#terminal.prompt("nobody is here> ");
      await this.#terminal.ready(signal);
      if (signal.aborted || this.#terminal.take() === null) return;
      this.#log.write("warn", "not sent: nobody is here");
    }
  }

  [Symbol.dispose](): void {
    this.#terminal[Symbol.dispose]();
  }
}

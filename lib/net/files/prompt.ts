/**
 * The person in front of the files client: a prompt with history and completion, and a question when a transfer is stuck.
 * Without a terminal the commands are the lines of a pipe, and nobody is asked.
 * @module
 */
import { decodeText, encodeText } from "../../bytes.ts";
import { candidatesFor, completionOf, WORDS } from "../../files/client_commands.ts";
import { CODE, LISTED } from "../../files/replies.ts";
import { hasPerson, Terminal } from "../terminal.ts";
import { type Dialer, whyLost } from "./link.ts";
import type { Decision } from "./transfer.ts";

/** How often the server is asked whether it is there while the user thinks, in ms; it has the rest of the time-out to answer. */
const HEARTBEAT_MS = 10_000;
/** The most of the time-out that passes before it is asked. */
const HEARTBEAT_SHARE = 0.4;
/** The words that end the prompt, or explain it. */
const PROMPT_WORDS = ["help", "quit", "exit", "close"];
const DECISIONS: readonly Decision[] = ["retry", "keep", "discard"];

/** Who types, if anybody does. */
export class Prompt implements Disposable {
  readonly #dialer: Dialer;
  readonly #texts: readonly string[];
  readonly #signal: AbortSignal;
  #terminal: Terminal | undefined;
  #hasStatus = false;
  #isIdle = false; // no command is under way
  readonly #early: Uint8Array[] = []; // lines that nobody has taken when a question came

  /** `texts` stand in place of what would be typed. */
  constructor(dialer: Dialer, { texts, signal }: { texts: readonly string[]; signal: AbortSignal }) {
    this.#dialer = dialer;
    this.#texts = texts;
    this.#signal = signal;
  }

  [Symbol.dispose](): void {
    this.#terminal?.[Symbol.dispose]();
  }

  /** Whether there is somebody to ask, who types the commands. */
  get hasPerson(): boolean {
    return this.#texts.length === 0 && hasPerson();
  }

  /** Where somebody types, unless he has ended that. */
  get #line(): Terminal | undefined {
    return this.#terminal?.interactive && !this.#terminal.left.aborted ? this.#terminal : undefined;
  }

  /** Runs `print`, which writes whole lines, so that they appear above the line where the user types. */
  tell<T>(print: () => T): T {
    if (this.#line !== undefined) return this.#line.above(print);
    this.status(undefined);
    return print();
  }

  /** Shows how something goes, before what the user types meanwhile; undefined: it is over. */
  status(text: string | undefined): void {
    if (this.#line !== undefined) this.#line.prompt(text === undefined ? "" : `${text} `);
    else if (text !== undefined || this.#hasStatus) Deno.stderr.writeSync(encodeText(`\r${text ?? ""}\x1b[K`));
    this.#hasStatus = text !== undefined;
  }

  /** The next line; null at the end of input, or when the program is to end. */
  async next(): Promise<string | null> {
    const early = this.#early.shift();
    if (early !== undefined) return decodeText(early);
    const terminal = await this.#open();
    terminal.prompt(`files ${this.#dialer.options.hostname}> `);
    this.#isIdle = true;
    try {
      return await this.#nextOf(terminal);
    } finally {
      this.#isIdle = false;
    }
  }

  async #nextOf(terminal: Terminal): Promise<string | null> {
    for (;;) {
      const pause = AbortSignal.timeout(this.#heartbeat);
      await terminal.ready(AbortSignal.any([this.#signal, pause]));
      const line = terminal.take();
      if (line !== null) return decodeText(line);
      if (this.#signal.aborted || terminal.left.aborted || !pause.aborted) return null;
      await this.#beat();
    }
  }

  /** Asks what is to become of a transfer; where nobody can answer, what has come is kept. */
  async decide(question: string): Promise<Decision> {
    if (!this.hasPerson || this.#signal.aborted) return "keep";
    const terminal = await this.#open();
    await this.#setAside(terminal);
    for (;;) {
      terminal.prompt(question);
      await terminal.ready(this.#signal);
      const line = terminal.take();
      if (line === null) return "keep";
      terminal.prompt(""); // the question has its answer, and both stay on the screen
      const word = decodeText(line).trim().toLowerCase();
      const decision = DECISIONS.find((decision) => word !== "" && decision.startsWith(word));
      if (decision !== undefined) return decision;
    }
  }

  /** Lines that were typed before a question are commands to come, not its answer. */
  async #setAside(terminal: Terminal): Promise<void> {
    for (;;) {
      await terminal.ready(AbortSignal.timeout(0));
      const line = terminal.take();
      if (line === null) return;
      this.#early.push(line);
    }
  }

  get #heartbeat(): number {
    const { timeout } = this.#dialer.options;
    return timeout === 0 ? HEARTBEAT_MS : Math.min(HEARTBEAT_MS, HEARTBEAT_SHARE * timeout);
  }

  async #open(): Promise<Terminal> {
    return this.#terminal ??= await Terminal.open(this.#texts, { complete: (line) => this.#complete(line) });
  }

  /** Finds out between commands whether the link is dead. */
  async #beat(): Promise<void> {
    const { timeout } = this.#dialer.options;
    try {
      await this.#dialer.beat(timeout === 0 ? 0 : timeout - this.#heartbeat);
    } catch (error) {
      this.#dialer.drop();
      this.tell(() => console.error(`files: link lost: ${whyLost(error)}: the next command makes a new one`));
    }
  }

  async #complete(line: string): Promise<readonly [string[], string]> {
    const { kind, end, word } = completionOf(line);
    if (kind === "verb") {
      const words = [...Object.keys(WORDS), ...PROMPT_WORDS].filter((name) => name.startsWith(word));
      return [words.map((name) => `${name} `), end];
    }
    const names = kind === "local" ? listLocal(word) : kind === "remote" ? await this.#listRemote() : [];
    return [candidatesFor(word, names), end];
  }

  /** The names there; none while a command is under way, for the server would answer in the middle of it, or after it. */
  async #listRemote(): Promise<string[]> {
    if (!this.#isIdle) return [];
    const { code, lines } = await this.#dialer.ask({ verb: "LIST" });
    return code === CODE.list ? lines.map((line) => LISTED.parse(line).name) : [];
  }
}

/** The paths in the folder that a word leads to; folders end in a slash. */
function listLocal(word: string): string[] {
  const folder = word.slice(0, word.lastIndexOf("/") + 1);
  return Array.from(
    Deno.readDirSync(folder || "."),
    ({ name, isDirectory }) => folder + name + (isDirectory ? "/" : ""),
  )
    .sort();
}

/**
 * Where a person types lines while other text arrives. On a terminal the line being typed stays whole: what is printed
 * meanwhile appears above it. Where there is no terminal, the lines come from a pipe.
 * @module
 */
import type { Interface } from "node:readline";
import { encodeText } from "../bytes.ts";
import { messages } from "./client.ts";
import { readPassword } from "./password.ts";

/** To the first column, then erase from there to the end of the screen (ECMA-48 §8.3.39). */
const CLEAR_BELOW = "\r\x1b[0J";
const TAB = 0x09;
/** Whether a shell can stop a program (Ctrl-Z) and let it go on. */
const CAN_BE_STOPPED = Deno.build.os !== "windows";

type Found = readonly [candidates: readonly string[], end: string];
/** How a line may go on: what its end can be replaced with, and that end. */
export type Complete = (line: string) => Found | Promise<Found>;
const nothing = (line: string): Found => [[], line];

/** Lines that a person types or a pipe brings. Dispose of it before the program ends: the terminal is then as it was. */
export class Terminal implements Disposable {
  readonly #editor: Interface | undefined;
  readonly #lines: AsyncIterator<Uint8Array>;
  readonly #left = new AbortController();
  #reading: Promise<void> | undefined;
  #next: IteratorResult<Uint8Array> | undefined;
  readonly #secrecy: Secrecy;

  private constructor(lines: AsyncIterator<Uint8Array>, secrecy: Secrecy = {}, editor?: Interface) {
    this.#lines = lines;
    this.#secrecy = secrecy;
    this.#editor = editor;
    if (editor === undefined) return;
    editor.on("line", () => editor.prompt()); // what is typed or pasted ahead has one too
    editor.on("close", () => this.#left.abort("end of input"));
    if (CAN_BE_STOPPED) Deno.addSignalListener("SIGCONT", this.#continue);
    this.#read(); // from now on no line is missed
  }

  /**
   * Opens the program's terminal; stdin if it has none; or, if there are any, `texts` in place of both. The Tab key asks
   * `complete`.
   */
  static async open(texts: readonly string[] = [], { complete }: { complete?: Complete } = {}): Promise<Terminal> {
    if (texts.length > 0 || !hasPerson()) return new Terminal(messages(texts));
    const secrecy: Secrecy = {};
    const editor = await openEditor(secrecy, complete);
    return new Terminal(typedLines(editor, secrecy), secrecy, editor);
  }

  /**
   * Asks for a line that is neither shown nor remembered; null if there is no person, or the input ends. A line that is being
   * typed waits until then.
   * @throws {Deno.errors.Interrupted} if the user has typed Ctrl-C and there is no line to type
   */
  async secret(question: string): Promise<string | null> {
    if (this.left.aborted || !hasPerson()) return null;
    if (this.#editor === undefined) {
      this.#secrecy.asked = { question, answer: () => {} };
      return await readPassword(question).finally(() => this.#secrecy.asked = undefined);
    }
    const editor: { line: string; cursor: number } = this.#editor;
    const { line, cursor } = editor;
    const answer = Promise.withResolvers<string | null>();
    this.above(() => {
      [editor.line, editor.cursor] = ["", 0];
      this.#secrecy.asked = { question, answer: answer.resolve };
    });
    const secret = await answer.promise;
    this.#secrecy.asked = undefined;
    write("\n");
    if (secret === null) return null;
    editor.line = line.slice(0, cursor) + editor.line + line.slice(cursor); // with what was typed since the answer
    editor.cursor += cursor;
    return secret;
  }

  /** Whether a person types. */
  get interactive(): boolean {
    return this.#editor !== undefined;
  }

  /** Aborted when the person has ended the input (Ctrl-D); never by the end of a pipe. */
  get left(): AbortSignal {
    return this.#left.signal;
  }

  /** Resolves when there is a line to {@linkcode take} or the input has ended, and as soon as `until` is aborted. */
  async ready(until: AbortSignal): Promise<void> {
    if (until.aborted) return;
    const aborted = Promise.withResolvers<void>();
    const abort = () => aborted.resolve();
    until.addEventListener("abort", abort);
    await Promise.race([this.#read(), aborted.promise]);
    until.removeEventListener("abort", abort);
  }

  /** Takes the line that is ready, so that nobody else does; null if there is none. */
  take(): Uint8Array | null {
    const next = this.#next;
    if (next === undefined) return null;
    this.#reading = this.#next = undefined;
    return next.done ? null : next.value;
  }

  /** Reads one line ahead. */
  #read(): Promise<void> {
    return this.#reading ??= this.#lines.next().then((next) => void (this.#next = next));
  }

  /** Shows what stands before the line to type; no more than a few words. */
  prompt(text: string): void {
    if (this.left.aborted) return;
    this.#editor?.setPrompt(text);
    this.#editor?.prompt(true);
  }

  /** Runs `print`, which writes whole lines to the screen, so that they appear above the line being typed or the question. */
  above<T>(print: () => T): T {
    if (!this.#holdsScreen) return print();
    write(this.#rows > 0 ? `\x1b[${this.#rows}A${CLEAR_BELOW}` : CLEAR_BELOW);
    try {
      return print();
    } finally {
      this.#draw();
    }
  }

  /** Whether there is a line being typed, or a question. */
  get #holdsScreen(): boolean {
    return this.#editor !== undefined || this.#secrecy.asked !== undefined;
  }

  /** How many rows of the screen the cursor is below the prompt. */
  get #rows(): number {
    return this.#secrecy.asked === undefined ? this.#editor!.getCursorPos().rows : 0;
  }

  /** Shows the line being typed, or the question, from the row of the cursor on. */
  #draw(): void {
    if (this.#secrecy.asked !== undefined) {
      write(this.#secrecy.asked.question);
    } else if (!this.left.aborted) {
      // Else the editor would go up by the rows that it filled before, when the screen had perhaps another width.
      (this.#editor as Interface & { prevRows: number }).prevRows = 0;
      this.#editor!.prompt(true);
    }
  }

  /** After Ctrl-Z the terminal is the shell's; when the program goes on (`fg`) it is ours again, with the line being typed. */
  readonly #continue = (): void => {
    if (this.left.aborted) return;
    takeKeys();
    write(CLEAR_BELOW);
    this.#draw();
  };

  [Symbol.dispose](): void {
    if (!this.#holdsScreen) return;
    if (CAN_BE_STOPPED) Deno.removeSignalListener("SIGCONT", this.#continue);
    write(this.#editor?.line === "" ? CLEAR_BELOW : "\n");
    this.#editor?.close();
    Deno.stdin.setRaw(false);
  }
}

/** Whether somebody sits at the program's terminal. */
export function hasPerson(): boolean {
  return Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
}

/** A question whose answer is not shown, while there is one. */
interface Secrecy {
  asked?: { readonly question: string; readonly answer: (secret: string | null) => void } | undefined;
}

/** Opens node:readline: line editing and a history. It costs 5 ms of start-up, so that only who needs it loads it. */
async function openEditor(secrecy: Secrecy, complete: Complete = nothing): Promise<Interface> {
  const [{ createInterface }, { Readable, Writable }] = await Promise.all([
    import("node:readline"),
    import("node:stream"),
  ]);
  takeKeys();
  const output = new Writable({
    write: (chunk, _encoding, done) => {
      if (secrecy.asked === undefined) write(chunk);
      done();
    },
  });
  Object.defineProperty(output, "columns", { get: () => Deno.consoleSize().columns });
  const completer = (line: string, done: (error: null, found: [string[], string]) => void) => {
    const found = secrecy.asked === undefined ? complete(line) : nothing(line);
    Promise.resolve(found).catch(() => nothing(line)).then(([hits, end]) => done(null, [[...hits], end]));
  };
  const input = Readable.from(typedKeys(Deno.stdin.readable));
  return createInterface({ input, output, completer, terminal: true });
}

/** From now on the keys come one by one and are not shown by the terminal; Ctrl-C and Ctrl-Z still are signals. */
function takeKeys(): void {
  Deno.stdin.setRaw(true, { cbreak: true });
}

/** The keys in pieces that end with each Tab: node:readline completes only what stands at a piece's end, the rest is text to it. */
async function* typedKeys(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const keys of stream) {
    for (let from = 0, to; from < keys.length; from = to) {
      to = keys.indexOf(TAB, from) + 1 || keys.length;
      yield keys.subarray(from, to);
    }
  }
}

async function* typedLines(editor: Interface, secrecy: Secrecy): AsyncGenerator<Uint8Array> {
  for await (const line of editor) {
    if (secrecy.asked === undefined) {
      yield encodeText(line);
    } else {
      forget(editor, line);
      secrecy.asked.answer(line);
    }
  }
  secrecy.asked?.answer(null);
}

/** Takes the last line out of the editor's history. */
function forget(editor: Interface, line: string): void {
  const { history } = editor as Interface & { history: string[] };
  if (history[0] === line) history.shift();
}

function write(text: string | Uint8Array): void {
  const bytes = typeof text === "string" ? encodeText(text) : text;
  for (let written = 0; written < bytes.length;) written += Deno.stderr.writeSync(bytes.subarray(written));
}

/**
 * Where a person types lines while other text arrives. On a terminal the line being typed stays whole: what is printed
 * meanwhile appears above it. Where there is no terminal, the lines come from a pipe.
 * @module
 */
import type { Interface } from "node:readline";
import { encodeText } from "../bytes.ts";
import { messages } from "./client.ts";

/** To the first column, then erase from there to the end of the screen (ECMA-48 §8.3.39). */
const CLEAR_BELOW = "\r\x1b[0J";

/** Lines that a person types or a pipe brings. Dispose of it before the program ends: the terminal is then as it was. */
export class Terminal implements Disposable {
  readonly #editor: Interface | undefined;
  readonly #lines: AsyncIterator<Uint8Array>;
  readonly #left = new AbortController();
  #reading: Promise<void> | undefined;
  #next: IteratorResult<Uint8Array> | undefined;

  private constructor(lines: AsyncIterator<Uint8Array>, editor?: Interface) {
    this.#lines = lines;
    this.#editor = editor;
    editor?.on("close", () => this.#left.abort("end of input"));
    if (editor !== undefined) this.#read(); // from now on no line is missed
  }

  /** Opens the program's terminal; stdin if it has none; or, if there are any, `texts` in place of both. */
  static async open(texts: readonly string[] = []): Promise<Terminal> {
    const person = texts.length === 0 && Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
    if (!person) return new Terminal(messages(texts));
    const editor = await openEditor();
    return new Terminal(typedLines(editor), editor);
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
    this.#editor?.setPrompt(text);
    this.#editor?.prompt(true);
  }

  /** Runs `print`, which writes whole lines to the screen, so that they appear above the line being typed. */
  above<T>(print: () => T): T {
    if (this.#editor === undefined) return print();
    const { rows } = this.#editor.getCursorPos();
    write(rows > 0 ? `\x1b[${rows}A${CLEAR_BELOW}` : CLEAR_BELOW);
    try {
      return print();
    } finally {
      write("\n".repeat(rows)); // where the editor believes that it is
      this.#editor.prompt(true);
    }
  }

  [Symbol.dispose](): void {
    if (this.#editor === undefined) return;
    write(this.#editor.line === "" ? CLEAR_BELOW : "\n");
    this.#editor.close();
    Deno.stdin.setRaw(false);
  }
}

/** Opens node:readline: line editing and a history. It costs 5 ms of start-up, so that only who needs it loads it. */
async function openEditor(): Promise<Interface> {
  const [{ createInterface }, { Readable, Writable }] = await Promise.all([
    import("node:readline"),
    import("node:stream"),
  ]);
  Deno.stdin.setRaw(true, { cbreak: true }); // key by key, but Ctrl-C still is a signal
  const output = new Writable({
    write: (chunk, _encoding, done) => {
      write(chunk);
      done();
    },
  });
  Object.defineProperty(output, "columns", { get: () => Deno.consoleSize().columns });
  return createInterface({ input: Readable.from(Deno.stdin.readable), output, terminal: true });
}

async function* typedLines(editor: Interface): AsyncGenerator<Uint8Array> {
  for await (const line of editor) yield encodeText(line);
}

function write(text: string | Uint8Array): void {
  const bytes = typeof text === "string" ? encodeText(text) : text;
  for (let written = 0; written < bytes.length;) written += Deno.stderr.writeSync(bytes.subarray(written));
}

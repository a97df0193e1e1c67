/**
 * Programs in a real terminal: a pseudo-terminal that python3 opens, and what its screen shows. A control sequence that
 * the screen does not know is an error: programs must not pass on those of strangers.
 * @module
 */
import { Condition, delay } from "../lib/net/timing.ts";
import { type ProgramPath, PROGRAMS } from "../lib/programs.ts";
import { inTime, spawn } from "./harness.ts";

/** How wide the screen is. */
export const COLUMNS = 40;
/** A control sequence (ECMA-48 §5.4), a control character, or what is shown. */
// deno-lint-ignore no-control-regex
const TOKENS = /\x1b\[(\d*)([A-Z])|[\x00-\x1f\x7f]|[^\x00-\x1f\x7f]/gu;

/** The beginning of a control sequence whose end has not come yet. */
// deno-lint-ignore no-control-regex
const UNFINISHED = /\x1b(\[\d*)?$/;

/** The lines that a screen shows after all that was written to it, without the empty ones at its end. */
export function render(written: string): string[] {
  const rows: string[][] = [[]];
  let row = 0;
  let column = 0;
  for (const [token, count, command] of written.matchAll(TOKENS)) {
    const cells = rows[row]!;
    if (token === "\r") column = 0;
    else if (token === "\n") row++;
    else if (command === "A") row -= Number(count || 1);
    else if (command === "B") row += Number(count || 1);
    else if (command === "C") column += Number(count || 1);
    else if (command === "D") column -= Number(count || 1);
    else if (command === "G") column = Math.max(1, Number(count)) - 1;
    else if (command === "J") rows.splice(row, rows.length, cells.slice(0, column));
    else if (command === "K") cells.splice(count === "2" ? 0 : column);
    else if (command !== undefined || token < " " || token === "\x7f") {
      throw new Error(`the screen does not know ${JSON.stringify(token)}`);
    } else {
      if (column === COLUMNS) [row, column] = [row + 1, 0];
      (rows[row] ??= [])[column++] = token;
    }
    while (rows.length <= row) rows.push([]);
  }
  const lines = rows.map((cells) => Array.from(cells, (cell) => cell ?? " ").join("").trimEnd());
  return lines.slice(0, lines.findLastIndex((line) => line !== "") + 1);
}

/** A command that runs in a terminal. */
export class Screen implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #ended: Promise<void>;
  #written = "";
  #over = false;
  readonly #changed = new Condition();

  /** Starts the command. */
  constructor(...command: string[]) {
    const args = ["tests/interop/peers/chat_pty.py", `${COLUMNS}`, ...command];
    this.#process = spawn("python3", args, { env: { NO_COLOR: "1", TERM: "xterm" } });
    this.#ended = this.#read();
  }

  /** Starts one of our programs with its permissions. */
  static run(path: ProgramPath, ...args: string[]): Screen {
    return new Screen(Deno.execPath(), "run", "--no-prompt", ...PROGRAMS[path].permissions, `${path}.ts`, ...args);
  }

  async #read(): Promise<void> {
    for await (const text of this.#process.stdout.pipeThrough(new TextDecoderStream())) {
      this.#written += text;
      this.#changed.notify();
    }
    this.#over = true;
    this.#changed.notify();
  }

  /** Presses keys: `\r` is Enter, `\x03` Ctrl-C. */
  async type(keys: string): Promise<void> {
    const writer = this.#process.stdin.getWriter();
    await this.#inTime(writer.write(new TextEncoder().encode(keys)), "the terminal to take keys");
    writer.releaseLock();
  }

  /** Resolves when the lines at the bottom of the screen are these. */
  async shows(...expected: string[]): Promise<void> {
    await this.#wait(
      (lines) => expected.every((line, i) => lines.at(i - expected.length) === line) || undefined,
      expected.join("\n"),
    );
  }

  /** The first match of the pattern in the lines of the screen, now or later. */
  find(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#wait((lines) => pattern.exec(lines.join("\n")) ?? undefined, `${pattern}`);
  }

  /** Resolves when the screen has not changed for so long, in ms. */
  async rests(ms: number): Promise<void> {
    const rest = async () => {
      let before;
      do {
        before = this.#written;
        await delay(ms);
      } while (before !== this.#written);
    };
    await this.#inTime(rest(), "it to rest");
  }

  /** What it shows while more may come: the system cuts what is written anywhere. */
  #lines(): string[] {
    return render(this.#written.replace(UNFINISHED, ""));
  }

  async #wait<T>(look: (lines: string[]) => T | undefined, what: string): Promise<T> {
    const search = async () => {
      for (;;) {
        const found = look(this.#lines());
        if (found !== undefined) return found;
        if (this.#over) throw new Error(`the command has ended without ${what}`);
        await this.#changed.wait();
      }
    };
    return await this.#inTime(search(), what);
  }

  async #inTime<T>(promise: Promise<T>, what: string): Promise<T> {
    return await inTime(promise, what).catch((cause) => {
      throw new Error(`on a screen that shows\n${this.#lines().join("\n")}`, { cause });
    });
  }

  /** Resolves when the command ends: its exit code, what the screen shows then, and how it left the terminal. */
  async ended(): Promise<{ code: number; lines: string[]; terminal: string }> {
    const ended = Promise.all([this.#process.status, new Response(this.#process.stderr).text(), this.#ended]);
    const [{ code }, terminal] = await this.#inTime(ended, "the command's end");
    await this.#process.stdin.close().catch(() => {});
    return { code, lines: render(this.#written), terminal: terminal.trim() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL"); // the terminal hangs up
    } catch {
      // it has ended, as it should
    }
    await this.#process.status;
    await this.#ended;
    await this.#process.stdin.close().catch(() => {});
    if (!this.#process.stderr.locked) await this.#process.stderr.cancel();
  }
}

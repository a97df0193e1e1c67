/**
 * What a server says: its screen is stdout, its log is stderr.
 * @module
 */
import { printable, printableJson, printableRuns, Utf8Reader } from "../text.ts";
import { reason } from "./failure.ts";

/** How much of one message the screen shows, in bytes: a message without end must not flood it. */
export const SCREEN_LIMIT = 1024;

const NO_SCREEN = () => {};

/** How loud a log is and how it looks. */
export interface LogOptions {
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly logFormat?: "text" | "json";
}

/** A level of importance; `debug` is written with `--verbose` only, `info` not with `--quiet`. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Writes lines `NAME: PEER: MESSAGE` to stderr, or one JSON object a line. */
export class Log {
  /** Runs each print; a terminal puts it above the line that is being typed. */
  around: (print: () => void) => void = (print) => print();
  readonly #name: string;
  readonly #options: LogOptions;

  constructor(name: string, options: LogOptions = {}) {
    this.#name = name;
    this.#options = options;
  }

  /** Writes a line, or nothing where that is impossible: a full disk must not end the server that logs to it. */
  write(level: LogLevel, message: string, peer?: string): void {
    if (level === "debug" && !this.#options.verbose) return;
    if (level === "info" && this.#options.quiet) return;
    const line = this.#options.logFormat === "json"
      ? printableJson({ time: new Date().toISOString(), level, program: this.#name, peer, message })
      : printable([this.#name, peer, message].filter((part) => part !== undefined).join(": "));
    try {
      this.around(() => console.error(line));
    } catch {
      // there is nowhere to tell it
    }
  }

  /** Prints a line on the screen, as it is. Where that is impossible, the log says why: nobody's connection depends on it. */
  print(line: string): void {
    if (this.#options.quiet) return;
    try {
      this.around(() => console.log(line));
    } catch (error) {
      this.write("warn", `write to stdout: ${reason(error)}`);
    }
  }

  /**
   * What an exercise prints on the screen for one peer: each call is a message, each message a line `PEER TEXT`. A character
   * cut by the end of a message comes with the next one, unless each message is `whole`: a frame or a datagram.
   */
  screen(peer: string, { whole = false }: { readonly whole?: boolean } = {}): (message: Uint8Array) => void {
    if (this.#options.quiet) return NO_SCREEN;
    const reader = new Utf8Reader();
    return (message) => {
      const text = showMessage(reader, message, whole);
      if (text !== undefined) this.print(`${peer} ${text}`);
    };
  }
}

/** The message as one line without its own line end; undefined when all of it is the beginning of a cut character. */
function showMessage(reader: Utf8Reader, message: Uint8Array, whole: boolean): string | undefined {
  const cut = message.length > SCREEN_LIMIT;
  const runs = reader.receive(cut ? message.subarray(0, SCREEN_LIMIT) : message);
  const held = cut || whole ? reader.end() : []; // the beginning of a character
  if (cut) return `${printableRuns(runs)}… (${message.length} bytes)`;
  runs.push(...held);
  if (runs.length === 0 && message.length > 0) return undefined;
  const last = runs.at(-1);
  if (typeof last === "string") runs[runs.length - 1] = last.replace(/\r?\n$/, "");
  return printableRuns(runs);
}

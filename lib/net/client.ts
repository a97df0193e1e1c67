/**
 * The frame of every client program: `[HOST] [PORT]`, messages from `-m` or stdin, replies on stdout.
 * @module
 */
import { encodeText } from "../bytes.ts";
import { programName, type ProgramPath, PROGRAMS, runCommand } from "../programs.ts";
import { ReceiveBuffer } from "../receive_buffer.ts";
import { printableBytes } from "../text.ts";
import {
  duration,
  host,
  integer,
  list,
  type Option,
  option,
  type OptionTable,
  type OptionValues,
  runProgram,
  text,
} from "./cli.ts";
import { attempt } from "./failure.ts";

/** The longest line of stdin that is one message, in bytes. */
const MAX_LINE = 256 * 2 ** 20;

const CLIENT_OPTIONS = {
  message: list({ short: "m", value: "TEXT", parse: text, help: "send this; without it, each line of stdin" }),
};
// deno-lint-ignore explicit-module-boundary-types
function clientPositionals(port: number) {
  return {
    host: option({ value: "HOST", parse: host, default: "127.0.0.1", help: "the server's address or name" }),
    port: option({ value: "PORT", parse: integer(1, 65535), default: `${port}`, help: "its port" }),
  };
}

/** The option and arguments that every client has. */
export type ClientOptions = OptionValues<typeof CLIENT_OPTIONS & ReturnType<typeof clientPositionals>>;

/** What distinguishes one client's command line. */
export interface ClientProgram<Options extends OptionTable> {
  readonly path: ProgramPath;
  readonly options: Options;
}

/** Runs a client program from its command line to its exit code. */
export function runClient<Options extends OptionTable>(
  { path, options }: ClientProgram<Options>,
  main: (options: OptionValues<Options> & ClientOptions) => Promise<number | void>,
): Promise<never> {
  const table = { ...CLIENT_OPTIONS, ...options };
  return runProgram(
    { path, options: table, positionals: clientPositionals(PROGRAMS[path].port) },
    (values) => main(values as unknown as OptionValues<Options> & ClientOptions),
  );
}

/** The option of clients that wait. */
export function timeoutOption(fallback: string): Option<number> {
  return option({
    value: "DURATION",
    parse: duration,
    default: fallback,
    help: "how long to wait for an answer; 0: for ever",
  });
}

/**
 * What to tell a user whose connection is refused: how to start the server, with the options that it `needs`, at the `port`
 * where it was looked for.
 */
export function serverHint(server: ProgramPath, port: number = PROGRAMS[server].port, needs = ""): string {
  const elsewhere = port === PROGRAMS[server].port ? "" : ` --port ${port}`;
  return `is the server running? try: ${runCommand(server)}${needs}${elsewhere}`;
}

/** Writes a line of this program to stderr. */
export function notice(path: ProgramPath, line: string): void {
  console.error(`${programName(path)}: ${line}`);
}

/** The messages to send: those of `-m`, or else each line of stdin, without its end, until the end of input. */
export async function* messages(texts: readonly string[]): AsyncGenerator<Uint8Array> {
  if (texts.length > 0) {
    for (const text of texts) yield encodeText(text);
    return;
  }
  const lines = new ReceiveBuffer();
  for await (const chunk of Deno.stdin.readable) {
    lines.receive(chunk);
    for (let line; (line = lines.takeLine(MAX_LINE)) !== undefined;) yield line;
  }
  if (lines.length > 0) yield lines.takeAtMost(lines.length);
}

/**
 * Prints a reply as one line of stdout: its very bytes, for pipes; on a terminal with controls escaped, so that a server
 * cannot run control sequences there.
 */
export function printReply(reply: Uint8Array): Promise<void> {
  const line = Deno.stdout.isTerminal() ? encodeText(printableBytes(reply)) : reply;
  return attempt("write to stdout", () => {
    for (const part of [line, Uint8Array.of(0x0a)]) {
      for (let written = 0; written < part.length;) written += Deno.stdout.writeSync(part.subarray(written));
    }
  });
}

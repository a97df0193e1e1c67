#!/usr/bin/env -S deno run -N -R -W -E=HOME,XDG_CONFIG_HOME
/**
 * The client of the command and file server: uploads and downloads that go on by themselves after a break, and when that
 * does not help ask the user; `ls`, `stat`, `hash`, `echo` and `time`; without a command a prompt for all of them.
 *
 * Run: `deno run -N -R -W -E=HOME,XDG_CONFIG_HOME clients/files.ts put photo.jpg`. Its server: servers/files.ts. With
 * `--allow-ffi` the keepalive has exact times. Protocol: docs/protocols/files.md.
 * @module
 */
import { createHmac } from "node:crypto";
import { encodeText } from "../lib/bytes.ts";
import { UsageError } from "../lib/errors.ts";
import { readCommand, splitLine, splitTarget, WORDS } from "../lib/files/client_commands.ts";
import {
  EXIT,
  flag,
  host,
  integer,
  list,
  option,
  type OptionValues,
  parseCommandLine,
  rest,
  runProgram,
  stopSignal,
  text,
} from "../lib/net/cli.ts";
import { notice, printReply, serverHint, timeoutOption } from "../lib/net/client.ts";
import { Dialer } from "../lib/net/files/link.ts";
import { Prompt } from "../lib/net/files/prompt.ts";
import { runClientCommand, type ShellContext } from "../lib/net/files/shell.ts";
import { configFile, keepPrivateLine } from "../lib/net/key_files.ts";
import { connectOptionallySecured } from "../lib/net/optional_secure.ts";
import { OPTIONAL_SECURE_CLIENT_OPTIONS } from "../lib/net/secure_options.ts";
import { PROGRAMS } from "../lib/programs.ts";
import { printable } from "../lib/text.ts";

const PATH = "clients/files";
/** How long connecting may take, in ms. */
const CONNECT_TIMEOUT_MS = 10_000;
const COMMAND_OPTIONS = {
  overwrite: flag({ help: "replace a file that is there" }),
  noVerify: flag({ help: "hash nothing, on either side: faster, and not verified" }),
};
const OPTIONS = {
  ...COMMAND_OPTIONS,
  message: list({ short: "m", value: "TEXT", parse: text, help: "run this command; without one, each line of stdin" }),
  json: flag({ help: "print results as JSON, one object a line" }),
  timeout: timeoutOption("25s"),
  owner: option({
    value: "FILE",
    parse: text,
    help: "the secret that proves whose uploads are whose; made if missing",
  }),
  verbose: flag({ short: "v", help: "tell about each connection" }),
  ...OPTIONAL_SECURE_CLIENT_OPTIONS,
};
const POSITIONALS = {
  host: option({ value: "HOST", parse: text, help: "the server's address or name (default: 127.0.0.1)" }),
  port: option({ value: "PORT", parse: text, help: `its port (default: ${PROGRAMS[PATH].port})` }),
  command: rest({ value: "COMMAND...", parse: text, help: `${Object.keys(WORDS).join(", ")}; none: a prompt` }),
};
type Values = OptionValues<typeof OPTIONS & typeof POSITIONALS>;

/** Where to connect, and what to do there. */
function readTarget(values: Values) {
  const target = splitTarget([values.host, values.port, ...values.command].filter((word) => word !== undefined));
  return {
    hostname: readWord("HOST", host, target.host ?? "127.0.0.1"),
    port: readWord("PORT", integer(1, 65535), target.port ?? `${PROGRAMS[PATH].port}`),
    words: target.command,
  };
}

function readWord<T>(name: string, parse: (given: string) => T, given: string): T {
  try {
    return parse(given);
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(`${name}: ${error.message}`) : error;
  }
}

/** What proves to this server whose uploads are whose: a secret of the user, never told to another one. */
async function ownerToken(file: string, hostname: string): Promise<string> {
  const secret = await keepPrivateLine(file, () => crypto.getRandomValues(new Uint8Array(32)).toHex());
  return createHmac("sha256", secret).update(hostname).digest("hex");
}

/** Runs what is typed, or what comes through a pipe: there the first failure is the end. */
async function runLines(context: ShellContext, prompt: Prompt): Promise<number> {
  for (let line; (line = await prompt.next()) !== null;) {
    const code = await runLine(context, line);
    if (code === undefined) return EXIT.done;
    if (code !== EXIT.done && !(prompt.hasPerson && !context.signal.aborted)) return code;
  }
  return EXIT.done;
}

/** Runs one line; undefined: the user wants to leave. */
async function runLine(context: ShellContext, line: string): Promise<number | undefined> {
  try {
    const words = splitLine(line);
    if (words.length === 0) return EXIT.done;
    if (/^(quit|exit|close)$/i.test(words[0]!)) return undefined;
    if (words[0] === "help") {
      const leave = { usage: "quit", summary: "leave; Ctrl-C leaves in the middle of a transfer, which goes on later" };
      for (const { usage, summary } of [...Object.values(WORDS), leave]) console.log(`${usage.padEnd(30)}${summary}`);
      return EXIT.done;
    }
    const positionals = { command: POSITIONALS.command };
    const values = parseCommandLine(words, { path: PATH, options: COMMAND_OPTIONS, positionals });
    const { overwrite, noVerify } = values;
    const choice = { overwrite: context.overwrite || overwrite, verify: context.verify && !noVerify };
    return await runClientCommand({ ...context, ...choice }, readCommand(values.command));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    context.tell(error.hint === undefined ? error.message : `${error.message} (${error.hint})`);
    return EXIT.usage;
  }
}

if (import.meta.main) {
  await runProgram({ path: PATH, options: OPTIONS, positionals: POSITIONALS }, async (values) => {
    const { hostname, port, words } = readTarget(values);
    const command = words.length > 0 ? readCommand(words) : undefined;
    const signal = stopSignal();
    const tell = (text: string) => prompt.tell(() => notice(PATH, printable(text)));
    const explain = (text: string) => values.verbose && tell(text);
    const hint = serverHint("servers/files", port, " --root DIR");
    const target = { hostname, port, timeout: CONNECT_TIMEOUT_MS, hint };
    const connect = () => connectOptionallySecured({ ...target, path: PATH }, values);
    await using dialer = new Dialer({ hostname, connect, timeout: values.timeout, signal, explain });
    using prompt = new Prompt(dialer, { texts: values.message, signal });
    await dialer.get(); // whoever is not there at the beginning is not waited for
    const context: ShellContext = {
      dialer,
      token: () => ownerToken(values.owner ?? configFile("files.owner", "--owner"), hostname),
      overwrite: values.overwrite,
      verify: !values.noVerify,
      json: values.json,
      signal,
      status: Deno.stdout.isTerminal() && Deno.stderr.isTerminal() ? (text) => prompt.status(text) : undefined,
      print: (line) => prompt.tell(() => printReply(encodeText(line))),
      tell,
      decide: (question) => prompt.decide(question),
    };
    return await (command === undefined ? runLines(context, prompt) : runClientCommand(context, command));
  });
}

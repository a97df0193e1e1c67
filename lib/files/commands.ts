/**
 * The commands of the file server as lines: a verb, positional arguments, then options `KEY=value` and bare words in any
 * order. `UPLOAD "two words.bin" 1048576 SHA256=AFTER WAIT`. See docs/protocols/files.md.
 * @module
 */
import { ProtocolError } from "../errors.ts";
import { quote, unquote } from "./quoting.ts";
import { CODE } from "./replies.ts";

/** The longest line, its end included, in bytes. */
export const MAX_LINE_LENGTH = 4096;
/** What no line has: controls other than the tab. */
export const CONTROL: RegExp = /[^\P{Cc}\t]/u;

/** A command, or its parts that a verb shares with others. Options that are absent were not given. */
export type Command =
  | { readonly verb: "ECHO"; readonly text: string }
  | { readonly verb: "TIME" | "NOOP" | "CLOSE" }
  | HelpCommand
  | ListCommand
  | StatCommand
  | HashCommand
  | UploadCommand
  | DownloadCommand
  | AbortCommand;

/** What a command does. `PING` is `NOOP`; `EXIT` and `QUIT` are `CLOSE`. */
export type Verb = Command["verb"];

/** Asks what there is to ask. */
export interface HelpCommand {
  /** What is to be done. */
  readonly verb: "HELP";
  /** One command; all if absent. */
  readonly topic?: Verb;
}

/** Asks for the files, or for what is on its way. */
export interface ListCommand {
  /** What is to be done. */
  readonly verb: "LIST";
  /** What is on its way. */
  readonly partial?: boolean;
}

/** Asks how much of a file is there. */
export interface StatCommand {
  /** What is to be done. */
  readonly verb: "STAT";
  /** Of the file. */
  readonly name: string;
  /** Of the whole file, in bytes: with it, what has come of such an upload is found. */
  readonly size?: number;
  /** Wants the file's digest, 64 lower-case hex digits, compared with this one. */
  readonly sha256?: string;
  /** Whose upload. */
  readonly token?: string;
  /** Wants no digest of what has come. */
  readonly nohash?: boolean;
}

/** Asks for the digest of a file's first bytes. */
export interface HashCommand {
  /** What is to be done. */
  readonly verb: "HASH";
  /** Of the file. */
  readonly name: string;
  /** How many bytes. */
  readonly offset: number;
}

/** Sends a file: `size - offset` bytes follow, at once or with `wait` after the reply 150. */
export interface UploadCommand {
  /** What is to be done. */
  readonly verb: "UPLOAD";
  /** Of the file. */
  readonly name: string;
  /** Of the whole file, in bytes. */
  readonly size: number;
  /** How much of it is there already; 0 if absent. */
  readonly offset?: number;
  /** The digest of the whole file, 64 lower-case hex digits; `AFTER`: it follows the body, as a line. */
  readonly sha256?: string;
  /** The digest of the first `offset` bytes. */
  readonly prefix?: string;
  /** Whose upload it is: 1 to 64 letters, digits, `-` and `_`. */
  readonly token?: string;
  /** A file of this name may be replaced. */
  readonly overwrite?: boolean;
  /** The body is sent after the reply 150 only. */
  readonly wait?: boolean;
  /** No progress is reported. */
  readonly quiet?: boolean;
  /** Nobody hashes anything. */
  readonly nohash?: boolean;
}

/** Fetches a file or a part of it. */
export interface DownloadCommand {
  /** What is to be done. */
  readonly verb: "DOWNLOAD";
  /** Of the file. */
  readonly name: string;
  /** Where to begin; 0 if absent. */
  readonly offset?: number;
  /** How many bytes; up to the end if absent. */
  readonly length?: number;
  /** The digest of the first `offset` bytes. */
  readonly prefix?: string;
  /** The bytes alone, then the end of the connection. */
  readonly raw?: boolean;
  /** Nobody hashes anything. */
  readonly nohash?: boolean;
}

/** Gives up an upload: what has come of it is removed. */
export interface AbortCommand {
  /** What is to be done. */
  readonly verb: "ABORT";
  /** Of the file. */
  readonly name: string;
  /** Of the whole file; any if absent. */
  readonly size?: number;
  /** Whose upload. */
  readonly token?: string;
}

/** A line that is no command: `code` 500 for an unknown verb, 501 for wrong arguments. */
export class CommandError extends ProtocolError {
  /** Its name in a log. */
  override name = "CommandError";
  /** The reply code. */
  readonly code: 500 | 501;
  /** Whether a body of unknown length follows the line: the connection must end. */
  readonly bodyFollows: boolean;

  /** `message` is the reply's text. */
  constructor(code: 500 | 501, message: string, bodyFollows = false) {
    super(message);
    this.code = code;
    this.bodyFollows = bodyFollows;
  }
}

/** What stands in one place of a line: how its text becomes a value. */
export type Field = (text: string) => string | number;

const DIGEST = /^[0-9a-f]{64}$/;
const TOKEN = /^[\w-]{1,64}$/;

const count: Field = (text) => {
  const value = /^[0-9]{1,16}$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(value)) return value;
  throw new RangeError("a whole number from 0 to 9007199254740991");
};
const digest: Field = (text) => {
  if (DIGEST.test(text.toLowerCase())) return text.toLowerCase();
  throw new RangeError("64 hex digits");
};
const digestOrAfter: Field = (text) => text.toUpperCase() === "AFTER" ? "AFTER" : digest(text);
const token: Field = (text) => {
  if (TOKEN.test(text)) return text;
  throw new RangeError("1 to 64 letters, digits, - and _");
};
const topic: Field = (text) => {
  const verb = findVerb(text);
  if (verb !== undefined) return verb;
  throw new RangeError("a command");
};
const anyText: Field = (text) => text;

/** What follows a verb. */
export interface Syntax {
  /** Positional arguments in their order; those after `required` may be left out, from the end. */
  readonly places: Record<string, Field>;
  /** How many of them must be there. */
  readonly required: number;
  /** `KEY=value`. */
  readonly values: Record<string, Field>;
  /** Bare words. */
  readonly words: readonly string[];
  /** How HELP shows it. */
  readonly usage: string;
  /** What it does, for HELP. */
  readonly summary: string;
}

const BARE = { places: {}, required: 0, values: {}, words: [] };

/** Every command: what may follow the verb, and what HELP says. */
export const SYNTAX: Record<Verb, Syntax> = {
  ECHO: { ...BARE, usage: "ECHO text", summary: "returns the text" },
  TIME: { ...BARE, usage: "TIME", summary: "the server's time, UTC" },
  HELP: { ...BARE, places: { topic }, usage: "HELP [command]", summary: "this list, or one command" },
  LIST: { ...BARE, words: ["PARTIAL"], usage: "LIST [PARTIAL]", summary: "the files, or the uploads under way" },
  STAT: {
    places: { name: anyText, size: count },
    required: 1,
    values: { SHA256: digest, TOKEN: token },
    words: ["NOHASH"],
    usage: "STAT name [size] [SHA256=hex] [TOKEN=word] [NOHASH]",
    summary: "how much of a file is there",
  },
  HASH: {
    ...BARE,
    places: { name: anyText, offset: count },
    required: 2,
    usage: "HASH name offset",
    summary: "the SHA-256 of the first bytes",
  },
  UPLOAD: {
    places: { name: anyText, size: count, offset: count },
    required: 2,
    values: { SHA256: digestOrAfter, PREFIX: digest, TOKEN: token },
    words: ["OVERWRITE", "WAIT", "QUIET", "NOHASH"],
    usage:
      "UPLOAD name size [offset] [SHA256=hex|AFTER] [PREFIX=hex] [TOKEN=word] [OVERWRITE] [WAIT] [QUIET] [NOHASH], then size - offset bytes",
    summary: "stores a file; with an offset goes on with one",
  },
  DOWNLOAD: {
    places: { name: anyText, offset: count, length: count },
    required: 1,
    values: { PREFIX: digest },
    words: ["RAW", "NOHASH"],
    usage: "DOWNLOAD name [offset [length]] [PREFIX=hex] [RAW] [NOHASH]",
    summary: "sends a file or a part of it",
  },
  ABORT: {
    places: { name: anyText, size: count },
    required: 1,
    values: { TOKEN: token },
    words: [],
    usage: "ABORT name [size] [TOKEN=word]",
    summary: "removes what has come of an upload",
  },
  NOOP: { ...BARE, usage: "NOOP or PING", summary: "nothing, but answers" },
  CLOSE: { ...BARE, usage: "CLOSE, EXIT or QUIT", summary: "ends the connection" },
};

const OTHER_VERBS: Record<string, Verb> = { PING: "NOOP", EXIT: "CLOSE", QUIT: "CLOSE" };

function findVerb(text: string): Verb | undefined {
  const verb = text.toUpperCase();
  return Object.hasOwn(SYNTAX, verb) ? verb as Verb : Object.hasOwn(OTHER_VERBS, verb) ? OTHER_VERBS[verb] : undefined;
}

/**
 * The command of a line, without the line's end. Verbs, keys and words may be in any case of letters.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(parseCommand('upload "two words" 5 wait'), { verb: "UPLOAD", name: "two words", size: 5, wait: true });
 * ```
 * @throws {CommandError} if it is none: 500 for the verb, 501 for what follows
 */
export function parseCommand(line: string): Command {
  const [, word = "", rest = ""] = /^[ \t]*([^ \t]*)[ \t]?(.*)$/s.exec(line) ?? [];
  const verb = findVerb(word);
  if (verb === undefined) throw new CommandError(CODE.unknown, `unknown command ${word.slice(0, 20)}: try HELP`);
  if (verb === "ECHO") return { verb, text: rest };
  try {
    const command = { verb, ...readArguments(splitWords(rest), SYNTAX[verb]) } as Command;
    if (command.verb === "UPLOAD") checkUpload(command);
    return command;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new CommandError(CODE.badArguments, `${error.message}: ${SYNTAX[verb].usage}`, verb === "UPLOAD");
  }
}

function checkUpload({ size, offset = 0, sha256, prefix, nohash }: UploadCommand): void {
  if (offset > size) throw new RangeError("offset must not be above size");
  if (nohash && (sha256 ?? prefix) !== undefined) throw new RangeError("NOHASH goes with neither SHA256 nor PREFIX");
}

/** One word of a line; what stood in quotes is neither a key nor an option. */
interface Word {
  readonly text: string;
  readonly quoted: boolean;
}

/** The words of a line, between spaces and tabs; `"..."` is one word, with `\"` and `\\` in it. */
function splitWords(line: string): Word[] {
  const words: Word[] = [];
  const word = /[ \t]*(?:"((?:[^"\\]|\\["\\])*)"(?=[ \t]|$)|([^" \t][^ \t]*))/suy;
  const end = line.replace(/[ \t]+$/, "").length;
  while (word.lastIndex < end) {
    const at = word.lastIndex;
    const [, quoted, plain] = word.exec(line) ?? [];
    if (quoted === undefined && plain === undefined) throw new RangeError(`a quote without its end at ${at}`);
    words.push({ text: plain ?? unquote(quoted!), quoted: plain === undefined });
  }
  return words;
}

/** The named values of a command's words. */
function readArguments(words: readonly Word[], { places, required, values, words: flags }: Syntax): object {
  const found: Record<string, string | number | boolean> = {};
  const put = (name: string, value: string | number | boolean) => {
    if (Object.hasOwn(found, name)) throw new RangeError(`${name.toUpperCase()} is given twice`);
    found[name] = value;
  };
  const waiting = Object.entries(places);
  const missing = () => waiting.length > Object.keys(places).length - required;
  for (const { text, quoted } of words) {
    const [, key = "", value] = quoted ? [] : /^(\w+)(?:=(.*))?$/su.exec(text) ?? [];
    const upper = key.toUpperCase();
    if (!missing() && value === undefined && flags.includes(upper)) {
      put(upper.toLowerCase(), true);
    } else if (!missing() && value !== undefined && Object.hasOwn(values, upper)) {
      put(upper.toLowerCase(), read(upper, values[upper]!, value));
    } else if (waiting.length > 0) {
      const [name, field] = waiting.shift()!;
      put(name, read(name, field, text));
    } else {
      throw new RangeError(`unknown argument ${text.slice(0, 40)}`);
    }
  }
  if (missing()) throw new RangeError(`${waiting[0]![0]} is missing`);
  return found;
}

function read(name: string, field: Field, text: string): string | number {
  try {
    return field(text);
  } catch (error) {
    throw error instanceof RangeError ? new RangeError(`${name} must be ${error.message}`) : error;
  }
}

/**
 * The line of a command, without the line's end. A positional argument needs those before it.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(formatCommand({ verb: "HASH", name: "two words", offset: 5 }), 'HASH "two words" 5');
 * ```
 * @throws {ProtocolError} if a name or a text has controls: after an LF in it would come another command
 */
export function formatCommand(command: Command): string {
  if (command.verb === "ECHO") return `ECHO ${withoutControls(command.text)}`;
  const { verb, ...given } = command;
  const { places, values, words } = SYNTAX[verb];
  const fields = given as Record<string, string | number | boolean | undefined>;
  const parts = Object.keys(places).filter((name) => fields[name] !== undefined).map((name) =>
    name === "name" ? quoteName(withoutControls(String(fields[name]))) : String(fields[name])
  );
  const options = Object.keys(values).filter((key) => fields[key.toLowerCase()] !== undefined).map((key) =>
    `${key}=${fields[key.toLowerCase()]}`
  );
  return [verb, ...parts, ...options, ...words.filter((word) => fields[word.toLowerCase()] === true)].join(" ");
}

function withoutControls(text: string): string {
  if (!CONTROL.test(text)) return text;
  throw new ProtocolError(`Cannot say ${JSON.stringify(text.slice(0, 80))} in a line: it has control characters`);
}

/** A name as one word of a line: in quotes when it has spaces, quotes or backslashes. */
export function quoteName(name: string): string {
  return name === "" || /[ \t"\\]/.test(name) ? quote(name) : name;
}

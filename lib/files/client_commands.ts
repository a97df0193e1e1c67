/**
 * What the user says to the client: `put`, `get` and other words, on its command line or at its prompt.
 * @module
 */
import { UsageError } from "../errors.ts";
import { printable } from "../text.ts";
import { quote, unquote } from "./quoting.ts";

/** What an argument names: a file here or there. */
type Place = "local" | "remote";

/** One word of the client. */
interface Word {
  readonly usage: string;
  readonly summary: string;
  /** How many arguments it takes. */
  readonly min: number;
  readonly max: number;
  /** What each of its arguments names; those after the last one name the same. */
  readonly places?: readonly Place[];
  /** The word that takes more of them. */
  readonly several?: "mput" | "mget";
}

/** Every word that does something. */
export const WORDS = {
  put: {
    usage: "put FILE [NAME]",
    summary: "upload a file, under another name if one is given",
    min: 1,
    max: 2,
    places: ["local", "remote"],
    several: "mput",
  },
  get: {
    usage: "get NAME [FILE]",
    summary: "download a file, to another place if one is given",
    min: 1,
    max: 2,
    places: ["remote", "local"],
    several: "mget",
  },
  mput: { usage: "mput FILE...", summary: "upload several files", min: 1, max: Infinity, places: ["local"] },
  mget: { usage: "mget NAME...", summary: "download several files", min: 1, max: Infinity, places: ["remote"] },
  ls: { usage: "ls", summary: "list the files of the server", min: 0, max: 0 },
  stat: { usage: "stat NAME", summary: "how much of a file is there", min: 1, max: 1, places: ["remote"] },
  hash: {
    usage: "hash NAME [BYTES]",
    summary: "the SHA-256 of a file, or of its first bytes",
    min: 1,
    max: 2,
    places: ["remote"],
  },
  "rm-partial": {
    usage: "rm-partial NAME [FILE]",
    summary: "remove what has come of a transfer that was broken off",
    min: 1,
    max: 2,
    places: ["remote", "local"],
  },
  echo: { usage: "echo TEXT", summary: "have the server say something", min: 0, max: Infinity },
  time: { usage: "time", summary: "the server's time", min: 0, max: 0 },
} as const satisfies Record<string, Word>;

/** What a word is called. */
export type ClientVerb = keyof typeof WORDS;

/** A word with its arguments. */
export interface ClientCommand {
  readonly verb: ClientVerb;
  readonly args: readonly string[];
}

/** Whether it is a word that does something. */
function isVerb(word: string | undefined): word is ClientVerb {
  return word !== undefined && Object.hasOwn(WORDS, word);
}

/** The parts of a command line. */
export interface Target {
  readonly host: string | undefined;
  readonly port: string | undefined;
  readonly command: readonly string[];
}

/**
 * Splits `[HOST] [PORT] COMMAND...`: the command begins with the first of the first three arguments that is one of
 * {@linkcode WORDS}.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(splitTarget(["::1", "put", "a"]), { host: "::1", port: undefined, command: ["put", "a"] });
 * ```
 * @throws {UsageError} if there are too many arguments and none is one of them
 */
export function splitTarget(args: readonly string[]): Target {
  const index = args.slice(0, 3).findIndex(isVerb);
  if (index === -1 && args.length > 2) {
    throw new UsageError(`unknown command ${JSON.stringify(args[2])}`, { hint: hint() });
  }
  const end = index === -1 ? args.length : index;
  return { host: end > 0 ? args[0] : undefined, port: end > 1 ? args[1] : undefined, command: args.slice(end) };
}

/**
 * The command that the words are.
 * @throws {UsageError} if they are none
 */
export function readCommand([verb, ...args]: readonly string[]): ClientCommand {
  if (!isVerb(verb)) throw new UsageError(`unknown command ${JSON.stringify(verb ?? "")}`, { hint: hint() });
  const { min, max, usage, several }: Word = WORDS[verb];
  if (args.length < min || args.length > max) {
    const more = args.length > max && several !== undefined && { hint: `several files: ${WORDS[several].usage}` };
    throw new UsageError(`${verb} is used otherwise: ${usage}`, more || {});
  }
  return { verb, args };
}

function hint(): string {
  return `commands: ${Object.keys(WORDS).join(", ")}`;
}

/** A word of a line: in quotes, with `\"` and `\\`, or as it is. */
const LINE_WORD = /\s*(?:"((?:[^"\\]|\\["\\])*)"(?=\s|$)|([^"\s]\S*))/suy;

/**
 * The words of a line that was typed: between blanks, or in quotes.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(splitLine('put "two words.txt"'), ["put", "two words.txt"]);
 * ```
 * @throws {UsageError} if a quote does not end
 */
export function splitLine(line: string): string[] {
  const words: string[] = [];
  const text = line.trimEnd();
  for (LINE_WORD.lastIndex = 0; LINE_WORD.lastIndex < text.length;) {
    const found = LINE_WORD.exec(text);
    if (found === null) throw new UsageError("a quote has no end");
    words.push(found[2] ?? unquote(found[1]!));
  }
  LINE_WORD.lastIndex = 0;
  return words;
}

/** A name as one word of a line. */
export function quoteWord(name: string): string {
  return /[\s"\\]/.test(name) || name === "" ? quote(name) : name;
}

/** What the last word of a line may become. */
export interface Completion {
  readonly kind: "verb" | "local" | "remote" | "nothing";
  /** The part of the line that is to be completed, as it was typed. */
  readonly end: string;
  /** The same without quotes. */
  readonly word: string;
}

/**
 * What Tab is to look for at the end of a line.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(completionOf("put photo.jpg ho"), { kind: "remote", end: "ho", word: "ho" });
 * ```
 * @throws {UsageError} if a quote before the last word does not end
 */
export function completionOf(line: string): Completion {
  const [, end = ""] = /(?:^|\s)("(?:[^"\\]|\\.)*|[^\s"]*)$/su.exec(line) ?? [];
  const word = unquote(end.replace(/^"/, ""));
  const words = splitLine(line.slice(0, line.length - end.length));
  const [verb, ...before] = words.filter((word) => !word.startsWith("-")); // options may stand anywhere
  if (verb === undefined) return { kind: "verb", end, word };
  const { places = [], max }: Word = isVerb(verb) ? WORDS[verb] : WORDS.time;
  const kind = before.length < max ? places[Math.min(before.length, places.length - 1)] : undefined;
  return { kind: kind ?? "nothing", end, word };
}

/**
 * How the names that begin with `word` are typed: in quotes where they need them; those of a folder stay open for what is in
 * it. A name with controls is left out: they would act on the terminal, and a stranger may have chosen it.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(candidatesFor("t", ["two words", "three/", "one"]), ['"two words"', "three/"]);
 * ```
 */
export function candidatesFor(word: string, names: readonly string[]): string[] {
  return names.filter((name) => name.startsWith(word) && printable(name) === name).map((name) =>
    name.endsWith("/") ? quoteWord(name).replace(/"$/, "") : quoteWord(name)
  );
}

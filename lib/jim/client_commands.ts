/**
 * What a person types to a JIM client: commands begin with `/`, everything else is a message.
 * @module
 */
import { UsageError } from "../errors.ts";
import { EVERYONE, LIMITS, type Request } from "./messages.ts";
import { addresseeFault, countCharacters, roomNameFault, userNameFault } from "./names.ts";

/** What a line means. */
export type Command =
  /** A message; without `to` for the current addressee. */
  | { readonly type: "say"; readonly to?: string; readonly text: string }
  /** Whom what follows is for. */
  | { readonly type: "address"; readonly to: string }
  /** Something to ask the server for. */
  | { readonly type: "ask"; readonly request: Request }
  /** A new status; empty: none. */
  | { readonly type: "status"; readonly status: string }
  | { readonly type: "register" }
  | { readonly type: "help" }
  | { readonly type: "quit" };

/** Messages that `/history` shows unless it says how many. */
const HISTORY_MESSAGES = 20;

/** A command by its word. */
interface CommandForm {
  /** Its arguments, as the help shows them. */
  readonly args: string;
  readonly help: string;
  /** @throws {UsageError} */
  readonly parse: (rest: string) => Command;
}

const FORMS: Readonly<Record<string, CommandForm>> = {
  msg: {
    args: "NAME|#room [text]",
    help: "send it to NAME; what follows goes there too",
    parse: (rest) => {
      const [to, text] = takeWord(rest);
      checkAddressee(to);
      return text === "" ? { type: "address", to } : say(text, to);
    },
  },
  join: {
    args: "#room",
    help: "enter a room; what follows goes there",
    parse: (rest) => ({ type: "ask", request: { action: "join", room: onlyRoom(rest) } }),
  },
  leave: {
    args: "#room",
    help: "leave a room",
    parse: (rest) => ({ type: "ask", request: { action: "leave", room: onlyRoom(rest) } }),
  },
  who: {
    args: "[#room]",
    help: "who is online, or in a room",
    parse: (rest) => ({
      type: "ask",
      request: rest === "" ? { action: "who" } : { action: "who", room: onlyRoom(rest) },
    }),
  },
  contacts: {
    args: "",
    help: "your contacts: you see them come and go",
    parse: (rest) => {
      nothing(rest);
      return { type: "ask", request: { action: "get_contacts" } };
    },
  },
  add: {
    args: "NAME",
    help: "add a contact",
    parse: (rest) => ({ type: "ask", request: { action: "add_contact", name: onlyName(rest) } }),
  },
  del: {
    args: "NAME",
    help: "remove a contact",
    parse: (rest) => ({ type: "ask", request: { action: "del_contact", name: onlyName(rest) } }),
  },
  history: {
    args: "[NAME|#room] [n]",
    help: `the last n messages (${HISTORY_MESSAGES}), all or those with NAME`,
    parse: parseHistory,
  },
  status: {
    args: "text",
    help: "what those see who have you in their contacts",
    parse: (status) => {
      checkLength(status, "status");
      return { type: "status", status };
    },
  },
  register: {
    args: "",
    help: "make an account of your name, with a password",
    parse: (rest) => {
      nothing(rest);
      return { type: "register" };
    },
  },
  help: { args: "", help: "this list", parse: () => ({ type: "help" }) },
  quit: { args: "", help: "say goodbye", parse: () => ({ type: "quit" }) },
};

const WIDTH = Math.max(...Object.entries(FORMS).map(([word, { args }]) => word.length + args.length)) + 4;

/** What `/help` shows. */
export const COMMAND_HELP: readonly string[] = [
  ...Object.entries(FORMS).map(([word, { args, help }]) => `/${word} ${args}`.padEnd(WIDTH) + help),
  "anything else goes to the current addressee; a text that begins with /: //text",
];

/**
 * The meaning of a line; undefined if it is empty.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(parseCommand("hello"), { type: "say", text: "hello" });
 * assertEquals(parseCommand("/msg bob hello there"), { type: "say", to: "bob", text: "hello there" });
 * assertEquals(parseCommand('/msg "bob b" hello'), { type: "say", to: "bob b", text: "hello" });
 * ```
 * @throws {UsageError} if there is no such command, an argument is missing or wrong, or a text is too long
 */
export function parseCommand(line: string): Command | undefined {
  const text = line.trim();
  if (text === "") return undefined;
  if (!line.startsWith("/")) return say(line);
  if (text.startsWith("//")) return say(text.slice(1));
  const [, word = "", rest = ""] = /^\/(\S*)\s*(.*)$/su.exec(text)!;
  if (!Object.hasOwn(FORMS, word)) throw new UsageError(`there is no /${word}: see /help`);
  const { args, parse } = FORMS[word]!;
  try {
    return parse(rest.trim());
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`${error.message}: /${word} ${args}`.trimEnd());
  }
}

/** The names that a line may be completed with. */
export interface Vocabulary {
  /** Users. */
  readonly names: Iterable<string>;
  /** Rooms, `#` included. */
  readonly rooms: Iterable<string>;
}

/**
 * How the last word of a line may go on, and that word: commands at its beginning, names and rooms after those that take
 * them.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(completeCommand("/jo", { names: [], rooms: [] }), [["/join "], "/jo"]);
 * assertEquals(completeCommand("/msg a", { names: ["alice", "bob"], rooms: ["#tea"] }), [["alice "], "a"]);
 * ```
 */
export function completeCommand(line: string, { names, rooms }: Vocabulary): [candidates: string[], word: string] {
  const begun = (candidates: Iterable<string>, word: string): [string[], string] => [
    Array.from(candidates).filter((candidate) => candidate.startsWith(word)).sort(),
    word,
  ];
  const command = /^\/(\w*)$/.exec(line);
  if (command !== null) return begun(Object.keys(FORMS).map((name) => `/${name} `), line);
  const [, name = "", word = ""] = /^\/(\w+) +(\S*)$/su.exec(line) ?? [];
  const takes = FORMS[name]?.args ?? "";
  if (takes === "") return [[], line];
  const words = [
    ...(takes.includes("NAME") ? Array.from(names, quoted) : []),
    ...(takes.includes("#room") ? rooms : []),
    ...(takes.includes("NAME|#room") ? [EVERYONE] : []),
  ];
  return begun(words.map((candidate) => `${candidate} `), word);
}

function quoted(name: string): string {
  return /\s/.test(name) ? `"${name}"` : name;
}

function say(text: string, to?: string): Command {
  checkLength(text, "message");
  return to === undefined ? { type: "say", text } : { type: "say", to, text };
}

function parseHistory(rest: string): Command {
  const [first, count] = takeWord(rest);
  const onlyCount = count === "" && /^\d+$/.test(first);
  const partner = onlyCount ? "" : first;
  const given = onlyCount ? first : count;
  if (partner !== "") checkAddressee(partner);
  const limit = given === "" ? HISTORY_MESSAGES : /^\d+$/.test(given) ? Number(given) : NaN;
  if (!(limit >= 1 && limit <= LIMITS.history)) {
    throw new UsageError(`${given} is no number from 1 to ${LIMITS.history}`);
  }
  return { type: "ask", request: { action: "history", limit, ...(partner === "" ? {} : { with: partner }) } };
}

/** The first word, which may stand in quotation marks, in NFC, and what follows it. */
function takeWord(text: string): [word: string, rest: string] {
  const [, inQuotes, plain = "", rest = ""] = /^(?:"([^"]*)"|(\S*))\s*(.*)$/su.exec(text)!;
  return [(inQuotes ?? plain).normalize("NFC"), rest];
}

function onlyName(text: string): string {
  const [name, rest] = takeWord(text);
  nothing(rest);
  check(name, userNameFault(name));
  return name;
}

function onlyRoom(text: string): string {
  const [room, rest] = takeWord(text);
  nothing(rest);
  check(room, roomNameFault(room));
  return room;
}

function checkAddressee(name: string): void {
  check(name, addresseeFault(name));
}

function check(name: string, fault: string | undefined): void {
  if (fault !== undefined) throw new UsageError(name === "" ? "a name is missing" : `${name} ${fault}`);
}

function nothing(rest: string): void {
  if (rest !== "") throw new UsageError(`what is ${JSON.stringify(rest)}?`);
}

function checkLength(text: string, field: "message" | "status"): void {
  const length = countCharacters(text);
  if (length > LIMITS[field]) {
    throw new UsageError(`the ${field} has ${length} characters: limit is ${LIMITS[field]}`);
  }
}

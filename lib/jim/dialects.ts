/**
 * How JIM's dialects spell what messages.ts means. The protocol was taught by a text and written down by hundreds of
 * students, each in their own words; this table is the only place that knows those words. A dialect more is a row more.
 * @module
 */
import type { Action, Event } from "./messages.ts";

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** The names of the dialects, those of the table in docs/protocols/jim.md. */
export type DialectName = "A" | "B" | "B+" | "C" | "D" | "E";

/** Something an object may say; where it stands is `key` or `object.key`. */
export type Field =
  | "name"
  | "status"
  | "password"
  | "contact"
  | "room"
  | "from"
  | "to"
  | "text"
  | "code"
  | "time";

/** One dialect. */
export interface Dialect {
  /** Its name. */
  readonly name: DialectName;
  /** An object that only this dialect's programs send; looked at from the last row to the first. */
  readonly sign: (object: JsonObject) => boolean;
  /** Its words for actions and events, where they are not the canonical ones. */
  readonly words: Readonly<Partial<Record<Action | Event["type"], string>>>;
  /** Where fields stand. The first place is read before the others; all are written. */
  readonly fields: Readonly<Record<Field, readonly string[]>>;
  /** Where a client's request names the client itself, by action. */
  readonly caller: Readonly<Partial<Record<Action, string>>>;
  /** Where the text of an answer stands, up to 399 and from 400. */
  readonly answerText: readonly [alert: string, error: string];
  /** What every object from the server holds, whatever else it says. */
  readonly template: { readonly answer: JsonObject; readonly event: JsonObject };
  /** Codes that its clients do not know, and what they are told instead. */
  readonly codes: Readonly<Record<number, number>>;
  /** Which requests to send a message are answered. */
  readonly answersMessages: "all" | "errors" | "none";
  /** A list of names: the key of one object with all of them, and its code; or an object for each after the answer. */
  readonly list: "objects" | { readonly key: string; readonly code: number };
  /** Its clients show only what is addressed to their user, and not the room: rooms are named in the text. */
  readonly addressedToReceiver: boolean;
  /** Whether its clients understand a probe and the presence of others. */
  readonly notices: boolean;
  /** Keys in capitals. */
  readonly upperCase: boolean;
  /** What its clients take with one read, in bytes, unless they have shown that they read streams. */
  readonly readSize: number;
  /** How long its clients leave what they did not ask for unread, in ms. */
  readonly pollInterval: number;
}

/** Dialect A: the course's text. */
export const A: Dialect = {
  name: "A",
  sign: (object) =>
    isOneOf(object.action, ["msg", "authenticate", "join", "leave", "register", "history", "who"]) ||
    at(object, "user.client_name") !== undefined,
  words: { contact: "contact_list", user: "user_list" },
  fields: {
    name: ["user.account_name"],
    status: ["user.status"],
    password: ["user.password"],
    contact: ["user_id"],
    room: ["room"],
    from: ["from"],
    to: ["to"],
    text: ["message"],
    code: ["response"],
    time: ["time"],
  },
  caller: {},
  answerText: ["alert", "error"],
  template: { answer: {}, event: {} },
  codes: {},
  answersMessages: "all",
  list: "objects",
  addressedToReceiver: false,
  notices: true,
  upperCase: false,
  readSize: 1024,
  pollInterval: 0,
};

const E: Dialect = {
  ...A,
  name: "E",
  sign: (object) => object.ACTION !== undefined,
  notices: false,
  upperCase: true,
};

/** The console programs of the course's seventh and eighth lesson, most of all. */
const B: Dialect = {
  ...A,
  name: "B",
  sign: (object) => object.mess_text !== undefined || at(object, "user.acc_name") !== undefined,
  words: { ...A.words, msg: "message", quit: "exit" },
  fields: { ...A.fields, from: ["from", "sender"], text: ["mess_text"] },
  caller: { quit: "account_name" },
  codes: { 201: 200, 202: 200, 401: 400, 402: 400, 403: 400, 404: 400, 409: 400, 410: 400, 500: 400 },
  answersMessages: "none",
  addressedToReceiver: true,
  notices: false,
};

/** The same course's last programs, with windows. */
const B_PLUS: Dialect = {
  ...B,
  name: "B+",
  sign: (object) =>
    at(object, "user.pubkey") !== undefined ||
    isOneOf(object.action, ["add", "remove", "pubkey_need", "users_request"]) ||
    (isOneOf(object.action, ["get_contacts", "add_contact", "del_contact"]) && typeof object.user === "string" &&
      object.code === undefined) ||
    (object.action === "get_users" && object.account_name !== undefined),
  words: { ...B.words, add_contact: "add", del_contact: "remove" },
  fields: { ...B.fields, contact: ["account_name"] },
  caller: { ...B.caller, get_contacts: "user", get_users: "account_name", add_contact: "user", del_contact: "user" },
  answersMessages: "all",
  list: { key: "data_list", code: 202 },
  readSize: 10_240,
  pollInterval: 1500,
};

const C: Dialect = {
  ...A,
  name: "C",
  sign: (object) =>
    object.action === "to_all" || object.message_text !== undefined ||
    (object.destination !== undefined && object.mess_text === undefined),
  words: { ...A.words, msg: "message", quit: "exit" },
  fields: { ...A.fields, from: ["account_name"], to: ["destination"], text: ["message_text"], code: ["code"] },
  caller: { quit: "account_name" },
  codes: { 201: 200, 202: 200, 401: 402, 403: 400, 409: 400, 410: 404, 500: 400 },
  answersMessages: "errors",
  list: { key: "alert", code: 202 },
  addressedToReceiver: true,
  notices: false,
  readSize: 4096,
};

const D_TEMPLATE = { action: null, time: null, user: null, to: null, code: null, message: null };

const D: Dialect = {
  ...A,
  name: "D",
  sign: (object) => object.code !== undefined && typeof object.user === "string",
  fields: {
    ...A.fields,
    name: ["user"],
    contact: ["to"],
    from: ["user"],
    code: ["code"],
  },
  caller: { get_contacts: "user", add_contact: "user", del_contact: "user" },
  answerText: ["message", "message"],
  template: { answer: { ...D_TEMPLATE, action: "response" }, event: D_TEMPLATE },
  codes: { 201: 200 },
  answersMessages: "errors",
  list: { key: "message", code: 200 },
  notices: false,
};

/** All of them. */
export const DIALECTS: readonly Dialect[] = [A, B, B_PLUS, C, D, E];

/** Places that were met in no dialect of the table, or in several. */
const FURTHER_PLACES: Readonly<Record<Field, readonly string[]>> = {
  name: ["user.acc_name", "user.client_name", "user.accaunt_name", "user.login", "account_name", "login"],
  status: ["status"],
  password: ["password"],
  contact: ["contact", "contact_login", "target_user.account_name", "login"],
  room: [],
  from: ["from_", "account_name", "login"],
  to: ["recipient", "to_", "message_receiver", "contact_login"],
  text: ["message_txt"],
  code: ["reply", "status"],
  time: ["timestamp"],
};

/** Where a field may stand, the canonical place first; but where there is a `contact_name`, `user_id` is the client itself. */
export const PLACES: Readonly<Record<Field, readonly string[]>> = {
  name: placesOf("name"),
  status: placesOf("status"),
  password: placesOf("password"),
  contact: ["contact_name", ...placesOf("contact")],
  room: placesOf("room"),
  from: placesOf("from"),
  to: placesOf("to"),
  text: placesOf("text"),
  code: placesOf("code"),
  time: placesOf("time"),
};

function placesOf(field: Field): string[] {
  return [...new Set([...DIALECTS.flatMap(({ fields }) => fields[field]), ...FURTHER_PLACES[field]])];
}

/** What a client may ask in words. */
const CANONICAL_WORDS: readonly Action[] = [
  ...["presence", "authenticate", "register", "msg", "join", "leave", "quit"] as const,
  ...["get_contacts", "add_contact", "del_contact", "get_users", "who", "history"] as const,
];

/** Words that were met in no dialect of the table. */
const FURTHER_WORDS: Readonly<Record<string, Action>> = {
  presense: "presence",
  auth: "authenticate",
  login: "authenticate",
  send_message: "msg",
  to_all: "msg",
  delete: "del_contact",
  users_request: "get_users",
  known_users_list: "get_users",
};

/** What the words of all dialects mean. */
export const ACTIONS: ReadonlyMap<string, Action> = new Map<string, Action>([
  ...CANONICAL_WORDS.map((action) => [action, action] as const),
  ...DIALECTS.flatMap(({ words }) => CANONICAL_WORDS.map((action) => [words[action] ?? action, action] as const)),
  ...Object.entries(FURTHER_WORDS),
]);

/** Letters of the Cyrillic alphabet that look like Latin ones. */
const LOOK_ALIKES: Readonly<Record<string, string>> = { а: "a", с: "c", е: "e", о: "o", р: "p", х: "x", у: "y" };

/** The action that a word stands for, in whichever dialect and with whichever look-alike letters. */
export function actionOf(word: string): Action | undefined {
  return ACTIONS.get(word) ?? ACTIONS.get(word.replace(/[асеорху]/g, (letter) => LOOK_ALIKES[letter]!));
}

/** The dialect that an object from a client gives away; undefined if several would say it so. */
export function recognise(object: JsonObject): Dialect | undefined {
  return DIALECTS.findLast(({ sign }) => sign(object));
}

/**
 * The likeliest dialect of a client that has not given itself away: B if its presence is as bare as there and its `time` the
 * fraction that Python gives, A otherwise.
 */
export function guess(presence: JsonObject): Dialect {
  const bare = presence.type === undefined && at(presence, "user.status") === undefined && isObject(presence.user);
  return bare && typeof presence.time === "number" && !Number.isInteger(presence.time) ? B : A;
}

/** Addresses that mean everybody. */
export const BROADCASTS: ReadonlySet<string> = new Set(["#all", "#", "_BROADCAST"]);

/** What stands at `key` or `object.key`; undefined also for null, which some programs write for "nothing". */
export function at(object: JsonObject, place: string): unknown {
  const dot = place.indexOf(".");
  if (dot === -1) return object[place] ?? undefined;
  const outer = object[place.slice(0, dot)];
  return isObject(outer) ? outer[place.slice(dot + 1)] ?? undefined : undefined;
}

/** Whether a JSON value is an object. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isOneOf(value: unknown, values: readonly string[]): boolean {
  return typeof value === "string" && values.includes(value);
}

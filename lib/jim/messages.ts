/**
 * The words of JIM, "JSON instant messaging", as the rest of the program knows them: what a client asks, what a server
 * answers and what it tells of itself. How each dialect spells them is the business of dialects.ts alone. See
 * docs/protocols/jim.md.
 * @module
 */

/** The port of the course's programs. */
export const JIM_PORT = 7777;
/** The addressee that stands for everybody who is online. It looks like a room, but nobody joins or leaves it. */
export const EVERYONE = "#all";

/** What may be how long. Texts are counted in characters (code points), as the course's text counts them. */
export const LIMITS = {
  /** Characters of an action. */
  action: 15,
  /** Characters of a user's or room's name; a room's `#` counts. */
  name: 25,
  /** Characters of a message. */
  message: 500,
  /** Characters of a status. */
  status: 128,
  /** Characters of a password. */
  password: 128,
  /** Bytes of an object on the wire. */
  object: 64 * 1024,
  /** Characters of JSON of those fields of a message that the server does not know and hands on. */
  extra: 512,
  /** Characters of a whole object with `--strict`. */
  strictObject: 640,
  /** Objects and arrays within each other. */
  depth: 64,
  /** Messages of one answer to `history`. */
  history: 100,
} as const;

/**
 * What a client asks for. Names are checked and in NFC (see names.ts), every text is within its limit, and nothing says
 * who asks: that is whoever has logged in on the connection.
 */
export type Request =
  /** Logs in a name, or repeats that it is here. With a password (some clients send it here) it authenticates too. */
  | {
    readonly action: "presence";
    readonly name: string;
    readonly status?: string;
    readonly password?: string;
  }
  /** An answer object from the client: it is alive. Nothing is answered. */
  | { readonly action: "probe-answer" }
  /** Logs in a name that has an account. */
  | { readonly action: "authenticate"; readonly name: string; readonly password: string }
  /** Makes an account. */
  | { readonly action: "register"; readonly name: string; readonly password: string }
  /** Sends a text to a user, a room, or {@linkcode EVERYONE}. */
  | { readonly action: "msg"; readonly to: string; readonly text: string; readonly extra?: Extra }
  /** Enters a room (`#name`, never {@linkcode EVERYONE}). */
  | { readonly action: "join"; readonly room: string }
  /** Leaves a room. */
  | { readonly action: "leave"; readonly room: string }
  /** Asks for the own contacts. */
  | { readonly action: "get_contacts" }
  /** Adds a user to the own contacts. */
  | { readonly action: "add_contact"; readonly name: string }
  /** Removes one. */
  | { readonly action: "del_contact"; readonly name: string }
  /** Asks for all users that the server knows. */
  | { readonly action: "get_users" }
  /** Asks who is online, or in a room. */
  | { readonly action: "who"; readonly room?: string }
  /**
   * Asks for messages from or to the asker: with `with` only those exchanged with that user or in that room. With `after`
   * the first `limit` messages whose id is larger, without it the last `limit` ones; the oldest comes first in either case.
   */
  | { readonly action: "history"; readonly with?: string; readonly after?: number; readonly limit: number }
  /** Says goodbye. */
  | { readonly action: "quit" };

/** The word for what is asked. */
export type Action = Request["action"];

/** Fields of a message that the server does not know and hands on as they are. */
export type Extra = Readonly<Record<string, unknown>>;

/** What a server tells without being asked, or as an item of a list. */
export type Event =
  /** A message for the receiver of the event. */
  | Message
  /** Is the client alive? It replies with a presence. */
  | { readonly type: "probe"; readonly time: number }
  /** A contact has come, gone, or changed its status. */
  | {
    readonly type: "presence";
    readonly time: number;
    readonly name: string;
    readonly online: boolean;
    readonly status?: string;
  }
  /** One of the contacts, after an answer whose `quantity` counts them. */
  | { readonly type: "contact"; readonly name: string }
  /** One of the users, after an answer whose `quantity` counts them. */
  | { readonly type: "user"; readonly name: string };

/** A message that the server has accepted. */
export interface Message {
  /** Tells it from the other events. */
  readonly type: "msg";
  /** The server's number for it: larger than those of all earlier messages. A foreign server gives none. */
  readonly id?: number;
  /** When the server accepted it, in UNIX seconds. */
  readonly time: number;
  /** The name that the sender had logged in with. */
  readonly from: string;
  /** A user, a room, or {@linkcode EVERYONE}. */
  readonly to: string;
  /** What it says. */
  readonly text: string;
  /** What else the sender's object held. */
  readonly extra?: Extra;
}

/** What a server says to a request: one for each, in the order of the requests. */
export interface Answer {
  /** See {@linkcode CODES}; another server may use others. */
  readonly code: number;
  /** Its text for people: an `alert` up to 399, an `error` from 400. */
  readonly text: string;
  /** What it answers; undefined where nobody has asked (a goodbye of the server), and in what a client has parsed. */
  readonly action?: Action;
  /** The number of the message that was accepted. */
  readonly id?: number;
  /** When the message was accepted, in UNIX seconds. */
  readonly time?: number;
  /** Names asked for by `get_contacts`, `get_users` or `who`, when they are at hand as a whole. */
  readonly names?: readonly string[];
  /** Messages asked for by `history`, the oldest first; a client gets them as events. */
  readonly messages?: readonly Message[];
  /** There are more messages in what was asked for, but they are too long to be sent at once. */
  readonly more?: boolean;
  /** How many events follow as the items of a list; only in what a client has parsed. */
  readonly quantity?: number;
}

/** The codes of the course's text that this server uses, with the text of an answer that has nothing better to say. */
export const CODES = {
  200: "OK",
  201: "created",
  202: "accepted",
  400: "bad request",
  401: "not authorised: log in first",
  402: "wrong login or password",
  403: "forbidden",
  404: "no such user or room",
  409: "this name is already connected",
  410: "the addressee is offline",
  500: "server error",
} as const;

/** One of {@linkcode CODES}. */
export type Code = keyof typeof CODES;

/**
 * An answer with the code's own text, or with a better one.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(answerTo("join", 201), { action: "join", code: 201, text: "created" });
 * ```
 */
export function answerTo(action: Action | undefined, code: Code, more: Partial<Answer> = {}): Answer {
  return { ...(action === undefined ? {} : { action }), code, text: CODES[code], ...more };
}

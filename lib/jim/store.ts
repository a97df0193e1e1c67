/**
 * What a JIM server remembers, as the hub sees it: users, contacts, rooms, messages. Where it is kept is another module's
 * business (lib/net/jim/sqlite_store.ts).
 * @module
 */
import type { Message } from "./messages.ts";

/** A user that has been here or has an account. */
export interface User {
  readonly name: string;
  /** What the password is compared with; undefined: a guest, whose name anybody may take. */
  readonly password: string | undefined;
}

/** A message that the store has numbered. */
export type StoredMessage = Message & { readonly id: number };
/** A message before that. */
export type NewMessage = Omit<Message, "type" | "id">;

/** Which messages to look for. */
export interface HistoryQuery {
  /** Who asks. */
  readonly reader: string;
  /** The rooms whose messages the reader may see. */
  readonly rooms: readonly string[];
  /** Only those exchanged with this user or in this room. */
  readonly with?: string;
  /** The first ones with a larger id; without it, the last ones. */
  readonly after?: number;
  /** How many at most. */
  readonly limit: number;
}

/**
 * A store. Each promise of a change resolves when the change would survive the end of the process; changes that are asked
 * for at the same time are made together, and their promises resolve in the order in which they were asked for.
 *
 * Every method rejects with a {@linkcode StoreError} where the change or the answer is not to be had now; nothing of that
 * change has then been made.
 */
export interface Store {
  /** Every room and the names of its members: one at least. */
  rooms(): Promise<Map<string, Set<string>>>;
  /** The user of that name; undefined if nobody is known by it. */
  user(name: string): Promise<User | undefined>;
  /** The names of all users in alphabetical order, `limit` at most. */
  users(limit: number): Promise<string[]>;
  /** The contacts of a user in alphabetical order. */
  contacts(owner: string): Promise<string[]>;
  /** Messages, the oldest first. */
  history(query: HistoryQuery): Promise<StoredMessage[]>;
  /** The first messages that wait for a user, the oldest first. */
  waiting(name: string, limit: number): Promise<StoredMessage[]>;

  /** Makes a user known as a guest. */
  addGuest(name: string): Promise<void>;
  /** Makes an account. Resolves to false if there is one of that name. */
  addAccount(name: string, password: string): Promise<boolean>;
  /** Keeps a message, and lets it wait for a user who is offline. Resolves to its id, larger than all before. */
  addMessage(message: NewMessage, waitsFor?: string): Promise<number>;
  /** Lets a message that is kept wait for a user, who has gone offline meanwhile. */
  letWait(name: string, id: number): Promise<void>;
  /** Messages that waited for a user have reached it. */
  delivered(name: string, ids: readonly number[]): Promise<void>;
  /** Adds a member. Resolves to true if the room had none, and is new. */
  join(room: string, name: string): Promise<boolean>;
  /** Removes a member, and with the last one the room; its messages stay. */
  leave(room: string, name: string): Promise<void>;
  /** Removes all members of a room, and so the room, unless one of them has an account. Resolves to the names of the removed. */
  dissolve(room: string): Promise<string[]>;
  /** Adds a contact. */
  addContact(owner: string, name: string): Promise<void>;
  /** Removes one. */
  removeContact(owner: string, name: string): Promise<void>;
}

/** The store cannot do it now: it is locked, full or damaged. */
export class StoreError extends Error {
  /** Its name in a log. */
  override name = "StoreError";
}

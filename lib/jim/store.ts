/**
 * What a JIM server remembers, as the hub sees it: users, contacts, rooms, messages. Where it is kept is another module's
 * business: a file (lib/net/jim/sqlite_store.ts), or {@linkcode MemoryStore} while the program runs.
 * @module
 */
import { EVERYONE, type Message } from "./messages.ts";

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

/** Whether a message is one that the query asks for. */
export function isAskedFor(message: StoredMessage, { reader, rooms, with: other, after = 0 }: HistoryQuery): boolean {
  const { id, from, to } = message;
  if (id <= after) return false;
  if (other === undefined) return from === reader || to === reader || to === EVERYONE || rooms.includes(to);
  if (other === EVERYONE || rooms.includes(other)) return to === other;
  return (from === reader && to === other) || (from === other && to === reader);
}

/** A store that forgets everything when the program ends. */
export class MemoryStore implements Store {
  readonly #users = new Map<string, string | undefined>();
  readonly #rooms = new Map<string, Set<string>>();
  readonly #contacts = new Map<string, Set<string>>();
  readonly #messages: StoredMessage[] = [];
  #waiting: { readonly name: string; readonly message: StoredMessage }[] = [];

  /** Every room and the names of its members. */
  rooms(): Promise<Map<string, Set<string>>> {
    return Promise.resolve(new Map(this.#rooms.entries().map(([room, members]) => [room, new Set(members)])));
  }

  /** The user of that name. */
  user(name: string): Promise<User | undefined> {
    return Promise.resolve(this.#users.has(name) ? { name, password: this.#users.get(name) } : undefined);
  }

  /** The names of all users. */
  users(limit: number): Promise<string[]> {
    return Promise.resolve([...this.#users.keys()].sort().slice(0, limit));
  }

  /** The contacts of a user. */
  contacts(owner: string): Promise<string[]> {
    return Promise.resolve([...this.#contacts.get(owner) ?? []].sort());
  }

  /** Messages, the oldest first. */
  history(query: HistoryQuery): Promise<StoredMessage[]> {
    const found = this.#messages.filter((message) => isAskedFor(message, query));
    return Promise.resolve(query.after === undefined ? found.slice(-query.limit) : found.slice(0, query.limit));
  }

  /** The first messages that wait for a user. */
  waiting(name: string, limit: number): Promise<StoredMessage[]> {
    const mine = this.#waiting.filter((waiting) => waiting.name === name).map(({ message }) => message);
    return Promise.resolve(mine.sort((a, b) => a.id - b.id).slice(0, limit));
  }

  /** Makes a user known as a guest. */
  addGuest(name: string): Promise<void> {
    this.#users.set(name, this.#users.get(name));
    return Promise.resolve();
  }

  /** Makes an account. */
  addAccount(name: string, password: string): Promise<boolean> {
    const free = this.#users.get(name) === undefined;
    if (free) this.#users.set(name, password);
    return Promise.resolve(free);
  }

  /** Keeps a message. */
  addMessage(message: NewMessage, waitsFor?: string): Promise<number> {
    const stored = { type: "msg", id: this.#messages.length + 1, ...message } as const;
    this.#messages.push(stored);
    if (waitsFor !== undefined) this.#waiting.push({ name: waitsFor, message: stored });
    return Promise.resolve(stored.id);
  }

  /** Lets a message that is kept wait for a user. */
  letWait(name: string, id: number): Promise<void> {
    this.#waiting.push({ name, message: this.#messages[id - 1]! });
    return Promise.resolve();
  }

  /** Messages that waited for a user have reached it. */
  delivered(name: string, ids: readonly number[]): Promise<void> {
    this.#waiting = this.#waiting.filter((waiting) => waiting.name !== name || !ids.includes(waiting.message.id));
    return Promise.resolve();
  }

  /** Adds a member. */
  join(room: string, name: string): Promise<boolean> {
    const created = !this.#rooms.has(room);
    this.#rooms.set(room, (this.#rooms.get(room) ?? new Set()).add(name));
    return Promise.resolve(created);
  }

  /** Removes a member. */
  leave(room: string, name: string): Promise<void> {
    const members = this.#rooms.get(room);
    members?.delete(name);
    if (members?.size === 0) this.#rooms.delete(room);
    return Promise.resolve();
  }

  /** Removes all members of a room, unless one of them has an account. */
  dissolve(room: string): Promise<string[]> {
    const members = [...this.#rooms.get(room) ?? []];
    if (members.some((name) => this.#users.get(name) !== undefined)) return Promise.resolve([]);
    this.#rooms.delete(room);
    return Promise.resolve(members);
  }

  /** Adds a contact. */
  addContact(owner: string, name: string): Promise<void> {
    this.#contacts.set(owner, (this.#contacts.get(owner) ?? new Set()).add(name));
    return Promise.resolve();
  }

  /** Removes one. */
  removeContact(owner: string, name: string): Promise<void> {
    this.#contacts.get(owner)?.delete(name);
    return Promise.resolve();
  }
}

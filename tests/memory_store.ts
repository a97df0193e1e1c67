import { EVERYONE } from "../lib/jim/messages.ts";
import type { HistoryQuery, NewMessage, Store, StoredMessage, User } from "../lib/jim/store.ts";

/** Whether a message is one that the query asks for. */
function isAskedFor(message: StoredMessage, { reader, rooms, with: other, after = 0 }: HistoryQuery): boolean {
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

  rooms(): Promise<Map<string, Set<string>>> {
    return Promise.resolve(new Map(this.#rooms.entries().map(([room, members]) => [room, new Set(members)])));
  }

  user(name: string): Promise<User | undefined> {
    return Promise.resolve(this.#users.has(name) ? { name, password: this.#users.get(name) } : undefined);
  }

  users(limit: number): Promise<string[]> {
    return Promise.resolve([...this.#users.keys()].sort().slice(0, limit));
  }

  contacts(owner: string): Promise<string[]> {
    return Promise.resolve([...this.#contacts.get(owner) ?? []].sort());
  }

  history(query: HistoryQuery): Promise<StoredMessage[]> {
    const found = this.#messages.filter((message) => isAskedFor(message, query));
    return Promise.resolve(query.after === undefined ? found.slice(-query.limit) : found.slice(0, query.limit));
  }

  waiting(name: string, limit: number): Promise<StoredMessage[]> {
    const mine = this.#waiting.filter((waiting) => waiting.name === name).map(({ message }) => message);
    return Promise.resolve(mine.sort((a, b) => a.id - b.id).slice(0, limit));
  }

  addGuest(name: string): Promise<void> {
    this.#users.set(name, this.#users.get(name));
    return Promise.resolve();
  }

  addAccount(name: string, password: string): Promise<boolean> {
    const free = this.#users.get(name) === undefined;
    if (free) this.#users.set(name, password);
    return Promise.resolve(free);
  }

  addMessage(message: NewMessage, waitsFor?: string): Promise<number> {
    const stored = { type: "msg", id: this.#messages.length + 1, ...message } as const;
    this.#messages.push(stored);
    if (waitsFor !== undefined) this.#waiting.push({ name: waitsFor, message: stored });
    return Promise.resolve(stored.id);
  }

  letWait(name: string, id: number): Promise<void> {
    this.#waiting.push({ name, message: this.#messages[id - 1]! });
    return Promise.resolve();
  }

  delivered(name: string, ids: readonly number[]): Promise<void> {
    this.#waiting = this.#waiting.filter((waiting) => waiting.name !== name || !ids.includes(waiting.message.id));
    return Promise.resolve();
  }

  join(room: string, name: string): Promise<boolean> {
    const created = !this.#rooms.has(room);
    this.#rooms.set(room, (this.#rooms.get(room) ?? new Set()).add(name));
    return Promise.resolve(created);
  }

  leave(room: string, name: string): Promise<void> {
    const members = this.#rooms.get(room);
    members?.delete(name);
    if (members?.size === 0) this.#rooms.delete(room);
    return Promise.resolve();
  }

  dissolve(room: string): Promise<string[]> {
    const members = [...this.#rooms.get(room) ?? []];
    if (members.some((name) => this.#users.get(name) !== undefined)) return Promise.resolve([]);
    this.#rooms.delete(room);
    return Promise.resolve(members);
  }

  addContact(owner: string, name: string): Promise<void> {
    this.#contacts.set(owner, (this.#contacts.get(owner) ?? new Set()).add(name));
    return Promise.resolve();
  }

  removeContact(owner: string, name: string): Promise<void> {
    this.#contacts.get(owner)?.delete(name);
    return Promise.resolve();
  }
}

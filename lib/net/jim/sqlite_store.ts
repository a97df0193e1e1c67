/**
 * A JIM server's memory in one SQLite file.
 * @module
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { setImmediate } from "node:timers";
import { decodeText } from "../../bytes.ts";
import { EVERYONE, type Extra } from "../../jim/messages.ts";
import {
  type HistoryQuery,
  type NewMessage,
  type Store,
  type StoredMessage,
  StoreError,
  type User,
} from "../../jim/store.ts";
import { attempt, reason } from "../failure.ts";
import { delay } from "../timing.ts";

/** The path of a store that is kept nowhere. */
export const MEMORY = ":memory:";
/** Only the owner may read it. */
const PRIVATE = 0o600;
/** Marks a file as ours: "JIM1" (`PRAGMA application_id`). */
const APPLICATION_ID = 0x4a494d31;
/** How long a change waits for another program that writes to the same file, in ms. */
const LOCK_PATIENCE_MS = 5000;
/** How long until the next try, in ms. */
const LOCK_RETRY_MS = 20;
/** What a file may be besides ours, in the words of SQLite where it has some. */
const LOCKED = "database is locked";
const DAMAGED = "database disk image is malformed";
const FOREIGN = "it is a database of another program";
const TAKEN = "another server uses it";

/**
 * What makes a file of each version one of the next: the file's `PRAGMA user_version` tells how many have been made.
 * Never change one that has been released; append.
 */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE user (name TEXT PRIMARY KEY, password TEXT) STRICT, WITHOUT ROWID;
   CREATE TABLE contact (owner TEXT, name TEXT, PRIMARY KEY (owner, name)) STRICT, WITHOUT ROWID;
   CREATE TABLE room (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
   CREATE TABLE member (room TEXT, name TEXT, PRIMARY KEY (room, name)) STRICT, WITHOUT ROWID;
   CREATE TABLE message (
     id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL,
     sender TEXT NOT NULL, receiver TEXT NOT NULL, text TEXT NOT NULL, extra TEXT
   ) STRICT;
   CREATE INDEX message_sender ON message (sender);
   CREATE INDEX message_receiver ON message (receiver);
   CREATE INDEX message_pair ON message (receiver, sender);
   CREATE TABLE waiting (name TEXT, message INTEGER, PRIMARY KEY (name, message)) STRICT, WITHOUT ROWID;`,
  `DROP TABLE room`, // a room is where members are
];

/** A text is read as bytes: as text it would be cut at U+0000. */
const MESSAGE = "id, time, sender, receiver, CAST(text AS BLOB) AS text, extra";
const SQL = {
  rooms: "SELECT room, name FROM member",
  member: "SELECT name FROM member WHERE room = ? LIMIT 1",
  user: "SELECT name, password FROM user WHERE name = ?",
  users: "SELECT name FROM user ORDER BY name LIMIT ?",
  contacts: "SELECT name FROM contact WHERE owner = ? ORDER BY name",
  waiting: `SELECT ${MESSAGE} FROM waiting JOIN message ON id = message WHERE name = ? ORDER BY message LIMIT ?`,
  received: history("ASC", received("ASC")),
  lastReceived: history("DESC", received("DESC")),
  exchanged: history("ASC", exchanged("ASC")),
  lastExchanged: history("DESC", exchanged("DESC")),

  addGuest: "INSERT OR IGNORE INTO user VALUES (?, NULL)",
  addAccount: "INSERT INTO user VALUES (?, ?) ON CONFLICT DO UPDATE SET password = excluded.password " +
    "WHERE user.password IS NULL",
  addMessage: "INSERT INTO message (time, sender, receiver, text, extra) VALUES (?, ?, ?, ?, ?)",
  addWaiting: "INSERT INTO waiting VALUES (?, ?)",
  delivered: "DELETE FROM waiting WHERE name = ? AND message IN (SELECT value FROM json_each(?))",
  addMember: "INSERT OR IGNORE INTO member VALUES (?, ?)",
  removeMember: "DELETE FROM member WHERE room = ? AND name = ?",
  dissolve: `DELETE FROM member WHERE room = :room AND NOT EXISTS (
    SELECT * FROM member JOIN user USING (name) WHERE room = :room AND password IS NOT NULL) RETURNING name`,
  addContact: "INSERT OR IGNORE INTO contact VALUES (?, ?)",
  removeContact: "DELETE FROM contact WHERE owner = ? AND name = ?",
};

/** The messages whose ids `candidates` selects, as parameters: the id they come after, and how many. */
function history(order: "ASC" | "DESC", candidates: string): string {
  return `SELECT ${MESSAGE} FROM message WHERE id IN (${candidates}) ORDER BY id ${order} LIMIT :limit`;
}

/** The ids of what a sender has sent or one of the receivers got: the first or last ones of each, found by an index. */
function received(order: "ASC" | "DESC"): string {
  return `SELECT message.id FROM json_each(:receivers) AS one JOIN message ON message.id IN (
      SELECT id FROM message WHERE receiver = one.value AND id > :after ORDER BY id ${order} LIMIT :limit)
    UNION SELECT * FROM (
      SELECT id FROM message WHERE sender = :sender AND id > :after ORDER BY id ${order} LIMIT :limit)`;
}

/** The ids of what two users have sent to each other. */
function exchanged(order: "ASC" | "DESC"): string {
  const oneWay = (from: string, to: string) =>
    `SELECT * FROM (SELECT id FROM message
      WHERE receiver = :${to} AND sender = :${from} AND id > :after ORDER BY id ${order} LIMIT :limit)`;
  return `${oneWay("reader", "other")} UNION ${oneWay("other", "reader")}`;
}

interface MessageRow {
  readonly id: number;
  readonly time: number;
  readonly sender: string;
  readonly receiver: string;
  readonly text: Uint8Array;
  readonly extra: string | null;
}

/** A change that waits for the next transaction. */
interface Change {
  readonly make: () => unknown;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A store in a file, in write-ahead mode. All changes of one turn of the event loop are one transaction, which is on the disk
 * (`synchronous = FULL`) before their promises resolve.
 */
export class SqliteStore implements Store, Disposable {
  readonly #db: DatabaseSync;
  readonly #lock: Disposable | undefined;
  readonly #statements: Record<keyof typeof SQL, StatementSync>;
  #changes: Change[] = [];
  #committing = false;

  private constructor(db: DatabaseSync, lock: Disposable | undefined) {
    this.#db = db;
    this.#lock = lock;
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)]);
    this.#statements = Object.fromEntries(prepared);
  }

  /**
   * Opens the file, or makes one that only its owner can read; `:memory:` is kept nowhere. A server keeps what it knows of
   * rooms in its own memory too, and is `alone` with its file.
   * @throws {AttemptError} if it cannot be opened, is locked, damaged, of another program or of a later version
   */
  static open(path: string, { alone = false }: { readonly alone?: boolean } = {}): Promise<SqliteStore> {
    return attempt(`open ${path}`, () => {
      if (path === MEMORY) return SqliteStore.#use(path);
      Deno.openSync(path, { write: true, create: true, mode: PRIVATE }).close();
      return SqliteStore.#use(path, alone ? lock(`${Deno.realPathSync(path)}-lock`) : undefined);
    }, hint);
  }

  static #use(path: string, lock?: Disposable): SqliteStore {
    let db: DatabaseSync | undefined;
    try {
      db = new DatabaseSync(path, { timeout: LOCK_PATIENCE_MS });
      checkFile(db);
      db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"); // the first stays in the file: not in another's
      migrate(db, MIGRATIONS);
      db.exec("PRAGMA busy_timeout = 0"); // from now on it is waited for without holding up everybody
      return new SqliteStore(db, lock);
    } catch (error) {
      db?.close();
      lock?.[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#db.close();
    this.#lock?.[Symbol.dispose]();
  }

  // --- Questions -------------------------------------------------------------------------------------------------------

  async rooms(): Promise<Map<string, Set<string>>> {
    const rooms = new Map<string, Set<string>>();
    for (const { room, name } of await this.#all<{ room: string; name: string }>("rooms")) {
      rooms.set(room, (rooms.get(room) ?? new Set()).add(name));
    }
    return rooms;
  }

  async user(name: string): Promise<User | undefined> {
    const [row] = await this.#all<{ name: string; password: string | null }>("user", name);
    return row && { name, password: row.password ?? undefined };
  }

  async users(limit: number): Promise<string[]> {
    return (await this.#all<{ name: string }>("users", limit)).map(({ name }) => name);
  }

  async contacts(owner: string): Promise<string[]> {
    return (await this.#all<{ name: string }>("contacts", owner)).map(({ name }) => name);
  }

  async history({ reader, rooms, with: other, after, limit }: HistoryQuery): Promise<StoredMessage[]> {
    const inRoom = other === EVERYONE || (other !== undefined && rooms.includes(other));
    const range = { after: after ?? 0, limit };
    const rows = other !== undefined && !inRoom
      ? await this.#all<MessageRow>(after === undefined ? "lastExchanged" : "exchanged", { reader, other, ...range })
      : await this.#all<MessageRow>(after === undefined ? "lastReceived" : "received", {
        receivers: JSON.stringify(other === undefined ? [reader, EVERYONE, ...rooms] : [other]),
        sender: other === undefined ? reader : null,
        ...range,
      });
    return (after === undefined ? rows.reverse() : rows).map(messageOf);
  }

  async waiting(name: string, limit: number): Promise<StoredMessage[]> {
    return (await this.#all<MessageRow>("waiting", name, limit)).map(messageOf);
  }

  #all<Row>(name: keyof typeof SQL, ...parameters: unknown[]): Promise<Row[]> {
    return inPatience(() => this.#statements[name].all(...parameters as SQLInputValue[]) as Row[]);
  }

  // --- Changes ---------------------------------------------------------------------------------------------------------

  async addGuest(name: string): Promise<void> {
    await this.#change(() => this.#run("addGuest", name));
  }

  addAccount(name: string, password: string): Promise<boolean> {
    return this.#change(() => this.#run("addAccount", name, password).changes > 0);
  }

  addMessage({ time, from, to, text, extra }: NewMessage, waitsFor?: string): Promise<number> {
    return this.#change(() => {
      const rest = extra === undefined ? null : JSON.stringify(extra);
      const { lastInsertRowid: id } = this.#run("addMessage", time, from, to, text, rest);
      if (waitsFor !== undefined) this.#run("addWaiting", waitsFor, id);
      return Number(id);
    });
  }

  async letWait(name: string, id: number): Promise<void> {
    await this.#change(() => this.#run("addWaiting", name, id));
  }

  async delivered(name: string, ids: readonly number[]): Promise<void> {
    await this.#change(() => this.#run("delivered", name, JSON.stringify(ids)));
  }

  join(room: string, name: string): Promise<boolean> {
    return this.#change(() => {
      const created = this.#statements.member.get(room) === undefined;
      this.#run("addMember", room, name);
      return created;
    });
  }

  async leave(room: string, name: string): Promise<void> {
    await this.#change(() => this.#run("removeMember", room, name));
  }

  dissolve(room: string): Promise<string[]> {
    return this.#change(() => this.#statements.dissolve.all({ room }).map(({ name }) => name as string));
  }

  async addContact(owner: string, name: string): Promise<void> {
    await this.#change(() => this.#run("addContact", owner, name));
  }

  async removeContact(owner: string, name: string): Promise<void> {
    await this.#change(() => this.#run("removeContact", owner, name));
  }

  #run(
    name: keyof typeof SQL,
    ...parameters: SQLInputValue[]
  ): { changes: number | bigint; lastInsertRowid: number | bigint } {
    return this.#statements[name].run(...parameters);
  }

  /** Makes a change in the next transaction. */
  #change<T>(make: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#changes.push({ make, resolve: resolve as (result: unknown) => void, reject });
      if (this.#committing) return;
      this.#committing = true;
      setImmediate(() => this.#commit());
    });
  }

  /** Makes the changes that wait, all in one transaction, until none is left. */
  async #commit(): Promise<void> {
    while (this.#changes.length > 0) {
      const changes = this.#changes;
      this.#changes = [];
      try {
        const results = await inPatience(() => inTransaction(this.#db, () => changes.map(({ make }) => make())));
        changes.forEach(({ resolve }, i) => resolve(results[i]));
      } catch (error) {
        for (const { reject } of changes) reject(error);
      }
    }
    this.#committing = false;
  }
}

function messageOf({ id, time, sender, receiver, text, extra }: MessageRow): StoredMessage {
  const message = { type: "msg", id, time, from: sender, to: receiver, text: decodeText(text) } as const;
  return extra === null ? message : { ...message, extra: JSON.parse(extra) as Extra };
}

/** Runs `action` in a transaction: all of it is made, or nothing. */
function inTransaction<T>(db: DatabaseSync, action: () => T): T {
  db.exec("BEGIN IMMEDIATE");
  try {
    const result = action();
    db.exec("COMMIT");
    return result;
  } catch (error) {
    if (db.isTransaction) db.exec("ROLLBACK"); // SQLite itself takes back what a full disk has stopped
    throw error;
  }
}

/** Runs `action`, again and again while another program holds the file, and says {@linkcode StoreError} in the end. */
async function inPatience<T>(action: () => T): Promise<T> {
  for (const deadline = performance.now() + LOCK_PATIENCE_MS;;) {
    try {
      return action();
    } catch (error) {
      if (!isSqliteError(error)) throw error;
      if (error.message !== LOCKED || performance.now() > deadline) {
        throw new StoreError(reason(error), { cause: error });
      }
    }
    await delay(LOCK_RETRY_MS);
  }
}

function isSqliteError(error: unknown): error is Error {
  return error instanceof Error && "code" in error && error.code === "ERR_SQLITE_ERROR";
}

/**
 * Locks a file until it is disposed of or the process has ended, however it ends.
 * @throws {Error} if another process has locked it
 */
function lock(path: string): Disposable {
  const file = Deno.openSync(path, { write: true, create: true, mode: PRIVATE });
  if (file.tryLockSync(true)) return file;
  file.close();
  throw new Error(TAKEN);
}

/**
 * Assures that a file is whole, empty or ours.
 * @throws {Error} if it is not
 */
function checkFile(db: DatabaseSync): void {
  const first = (sql: string) => Object.values(db.prepare(sql).get()!)[0];
  const damage = first("PRAGMA quick_check(1)");
  if (damage !== "ok") throw new Error(`${DAMAGED}: ${damage}`);
  const ours = first("PRAGMA application_id") === APPLICATION_ID;
  if (!ours && first("SELECT count(*) FROM sqlite_schema") !== 0) throw new Error(FOREIGN);
}

/**
 * Brings a file to the latest version.
 * @throws {Error} if it is of a later one
 */
export function migrate(db: DatabaseSync, migrations: readonly string[]): void {
  const version = () => Number(db.prepare("PRAGMA user_version").get()!["user_version"]);
  if (version() === migrations.length) return;
  inTransaction(db, () => {
    if (version() > migrations.length) throw new Error(`it is of a later version of this program: ${version()}`);
    for (const migration of migrations.slice(version())) db.exec(migration);
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${migrations.length}`);
  });
}

/** What to do about a file that cannot be opened. */
function hint(error: unknown): string | undefined {
  const { message } = error as Error;
  const hints: Record<string, string> = {
    [LOCKED]: "another program writes to it",
    [TAKEN]: "stop that one, or name another file: --db FILE",
    [FOREIGN]: "name another one: --db FILE",
    "file is not a database": "name another one: --db FILE",
    "unable to open database file": "does its folder exist?",
    [DAMAGED]: "keep a copy, then try: sqlite3 FILE .recover",
  };
  return Object.entries(hints).find(([beginning]) => message.startsWith(beginning))?.[1];
}

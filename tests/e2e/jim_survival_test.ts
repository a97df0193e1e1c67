/**
 * What the server of JIM survives: floods, readers that stop, its own sudden end, and a disk that is full or locked.
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { SqliteStore } from "../../lib/net/jim/sqlite_store.ts";
import { connectTcp, writeAll } from "../../lib/net/tcp.ts";
import { PROGRAMS } from "../../lib/programs.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { inTime, PATIENCE_MS, type RunningServer, runTool, startServer, testWith } from "../harness.ts";
import { type JimObject, JimPeer } from "../jim_peer.ts";
import { resetAtOnce, sendWithoutReading } from "./hostile.ts";

const SERVER = "servers/jim";
const ROOM = "#busy";
/** What a client may make the server occupy above its idle state, in bytes. */
const MEMORY_LIMIT = 150e6;
const IN_MEMORY = ["--db", ":memory:"];
const UNLIMITED = ["--rate", "1000000"];
const RUN = [Deno.execPath(), "run", "--no-prompt", ...PROGRAMS[SERVER].permissions, `${SERVER}.ts`];

/** Asserts that two users can talk. */
async function assertServes(server: RunningServer): Promise<void> {
  using one = await JimPeer.logIn(server, `one ${crypto.randomUUID().slice(0, 8)}`);
  const name = `two ${crypto.randomUUID().slice(0, 8)}`;
  using two = await JimPeer.logIn(server, name);
  assertEquals((await one.tell(name, "hello")).response, 200);
  assertEquals((await two.next())!.message, "hello");
}

Deno.test("jim: 1,000 clients that connect and reset at once: the next one is served", async () => {
  await using server = await startServer(SERVER, IN_MEMORY);
  await resetAtOnce(server, 1000);
  await assertServes(server);
});

const FLOODS: Record<string, string> = {
  "requests": '{"action":"get_users","time":1}\n'.repeat(100),
  "garbage": "garbage\n".repeat(100),
  "an object without end": `{"a":"${"x".repeat(10_000)}`.repeat(10),
  "nesting without end": "[{".repeat(10_000),
};
for (const [what, text] of Object.entries(FLOODS)) {
  Deno.test(`jim: a flood of ${what} that reads nothing: others are served, memory stays bounded, it is closed`, async () => {
    await using server = await startServer(SERVER, IN_MEMORY);
    await assertServes(server);
    const idle = await server.residentBytes();
    using flood = await connectTcp({ ...server, timeout: PATIENCE_MS });
    const sending = sendWithoutReading(flood, new TextEncoder().encode(text), 20e6).catch(() => {});
    for (let i = 0; i < 5; i++) await assertServes(server);
    await sending;
    const used = await server.residentBytes() - idle;
    assert(used < MEMORY_LIMIT, `it occupies ${used} bytes more than before`);
    if (!what.endsWith("end")) await server.logged(/closed: too fast: 50 requests a second are allowed/);
  });
}

Deno.test("jim: a reader that stops in a busy room is told and disconnected; the others get every message in order", async () => {
  await using server = await startServer(SERVER, [...IN_MEMORY, ...UNLIMITED]);
  using deaf = await JimPeer.logIn(server, "deaf");
  using listener = await JimPeer.logIn(server, "listener");
  using talker = await JimPeer.logIn(server, "talker");
  for (const peer of [deaf, listener, talker]) assert(await peer.code({ action: "join", room: ROOM }) < 300);
  await listener.ask({ action: "add_contact", user_id: "deaf" });
  const text = "x".repeat(480);
  let said = 0;
  for (let dropped = false; !dropped;) {
    const batch = Array.from({ length: 200 }, (_, i) => ({ action: "msg", to: ROOM, message: `${said + i} ${text}` }));
    await talker.send(...batch);
    for (const { message } of batch) {
      assertEquals((await talker.answer()).response, 200);
      let event = await listener.next();
      if (event!.action === "presence") [dropped, event] = [true, await listener.next()];
      assertEquals(event!.message, message);
    }
    said += batch.length;
  }
  const heard = await deaf.untilClosed();
  assertEquals(heard.at(-1)!.response, 400);
  assertStringIncludes(heard.at(-1)!.error, "you read too slowly");
  heard.slice(0, -1).forEach(({ message }, i) => assertEquals(message, `${i} ${text}`));
  await server.logged(/^jim: 127\.0\.0\.1:\d+: closed: it reads too slowly: 256 KiB waited for it$/);
  using again = await JimPeer.logIn(server, "deaf");
  assertEquals((await talker.tell(ROOM, "welcome back")).response, 200);
  assertEquals((await again.next())!.message, "welcome back");
});

Deno.test("jim: who asks for the longest messages that there are gets them, and is no slow reader", async () => {
  await using server = await startServer(SERVER, [...IN_MEMORY, ...UNLIMITED]);
  using talker = await JimPeer.logIn(server, "talker");
  using reader = await JimPeer.logIn(server, "reader");
  for (const peer of [talker, reader]) assert(await peer.code({ action: "join", room: ROOM }) < 300);
  const longest = { action: "msg", to: ROOM, message: "\x01".repeat(500), more: "字".repeat(490) };
  for (let i = 0; i < 100; i++) {
    assertEquals(await talker.code(longest), 200);
    assertEquals((await reader.next())!.message, longest.message);
  }
  let got = 0;
  for (let after = 0, more = true; more;) {
    const answer = await reader.ask({ action: "history", after, limit: 100 });
    assertEquals(answer.response, 202);
    for (let i = 0; i < answer.quantity; i++) after = (await reader.next())!.id;
    got += answer.quantity;
    more = answer.more === true;
  }
  assertEquals(got, 100);
});

// --- kill -9 -----------------------------------------------------------------------------------------------------------

/** What a sender was told: ids by text. */
type Acknowledged = Map<string, number>;

/** Says one thing after the other until the server is gone; what was acknowledged is noted, and counted by `count`. */
async function talk(peer: JimPeer, name: string, round: number, { noted, count }: {
  noted: Acknowledged;
  count: () => void;
}): Promise<void> {
  const addressees = [ROOM, "reader", "away"];
  try {
    for (let i = 0;; i++) {
      const text = `${round} ${name} ${i}`;
      const { response, id } = await peer.tell(addressees[i % 3]!, text);
      assertEquals(response, addressees[i % 3] === "away" ? 202 : 200);
      assert(!noted.has(text));
      noted.set(text, id);
      count();
    }
  } catch (error) {
    if (error instanceof Error && error.name === "AssertionError") throw error;
    // the server is gone
  }
}

/** The texts of messages with their ids; asserts that ids ascend and no text comes twice. */
function textsOf(messages: readonly JimObject[]): Acknowledged {
  const texts: Acknowledged = new Map();
  let last = 0;
  for (const { id, message } of messages) {
    assert(id > last, `id ${id} comes after ${last}`);
    assert(!texts.has(message), `${message} comes twice`);
    texts.set(message, last = id);
  }
  return texts;
}

Deno.test("jim: kill -9 during traffic: all that got 200 or 202 is in the history, in order, exactly once", async () => {
  await using folder = new TestFolder();
  const args = ["--db", `${folder.path}/jim.sqlite`, ...UNLIMITED];
  const noted: Acknowledged = new Map();
  const senders = ["ann", "bob", "carol", "dave", "eve"];
  for (let round = 0; round < 5; round++) {
    await using server = await startServer(SERVER, args);
    if (round === 0) {
      using away = await JimPeer.logIn(server, "away");
      await away.ask({ action: "quit" });
    }
    using reader = await JimPeer.logIn(server, "reader");
    const peers = await Promise.all(senders.map((name) => JimPeer.logIn(server, name)));
    for (const peer of [reader, ...peers]) assert(await peer.code({ action: "join", room: ROOM }) < 300);
    const enough = Promise.withResolvers<void>();
    let left = 50 + 37 * round;
    const count = () => --left === 0 && enough.resolve();
    const talks = peers.map((peer, i) => talk(peer, senders[i]!, round, { noted, count }));
    await inTime(enough.promise, "acknowledged messages");
    await server.stop("SIGKILL");
    await Promise.all(talks);
    for (const peer of peers) peer.close();
  }

  await using server = await startServer(SERVER, args);
  using ann = await JimPeer.logIn(server, "ann");
  using reader = await JimPeer.logIn(server, "reader");
  using away = await JimPeer.logIn(server, "away");
  const kept = new Map<string, number>();
  for (const [peer, addressee] of [[reader, 1], [away, 2], [ann, 0]] as const) {
    const texts = textsOf(await peer.history());
    for (const [text, id] of texts) kept.set(text, id);
    for (const [text, id] of noted) {
      const concerns = Number(text.split(" ")[2]) % 3 === addressee;
      if (concerns) assertEquals(texts.get(text), id, `${text} was acknowledged`);
    }
  }
  assert(noted.size >= 500, `only ${noted.size} messages were acknowledged`);
  for (const name of senders) {
    const own = [...noted].filter(([text]) => text.split(" ")[1] === name).map(([, id]) => id);
    assertEquals(own, own.toSorted((a, b) => a - b));
  }
  const waited = away.events.filter(({ action }) => action === "msg");
  const texts = textsOf(waited);
  for (const [text, id] of noted) {
    if (Number(text.split(" ")[2]) % 3 === 2) assertEquals(texts.get(text), id, `${text} got 202 and must wait`);
  }
});

// --- The disk ----------------------------------------------------------------------------------------------------------

Deno.test("jim: a file that another program locks: messages wait for it; 500 after 5 s; then all goes on", async () => {
  await using folder = new TestFolder();
  const db = `${folder.path}/jim.sqlite`;
  await using server = await startServer(SERVER, ["--db", db]);
  using ann = await JimPeer.logIn(server, "ann");
  using other = new DatabaseSync(db);
  other.exec("BEGIN IMMEDIATE");
  const answer = ann.tell("ann", "waits");
  using bob = await JimPeer.connect(server);
  assertEquals(await bob.code({ action: "get_users" }), 401); // meanwhile others are served
  assertEquals(await ann.events.length, 0);
  other.exec("ROLLBACK");
  assertEquals((await answer).response, 200);
  other.exec("BEGIN IMMEDIATE");
  const { response, error } = await ann.tell("ann", "refused");
  assertEquals([response, error], [500, "the server cannot store or find it now: try again later"]);
  await server.logged("jim: store: database is locked");
  other.exec("ROLLBACK");
  assertEquals((await ann.tell("ann", "again")).response, 200);
  assertEquals((await ann.history()).map(({ message }) => message), ["waits", "again"]);
});

testWith(
  ["root", "unshare", "nsenter"],
  "jim: a full disk: 500 and one line in the log, nothing acknowledged is lost; with room again all goes on",
  async () => {
    await using folder = new TestFolder();
    const disk = `${folder.path}/disk`;
    await Deno.mkdir(disk);
    const mount = 'mount -t tmpfs -o size=400k tmpfs "$0" && head -c 200k /dev/zero > "$0/filler" && exec "$@"';
    const argv = ["unshare", "-m", "sh", "-c", mount, disk, ...RUN] as const;
    await using server = await startServer(SERVER, ["--db", `${disk}/jim.sqlite`, ...UNLIMITED], {
      argv: argv as unknown as [string, ...string[]],
    });
    using ann = await JimPeer.logIn(server, "ann");
    const accepted: string[] = [];
    let answer: JimObject = {};
    for (let i = 0; i < 2000 && answer.response !== 500; i++) {
      answer = await ann.tell("ann", `${i} ${"x".repeat(400)}`);
      if (answer.response === 200) accepted.push(`${i} ${"x".repeat(400)}`);
    }
    assertEquals(answer.response, 500);
    await server.logged("jim: store: database or disk is full");
    assertEquals(await ann.code({ action: "who" }), 202);
    const pid = `${server.process.pid}`;
    assertEquals((await runTool("nsenter", ["-t", pid, "-m", "rm", `${disk}/filler`])).code, 0);
    assertEquals((await ann.tell("ann", "room again")).response, 200);
    ann.events.length = 0;
    assertEquals((await ann.history()).map(({ message }) => message), [...accepted, "room again"]);
  },
);

Deno.test("jim: a file that is damaged while it is used: 500 and one line in the log; what needs no file goes on", async () => {
  await using folder = new TestFolder();
  const db = `${folder.path}/jim.sqlite`;
  {
    using store = await SqliteStore.open(db);
    const message = { time: 1, from: "ann", to: "ann", text: "x".repeat(500) };
    await Promise.all(Array.from({ length: 20_000 }, () => store.addMessage(message))); // more than SQLite has in memory
  }
  await using server = await startServer(SERVER, ["--db", db]);
  using ann = await JimPeer.logIn(server, "ann");
  const { size } = await Deno.stat(db);
  using file = await Deno.open(db, { write: true });
  await file.seek(4096, Deno.SeekMode.Start);
  await writeAll(file, new Uint8Array(size - 4096).fill(0x55));
  const { response, error } = await ann.ask({ action: "history", after: 0, limit: 100 });
  assertEquals([response, error], [500, "the server cannot store or find it now: try again later"]);
  await server.logged("jim: store: database disk image is malformed");
  assertEquals(await ann.code({ action: "who" }), 202);
});

// --- Many --------------------------------------------------------------------------------------------------------------

const MANY = 5000;
const OPEN_FILES = MANY + 200;
const canHold = (await runTool("sh", ["-c", `ulimit -n ${OPEN_FILES}`])).code === 0;
Deno.test({
  name: `jim: ${MANY} users at once in one room all hear one message` +
    (canHold ? "" : ` (skipped: this system does not allow ${OPEN_FILES} open files)`),
  ignore: !canHold,
  fn: async () => {
    const withOpenFiles = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', `${OPEN_FILES}`] as const;
    await using server = await startServer(SERVER, ["-q", ...IN_MEMORY], { argv: [...withOpenFiles, ...RUN] });
    const swarm = ["run", "--no-prompt", "-N", "tests/e2e/fixtures/jim_swarm.ts", `${server.port}`, `${MANY}`];
    const [sh, ...rest] = withOpenFiles;
    const { code, stdout, stderr } = await runTool(sh, [...rest, Deno.execPath(), ...swarm]);
    assertEquals([code, stdout], [0, `${MANY} users, 200, hello everybody\n`], stderr);
    await assertServes(server);
  },
});

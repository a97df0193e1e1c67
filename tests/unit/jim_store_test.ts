import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { EVERYONE } from "../../lib/jim/messages.ts";
import type { HistoryQuery, Store } from "../../lib/jim/store.ts";
import { migrate, SqliteStore } from "../../lib/net/jim/sqlite_store.ts";
import { assertEquals, assertThrows } from "../assert.ts";
import { MemoryStore } from "../memory_store.ts";

/** The stores, each empty. */
const STORES: Record<string, () => Promise<Store & Partial<Disposable>>> = {
  MemoryStore: () => Promise.resolve(new MemoryStore()),
  SqliteStore: () => SqliteStore.open(":memory:"),
};

function testStores(name: string, check: (store: Store) => Promise<void>): void {
  for (const [kind, open] of Object.entries(STORES)) {
    Deno.test(`${kind}: ${name}`, async () => {
      const store = await open();
      await check(store);
      store[Symbol.dispose]?.();
    });
  }
}

testStores("a guest becomes an account once; an account stays one", async (store) => {
  assertEquals(await store.user("ann"), undefined);
  await store.addGuest("ann");
  assertEquals(await store.user("ann"), { name: "ann", password: undefined });
  assertEquals(await store.addAccount("ann", "kept"), true);
  assertEquals(await store.addAccount("ann", "other"), false);
  await store.addGuest("ann");
  assertEquals(await store.user("ann"), { name: "ann", password: "kept" });
  assertEquals(await store.addAccount("bob", "kept"), true);
  assertEquals(await store.users(9), ["ann", "bob"]);
  assertEquals(await store.users(1), ["ann"]);
});

testStores("rooms are new once, and gone when the last member leaves; their messages stay", async (store) => {
  assertEquals(await store.join("#tea", "ann"), true);
  assertEquals(await store.join("#tea", "ann"), false);
  assertEquals(await store.join("#tea", "bob"), false);
  assertEquals(await store.rooms(), new Map([["#tea", new Set(["ann", "bob"])]]));
  const id = await store.addMessage({ time: 1, from: "ann", to: "#tea", text: "hi" });
  for (const name of ["ann", "bob", "bob"]) await store.leave("#tea", name);
  assertEquals(await store.rooms(), new Map());
  assertEquals(await store.join("#tea", "eve"), true);
  assertEquals((await store.history({ reader: "eve", rooms: ["#tea"], limit: 9 })).map((message) => message.id), [id]);
});

testStores("a room of guests is dissolved, one with an account among its members is not", async (store) => {
  await store.addAccount("ann", "kept");
  for (const name of ["bob", "eve"]) await store.addGuest(name);
  for (const [room, name] of [["#tea", "bob"], ["#tea", "eve"], ["#milk", "bob"], ["#milk", "ann"]] as const) {
    await store.join(room, name);
  }
  const dissolved = [await store.dissolve("#tea"), await store.dissolve("#milk"), await store.dissolve("#none")];
  assertEquals(dissolved.map((names) => names.toSorted()), [["bob", "eve"], [], []]);
  assertEquals(await store.rooms(), new Map([["#milk", new Set(["ann", "bob"])]]));
});

testStores("contacts are each user's own", async (store) => {
  for (const name of ["carol", "bob", "bob"]) await store.addContact("ann", name);
  await store.addContact("bob", "ann");
  await store.removeContact("ann", "carol");
  await store.removeContact("ann", "carol");
  assertEquals([await store.contacts("ann"), await store.contacts("bob")], [["bob"], ["ann"]]);
});

testStores("a message comes back as it was, whatever it holds", async (store) => {
  const message = {
    time: 1.25,
    from: "ann",
    to: "bob",
    text: "\0 \u{1f600} \" ' \\ %",
    extra: { a: [null, { b: "й" }] },
  };
  const id = await store.addMessage(message, "bob");
  assertEquals(await store.waiting("bob", 9), [{ type: "msg", id, ...message }]);
  assertEquals(await store.history({ reader: "bob", rooms: [], limit: 9 }), [{ type: "msg", id, ...message }]);
});

testStores(
  "waiting messages come in order, also who waits later, and are forgotten when delivered",
  async (store) => {
    for (let i = 1; i <= 5; i++) {
      await store.addMessage(
        { time: i, from: "ann", to: i % 2 === 0 ? "carol" : "bob", text: `${i}` },
        i % 2 ? "bob" : undefined,
      );
    }
    const texts = async (limit: number) => (await store.waiting("bob", limit)).map(({ text }) => text);
    assertEquals(await texts(9), ["1", "3", "5"]);
    assertEquals(await texts(2), ["1", "3"]);
    await store.letWait("bob", 2);
    await store.delivered("bob", [1, 3]);
    await store.delivered("carol", [2, 4, 5]);
    assertEquals(await texts(9), ["2", "5"]);
  },
);

testStores("changes asked for at the same time are made in their order", async (store) => {
  const resolved: number[] = [];
  const ids = await Promise.all(Array.from({ length: 100 }, async (_, i) => {
    const id = await store.addMessage({ time: i, from: "ann", to: "#tea", text: `${i}` });
    resolved.push(id);
    return id;
  }));
  assertEquals(resolved, ids);
  assertEquals(ids, Array.from({ length: 100 }, (_, i) => ids[0]! + i));
});

Deno.test("SqliteStore finds the same history as MemoryStore, whatever was said and asked", async () => {
  const name = fc.constantFrom("ann", "bob", "carol");
  const place = fc.constantFrom("ann", "bob", "#tea", "#milk", EVERYONE);
  const query = fc.record({
    reader: name,
    rooms: fc.subarray(["#tea", "#milk"]),
    with: place,
    after: fc.nat(30),
    limit: fc.integer({ min: 1, max: 10 }),
  }, { requiredKeys: ["reader", "rooms", "limit"] }) as fc.Arbitrary<HistoryQuery>;
  const messages = fc.array(fc.record({ from: name, to: place }), { maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(messages, fc.array(query, { minLength: 1, maxLength: 10 }), async (said, queries) => {
      using sqlite = await SqliteStore.open(":memory:");
      const memory = new MemoryStore();
      await Promise.all(
        said.flatMap((message, time) =>
          [sqlite, memory].map((store) => store.addMessage({ ...message, time, text: `${time}` }))
        ),
      );
      for (const query of queries) {
        if (query.with?.startsWith("#") && query.with !== EVERYONE && !query.rooms.includes(query.with)) continue; // the hub refuses it
        assertEquals(await sqlite.history(query), await memory.history(query));
      }
    }),
    { numRuns: 50 },
  );
});

Deno.test("migrate() runs what a file lacks, once, and all of it or nothing", () => {
  using db = new DatabaseSync(":memory:");
  const tables = () => db.prepare("SELECT name FROM sqlite_schema ORDER BY name").all().map((row) => row["name"]);
  const versions = ["CREATE TABLE a (x)", "CREATE TABLE b (x)", "CREATE TABLE c (x)"];
  migrate(db, versions.slice(0, 1));
  migrate(db, versions.slice(0, 1));
  assertEquals(tables(), ["a"]);
  assertThrows(() => migrate(db, [...versions.slice(0, 2), "CREATE TABLE b (x)"]), Error, "already exists");
  assertEquals(tables(), ["a"]);
  migrate(db, versions);
  assertEquals(tables(), ["a", "b", "c"]);
  assertThrows(() => migrate(db, versions.slice(0, 2)), Error, "it is of a later version of this program: 3");
});

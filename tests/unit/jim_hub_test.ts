import { type Effect, Hub, type HubOptions, MAX_CONTACTS, MAX_ROOMS, MAX_ROOMS_OF_MEMBER } from "../../lib/jim/hub.ts";
import { type Answer, type Event, EVERYONE, type Message, type Request } from "../../lib/jim/messages.ts";
import { StoreError } from "../../lib/jim/store.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import { MemoryStore } from "../memory_store.ts";

/** Passwords kept as they are, and how often they were asked. */
class PlainPasswords {
  verified: [string, string | undefined][] = [];
  hash(password: string): Promise<string> {
    return Promise.resolve(`kept ${password}`);
  }
  verify(password: string, kept: string | undefined): Promise<boolean> {
    this.verified.push([password, kept]);
    return Promise.resolve(kept === `kept ${password}`);
  }
}

/** A hub whose peers are words, with a clock that stands still and everything it has said. */
class World {
  now = 1_763_712_000_000;
  /** How far somebody has set the clock of the day, in ms. */
  set = 0;
  store = new MemoryStore();
  passwords = new PlainPasswords();
  trouble: StoreError[] = [];
  #effects: Effect<string>[] = [];
  #hub!: Hub<string>;

  static async open(options: Partial<HubOptions<string>> = {}): Promise<World> {
    const world = new World();
    await world.restart(options);
    return world;
  }

  async restart(options: Partial<HubOptions<string>> = {}): Promise<void> {
    this.#hub = await Hub.open<string>({
      store: this.store,
      passwords: this.passwords,
      now: () => this.now + this.set,
      clock: () => this.now,
      emit: (effect) => this.#effects.push(effect),
      flushed: () => Promise.resolve(),
      probes: () => true,
      trouble: (error) => this.trouble.push(error),
      ...options,
    });
  }

  get hub(): Hub<string> {
    return this.#hub;
  }

  /** What was said since the last look: to whom, and what. */
  async said(): Promise<string[]> {
    await settle();
    return this.#effects.splice(0).map(show);
  }

  /** The effects themselves. */
  async effects(): Promise<Effect<string>[]> {
    await settle();
    return this.#effects.splice(0);
  }

  /** Sends a request and returns the answer; what else is said waits. */
  async ask(peer: string, request: Request): Promise<Answer> {
    await this.#hub.request(peer, request);
    const index = this.#effects.findIndex((effect) => effect.type === "answer" && effect.to === peer);
    const [effect] = index === -1 ? [] : this.#effects.splice(index, 1);
    return (effect as { answer: Answer }).answer;
  }

  /** The code of the answer. */
  async code(peer: string, request: Request): Promise<number> {
    return (await this.ask(peer, request)).code;
  }

  /** Connects and logs in users whose connections have their names. */
  async logIn(...names: string[]): Promise<void> {
    for (const name of names) {
      this.#hub.connect(name, "192.0.2.1");
      assertEquals(await this.code(name, { action: "presence", name }), 200);
    }
    await this.said();
  }

  /** The same, in a room. */
  async join(room: string, ...names: string[]): Promise<void> {
    for (const name of names) await this.ask(name, { action: "join", room });
    await this.said();
  }
}

/** Lets everything happen that has begun. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

/** An effect as one line. */
function show(effect: Effect<string>): string {
  if (effect.type === "answer") return `${effect.to} < ${effect.answer.code} ${effect.answer.text}`;
  if (effect.type === "close") return `${effect.to} closed: ${effect.goodbye?.code ?? ""} ${effect.reason}`;
  if (effect.type === "login") return `${effect.to} is ${effect.name}`;
  return `${effect.to.toSorted().join(",")} < ${showEvent(effect.event)}`;
}

function showEvent(event: Event): string {
  if (event.type === "msg") return `${event.id} ${event.from} to ${event.to}: ${event.text}`;
  if (event.type === "presence") return `${event.name} ${event.online ? `online ${event.status ?? ""}` : "offline"}`;
  return event.type;
}

const presence = (name: string, status?: string): Request => ({
  action: "presence",
  name,
  ...(status === undefined ? {} : { status }),
});
const msg = (to: string, text: string): Request => ({ action: "msg", to, text });

// --- Logging in --------------------------------------------------------------------------------------------------------

Deno.test("Hub: presence logs a guest in; again by the same name is 200, by another 400", async () => {
  const world = await World.open();
  world.hub.connect("one", "192.0.2.1");
  await world.hub.request("one", presence("ann"));
  assertEquals(await world.said(), ["one is ann", "one < 200 OK"]);
  assertEquals(await world.code("one", presence("ann")), 200);
  assertEquals(await world.code("one", presence("bob")), 400);
  assertEquals(world.hub.sizes, { users: 1, rooms: 0 });
});

Deno.test("Hub: nothing but logging in, registering and leaving is allowed before a login: 401", async () => {
  const world = await World.open();
  world.hub.connect("one", "192.0.2.1");
  const requests: Request[] = [
    msg("bob", "hi"),
    { action: "join", room: "#tea" },
    { action: "leave", room: "#tea" },
    { action: "get_contacts" },
    { action: "add_contact", name: "bob" },
    { action: "del_contact", name: "bob" },
    { action: "get_users" },
    { action: "who" },
    { action: "history", limit: 1 },
  ];
  for (const request of requests) assertEquals(await world.code("one", request), 401, request.action);
  await world.hub.request("one", { action: "probe-answer" });
  assertEquals(await world.said(), []);
});

Deno.test("Hub: a second login of the same name is 409 until the first connection is gone, however it goes", async () => {
  const world = await World.open();
  await world.logIn("ann");
  world.hub.connect("two", "192.0.2.2");
  assertEquals(await world.code("two", presence("ann")), 409);
  world.hub.disconnect("ann");
  world.hub.disconnect("ann");
  assertEquals(await world.code("two", presence("ann")), 200);
});

Deno.test("Hub: of two logins of one name at the same time one gets it", async () => {
  const world = await World.open();
  world.hub.connect("one", "192.0.2.1");
  world.hub.connect("two", "192.0.2.1");
  await Promise.all([world.hub.request("one", presence("ann")), world.hub.request("two", presence("ann"))]);
  assertEquals(await world.said(), ["one is ann", "one < 200 OK", "two < 409 this name is already connected"]);
});

Deno.test("Hub: a connection that is gone before its login is done leaves the name free", async () => {
  const world = await World.open();
  world.hub.connect("one", "192.0.2.1");
  const request = world.hub.request("one", presence("ann"));
  world.hub.disconnect("one");
  await request;
  assertEquals(world.hub.sizes.users, 0);
});

Deno.test("Hub: quit is answered, closed, and told to who watches", async () => {
  const world = await World.open();
  await world.logIn("ann", "bob");
  await world.ask("bob", { action: "add_contact", name: "ann" });
  await world.hub.request("ann", { action: "quit" });
  assertEquals(await world.said(), ["ann < 200 goodbye", "bob < ann offline", "ann closed:  said goodbye"]);
});

Deno.test("Hub: register is 201, then 409; presence of that name is 401 until authenticate", async () => {
  const world = await World.open();
  world.hub.connect("one", "192.0.2.1");
  assertEquals(await world.code("one", { action: "register", name: "ann", password: "sesame" }), 201);
  assertEquals(await world.code("one", { action: "register", name: "ann", password: "other" }), 409);
  assertEquals(await world.code("one", presence("ann")), 401);
  assertEquals(await world.code("one", { action: "authenticate", name: "ann", password: "wrong" }), 402);
  assertEquals(await world.code("one", { action: "authenticate", name: "ann", password: "sesame" }), 200);
  assertEquals(world.hub.sizes.users, 1);
  assertEquals(await world.code("one", { action: "authenticate", name: "bob", password: "sesame" }), 400);
});

Deno.test("Hub: a password in the presence authenticates too", async () => {
  const world = await World.open();
  world.hub.connect("one", "192.0.2.1");
  await world.ask("one", { action: "register", name: "ann", password: "sesame" });
  assertEquals(await world.code("one", { ...presence("ann"), password: "wrong" } as Request), 402);
  assertEquals(await world.code("one", { ...presence("ann"), password: "sesame" } as Request), 200);
});

Deno.test("Hub: who is online as a guest can make its name an account; nobody else can", async () => {
  const world = await World.open();
  await world.logIn("ann");
  world.hub.connect("two", "192.0.2.1");
  assertEquals(await world.code("two", { action: "register", name: "ann", password: "mine" }), 409);
  assertEquals(await world.code("ann", { action: "register", name: "ann", password: "sesame" }), 201);
  world.hub.disconnect("ann");
  assertEquals(await world.code("two", presence("ann")), 401);
});

Deno.test("Hub: nobody logs in as a guest under a name that is becoming an account", async () => {
  const world = await World.open();
  const hashed = Promise.withResolvers<string>();
  world.passwords.hash = () => hashed.promise;
  for (const peer of ["one", "two"]) world.hub.connect(peer, "192.0.2.1");
  const registered = world.code("one", { action: "register", name: "ann", password: "sesame" });
  await settle();
  assertEquals(await world.code("two", presence("ann")), 409);
  assertEquals(await world.code("two", { action: "register", name: "ann", password: "mine" }), 409);
  hashed.resolve("kept sesame");
  assertEquals(await registered, 201);
  assertEquals(await world.code("two", presence("ann")), 401);
  assertEquals(await world.code("one", { action: "authenticate", name: "ann", password: "sesame" }), 200);
});

Deno.test("Hub: --closed refuses register with 403; --accounts-only refuses guests with 401", async () => {
  const closed = await World.open({ closed: true });
  closed.hub.connect("one", "192.0.2.1");
  assertEquals(await closed.code("one", { action: "register", name: "ann", password: "p" }), 403);
  const accountsOnly = await World.open({ accountsOnly: true });
  accountsOnly.hub.connect("one", "192.0.2.1");
  assertEquals(await accountsOnly.code("one", presence("ann")), 401);
  assertEquals(await accountsOnly.store.user("ann"), undefined);
  await accountsOnly.ask("one", { action: "register", name: "ann", password: "p" });
  assertEquals(await accountsOnly.code("one", { action: "authenticate", name: "ann", password: "p" }), 200);
});

Deno.test("Hub: an unknown name and a wrong password get the same answer after the same work", async () => {
  const world = await World.open();
  await world.store.addAccount("ann", "kept sesame");
  await world.store.addGuest("guest");
  world.hub.connect("one", "192.0.2.1");
  const answers: Answer[] = [];
  for (const name of ["ann", "nobody", "guest"]) {
    answers.push(await world.ask("one", { action: "authenticate", name, password: "wrong" }));
  }
  assertEquals(answers[1], answers[0]!);
  assertEquals(answers[2], answers[0]!);
  assertEquals(world.passwords.verified, [["wrong", "kept sesame"], ["wrong", undefined], ["wrong", undefined]]);
});

Deno.test("Hub: after 5 wrong passwords the address waits, twice as long after each further one, up to a minute", async () => {
  const world = await World.open({ rate: { perSecond: 1000, burst: 1000 } });
  await world.store.addAccount("ann", "kept sesame");
  world.hub.connect("one", "192.0.2.1");
  const guess = (peer: string, password: string) => world.ask(peer, { action: "authenticate", name: "ann", password });
  for (let i = 0; i < 5; i++) assertEquals((await guess("one", "wrong")).code, 402);
  for (const wait of [1, 2, 4, 8, 16, 32, 60, 60]) {
    world.now += 1000 * wait - 1000 * Math.min(wait, 1); // not yet over
    const early = world.passwords.verified.length;
    assertStringIncludes((await guess("one", "sesame")).text, "too many wrong passwords from your address: wait 1 s");
    assertEquals(world.passwords.verified.length, early);
    world.now += 1000;
    assertEquals((await guess("one", "wrong")).code, 402);
  }
  world.hub.connect("two", "192.0.2.2"); // another address is not concerned
  assertEquals((await guess("two", "wrong")).code, 402);
  world.now += 60_000;
  assertEquals((await guess("one", "sesame")).code, 200);
});

Deno.test("Hub: a right password ends the row of wrong ones", async () => {
  const world = await World.open();
  await world.store.addAccount("ann", "kept sesame");
  world.hub.connect("one", "192.0.2.1");
  const guess = (password: string) => world.code("one", { action: "authenticate", name: "ann", password });
  for (const password of ["1", "2", "3", "4", "sesame", "1", "2", "3", "4"]) {
    assertEquals(await guess(password), password === "sesame" ? 200 : 402);
  }
});

Deno.test("Hub: nobody may guess more by logging in with an own password now and then", async () => {
  const world = await World.open({ rate: { perSecond: 1000, burst: 1000 } });
  for (const name of ["ann", "eve"]) await world.store.addAccount(name, `kept ${name}`);
  const log = async (name: string, password: string) => {
    world.hub.connect("one", "192.0.2.1");
    const code = await world.code("one", { action: "authenticate", name, password });
    world.hub.disconnect("one");
    return code;
  };
  const codes: number[] = [];
  for (let i = 0; i < 3; i++) codes.push(await log("ann", "1"), await log("ann", "2"), await log("eve", "eve"));
  assertEquals(codes, [402, 402, 200, 402, 402, 200, 402, 400, 400]);
  world.now += 15 * 60_000;
  assertEquals(await log("ann", "ann"), 200);
});

Deno.test("Hub: guesses of one address on many connections are looked at one by one", async () => {
  const world = await World.open();
  await world.store.addAccount("ann", "kept sesame");
  const peers = Array.from({ length: 20 }, (_, i) => `peer ${i}`);
  for (const peer of peers) world.hub.connect(peer, "2001:db8::" + peer.slice(5)); // one network
  await Promise.all(peers.map((peer) => {
    return world.hub.request(peer, { action: "authenticate", name: "ann", password: "wrong" });
  }));
  assertEquals(world.passwords.verified.length, 5);
  assertEquals((await world.said()).filter((line) => line.includes(" < 402 ")).length, 5);
});

Deno.test("Hub: one address has one password computed at a time, guessed or new: others need not wait for all of them", async () => {
  const world = await World.open();
  const computing: string[] = [];
  const compute = (password: string) => {
    computing.push(password);
    return new Promise<never>(() => {});
  };
  world.passwords.hash = compute;
  world.passwords.verify = compute;
  const ask = (peer: string, address: string, action: "register" | "authenticate") => {
    world.hub.connect(peer, address);
    world.hub.request(peer, { action, name: peer, password: peer });
  };
  ask("a1", "192.0.2.1", "register");
  ask("a2", "192.0.2.1", "register");
  ask("a3", "192.0.2.1", "authenticate");
  ask("b1", "192.0.2.2", "authenticate");
  await settle();
  assertEquals(computing.map((password) => password[0]).toSorted(), ["a", "b"]);
});

// --- Messages ----------------------------------------------------------------------------------------------------------

Deno.test("Hub: a message to a user online is delivered with id and time, and answered with 200 and both", async () => {
  const world = await World.open();
  await world.logIn("ann", "bob");
  const answer = await world.ask("ann", { action: "msg", to: "bob", text: "hi", extra: { mood: "good" } });
  assertEquals(answer, { action: "msg", code: 200, text: "OK", id: 1, time: 1_763_712_000 });
  const [effect] = await world.effects();
  const event: Message = {
    type: "msg",
    id: 1,
    time: 1_763_712_000,
    from: "ann",
    to: "bob",
    text: "hi",
    extra: { mood: "good" },
  };
  assertEquals(effect, { type: "event", to: ["bob"], event });
});

Deno.test("Hub: a message to who is offline waits (202) and comes after the login's answer, in order, once", async () => {
  const world = await World.open();
  await world.logIn("ann", "bob");
  world.hub.disconnect("bob");
  for (let i = 1; i <= 120; i++) {
    assertEquals(await world.code("ann", msg("bob", `${i}`)), 202);
    world.now += 100;
  }
  world.hub.connect("bob", "192.0.2.1");
  await world.hub.request("bob", presence("bob"));
  const expected = Array.from({ length: 120 }, (_, i) => `bob < ${i + 1} ann to bob: ${i + 1}`);
  const said = [...await world.said(), ...await world.said(), ...await world.said()];
  assertEquals(said, ["bob is bob", "bob < 200 OK", ...expected]);
  world.hub.disconnect("bob");
  world.hub.connect("bob", "192.0.2.1");
  await world.hub.request("bob", presence("bob"));
  assertEquals(await world.said(), ["bob is bob", "bob < 200 OK"]);
});

Deno.test("Hub: what comes while waiting messages are being delivered comes after them", async () => {
  let flush = () => {};
  const world = await World.open({ flushed: () => new Promise((resolve) => flush = resolve) });
  await world.logIn("ann", "bob");
  world.hub.disconnect("bob");
  await world.ask("ann", msg("bob", "one"));
  world.hub.connect("bob", "192.0.2.1");
  await world.ask("bob", presence("bob"));
  assertEquals(await world.said(), ["bob is bob", "bob < 1 ann to bob: one"]);
  assertEquals(await world.code("ann", msg("bob", "two")), 202);
  assertEquals(await world.said(), []);
  flush();
  assertEquals(await world.said(), ["bob < 2 ann to bob: two"]);
  flush();
  await settle();
  assertEquals(await world.code("ann", msg("bob", "three")), 200);
  assertEquals(await world.said(), ["bob < 3 ann to bob: three"]);
});

Deno.test("Hub: a message kept while it is looked whether any wait is not forgotten", async () => {
  const world = await World.open();
  await world.logIn("ann");
  await world.store.addGuest("bob");
  const looked = Promise.withResolvers<void>();
  const waiting = world.store.waiting.bind(world.store);
  world.store.waiting = async (name, limit) => {
    const found = await waiting(name, limit);
    await looked.promise;
    return found;
  };
  world.hub.connect("bob", "192.0.2.1");
  await world.ask("bob", presence("bob"));
  assertEquals(await world.code("ann", msg("bob", "late")), 202);
  assertEquals(await world.said(), ["bob is bob"]);
  looked.resolve();
  assertEquals(await world.said(), ["bob < 1 ann to bob: late"]);
});

Deno.test("Hub: waiting messages that a connection has not taken wait for the next", async () => {
  const world = await World.open({ flushed: (peer) => Promise.resolve(world.hub.disconnect(peer)) });
  world.hub.connect("ann", "192.0.2.1");
  await world.store.addGuest("bob");
  await world.store.addMessage({ time: 1, from: "ann", to: "bob", text: "one" }, "bob");
  for (let i = 0; i < 2; i++) {
    world.hub.connect("bob", "192.0.2.1");
    await world.hub.request("bob", presence("bob"));
    assertEquals(await world.said(), ["bob is bob", "bob < 200 OK", "bob < 1 ann to bob: one"]);
  }
});

/** Something to happen while a message is being stored. */
function whileStoring(world: World, action: () => void | Promise<unknown>): void {
  const addMessage = world.store.addMessage.bind(world.store);
  world.store.addMessage = async (...args) => {
    world.store.addMessage = addMessage;
    const id = await addMessage(...args);
    await action();
    return id;
  };
}

Deno.test("Hub: a message whose receiver goes while it is stored waits, and comes at the next login", async () => {
  const world = await World.open();
  await world.logIn("ann", "bob");
  whileStoring(world, () => world.hub.disconnect("bob"));
  assertEquals(await world.code("ann", msg("bob", "hi")), 202);
  assertEquals(await world.said(), []);
  world.hub.connect("bob", "192.0.2.1");
  await world.hub.request("bob", presence("bob"));
  assertEquals(await world.said(), ["bob is bob", "bob < 200 OK", "bob < 1 ann to bob: hi"]);
});

Deno.test("Hub: one who is back before the message is stored gets it with what waited, once", async () => {
  let flush = () => {};
  const world = await World.open({ flushed: () => new Promise((resolve) => flush = resolve) });
  await world.logIn("ann", "bob");
  whileStoring(world, async () => {
    world.hub.disconnect("bob");
    for (const text of ["one", "two"]) await world.store.addMessage({ time: 1, from: "eve", to: "bob", text }, "bob");
    world.hub.connect("bob", "192.0.2.1");
    await world.hub.request("bob", presence("bob"));
  });
  assertEquals(await world.code("ann", msg("bob", "hi")), 202);
  const events = (said: string[]) => said.filter((line) => line.includes(" to bob: "));
  const said = events(await world.said());
  for (let i = 0; i < 2; i++) {
    flush();
    said.push(...events(await world.said()));
  }
  assertEquals(said.toSorted(), ["bob < 1 ann to bob: hi", "bob < 2 eve to bob: one", "bob < 3 eve to bob: two"]);
});

Deno.test("Hub: --no-store: a message whose receiver goes while it is stored is 410", async () => {
  const world = await World.open({ noStore: true });
  await world.logIn("ann", "bob");
  whileStoring(world, () => world.hub.disconnect("bob"));
  assertEquals(await world.code("ann", msg("bob", "hi")), 410);
  assertEquals(await world.store.waiting("bob", 9), []);
});

Deno.test("Hub: a message to nobody known is 404; --no-store: to who is offline 410", async () => {
  const world = await World.open({ noStore: true });
  await world.logIn("ann", "bob");
  assertEquals(await world.code("ann", msg("carol", "hi")), 404);
  assertEquals(await world.code("ann", msg("bob", "hi")), 200);
  world.hub.disconnect("bob");
  assertEquals(await world.code("ann", msg("bob", "hi")), 410);
  assertEquals(await world.store.waiting("bob", 9), []);
});

Deno.test("Hub: a message to #all reaches everyone online but its sender", async () => {
  const world = await World.open();
  await world.logIn("ann", "bob", "carol");
  world.hub.connect("not logged in", "192.0.2.1");
  assertEquals(await world.code("ann", msg(EVERYONE, "hi")), 200);
  assertEquals(await world.said(), ["bob,carol < 1 ann to #all: hi"]);
});

Deno.test("Hub: a message to oneself comes back", async () => {
  const world = await World.open();
  await world.logIn("ann");
  assertEquals(await world.code("ann", msg("ann", "note")), 200);
  assertEquals(await world.said(), ["ann < 1 ann to ann: note"]);
});

// --- Rooms -------------------------------------------------------------------------------------------------------------

Deno.test("Hub: the first join makes the room (201), later ones do not (200); messages reach the other members", async () => {
  const world = await World.open();
  await world.logIn("ann", "bob", "carol");
  assertEquals(await world.code("ann", { action: "join", room: "#tea" }), 201);
  assertEquals(await world.code("ann", { action: "join", room: "#tea" }), 200);
  assertEquals(await world.code("bob", { action: "join", room: "#tea" }), 200);
  assertEquals(await world.code("ann", msg("#tea", "hi")), 200);
  assertEquals(await world.said(), ["bob < 1 ann to #tea: hi"]);
  assertEquals(await world.code("carol", msg("#tea", "let me in")), 403);
  assertEquals(await world.code("carol", msg("#coffee", "hi")), 404);
  assertEquals((await world.ask("bob", { action: "who", room: "#tea" })).names, ["ann", "bob"]);
  assertEquals(await world.code("carol", { action: "who", room: "#tea" }), 403);
  assertEquals((await world.ask("carol", { action: "who" })).names, ["ann", "bob", "carol"]);
});

Deno.test("Hub: who leaves a room gets no more of it, and may leave it once", async () => {
  const world = await World.open();
  await world.logIn("ann", "bob");
  await world.join("#tea", "ann", "bob");
  assertEquals(await world.code("bob", { action: "leave", room: "#tea" }), 200);
  assertEquals(await world.code("bob", { action: "leave", room: "#tea" }), 403);
  assertEquals(await world.code("bob", { action: "leave", room: "#coffee" }), 404);
  await world.ask("ann", msg("#tea", "gone?"));
  assertEquals(await world.said(), []);
  assertEquals(await world.store.rooms(), new Map([["#tea", new Set(["ann"])]]));
});

Deno.test("Hub: a room is gone when its last member leaves; until then it is there, whoever is online", async () => {
  const world = await World.open();
  await world.logIn("ann", "bob");
  await world.join("#tea", "ann", "bob");
  world.hub.disconnect("bob");
  assertEquals(await world.code("ann", { action: "leave", room: "#tea" }), 200);
  assertEquals(await world.code("ann", { action: "leave", room: "#tea" }), 403);
  await world.logIn("bob");
  assertEquals(await world.code("bob", { action: "leave", room: "#tea" }), 200);
  assertEquals(world.hub.sizes.rooms, 0);
  assertEquals(await world.code("bob", msg("#tea", "hello?")), 404);
  assertEquals(await world.code("ann", { action: "join", room: "#tea" }), 201);
});

Deno.test("Hub: membership survives a disconnect and a restart", async () => {
  const world = await World.open();
  await world.logIn("ann", "bob");
  await world.join("#tea", "ann", "bob");
  world.hub.disconnect("bob");
  await world.ask("ann", msg("#tea", "bob is away"));
  assertEquals(await world.said(), []);
  await world.restart();
  await world.logIn("ann", "bob");
  assertEquals(await world.code("ann", msg("#tea", "all back")), 200);
  assertEquals(await world.said(), ["bob < 2 ann to #tea: all back"]);
});

Deno.test("Hub: a member of too many rooms joins no more", async () => {
  const world = await World.open({ rate: { perSecond: 1, burst: 1000 } });
  await world.logIn("ann");
  for (let i = 0; i < MAX_ROOMS_OF_MEMBER; i++) {
    assertEquals(await world.code("ann", { action: "join", room: `#${i}` }), 201);
  }
  assertEquals(await world.code("ann", { action: "join", room: "#one more" }), 400);
  assertEquals(await world.code("ann", { action: "join", room: "#0" }), 200);
});

Deno.test("Hub: a server full of rooms gives up those of guests who are offline, the longest deserted first, for new ones", async () => {
  const world = await World.open({ rate: { perSecond: 1, burst: 1000 } });
  await world.logIn("ann", "bob", "eve");
  await world.ask("ann", { action: "register", name: "ann", password: "secret" });
  await world.join("#account", "ann", "bob");
  await world.join("#online", "bob", "eve");
  for (let guest = 0; world.hub.sizes.rooms < MAX_ROOMS; guest++) {
    await world.logIn(`guest ${guest}`);
    const free = Math.min(MAX_ROOMS_OF_MEMBER, MAX_ROOMS - world.hub.sizes.rooms);
    for (let i = 0; i < free; i++) await world.join(`#${guest}.${i}`, `guest ${guest}`);
  }
  const rooms = () => world.store.rooms().then((rooms) => [...rooms.keys()]);
  assertEquals(await world.code("eve", { action: "join", room: "#new" }), 400, "all guests are online");
  for (const name of ["ann", "bob", "guest 7", "guest 3"]) world.hub.disconnect(name);
  assertEquals(await world.code("eve", { action: "join", room: "#new" }), 201);
  assertEquals((await rooms()).filter((room) => room.startsWith("#7.")).length, MAX_ROOMS_OF_MEMBER - 1);
  await world.logIn("guest 7"); // no longer deserted
  for (let i = 0; i < 50; i++) assertEquals(await world.code("eve", { action: "join", room: `#new ${i}` }), 201);
  assertEquals((await rooms()).filter((room) => /^#(3|7)[.]/.test(room)).length, 2 * MAX_ROOMS_OF_MEMBER - 51);
  assertEquals((await rooms()).filter((room) => /^#(account|online)$/.test(room)), ["#account", "#online"]);
  assertEquals([(await rooms()).length, world.hub.sizes.rooms], [MAX_ROOMS, MAX_ROOMS]);

  await world.restart({ rate: { perSecond: 1, burst: 1000 } }); // as if all were away for equally long
  await world.logIn("eve");
  for (let i = 51; i < 90; i++) assertEquals(await world.code("eve", { action: "join", room: `#new ${i}` }), 201);
  assertEquals((await rooms()).filter((room) => /^#(account|online|new.*)$/.test(room)).length, 92);
  await world.logIn("bob");
  assertEquals(await world.code("bob", msg("#account", "still here")), 200);
});

Deno.test("Hub: who logs in while its room is given up is out of it; who joins then makes it anew", async () => {
  const world = await World.open({ rate: { perSecond: 1, burst: 1000 } });
  for (let i = 0; i < MAX_ROOMS; i++) await world.store.join(`#${i}`, "ann");
  await world.restart();
  await world.logIn("bob", "eve");
  const dissolve = world.store.dissolve.bind(world.store);
  const [asked, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  world.store.dissolve = async (room) => {
    asked.resolve();
    await go.promise;
    return await dissolve(room);
  };
  const made = world.code("bob", { action: "join", room: "#new" });
  await asked.promise;
  await world.logIn("ann");
  go.resolve();
  assertEquals(await made, 201);
  assertEquals(await world.code("ann", msg("#0", "hello?")), 404);
  assertEquals(await world.code("ann", msg("#1", "hello?")), 200);
  await world.ask("ann", { action: "leave", room: "#1" });
  assertEquals(await world.code("eve", { action: "join", room: "#0" }), 201);
});

Deno.test("Hub: history is what concerns the reader: own talks, own rooms, #all; a stranger's room is 403", async () => {
  const world = await World.open();
  await world.logIn("ann", "bob", "carol");
  await world.join("#tea", "ann", "bob");
  for (const [to, text] of [["#tea", "1"], ["bob", "2"], [EVERYONE, "3"], ["carol", "4"]] as const) {
    await world.ask("ann", msg(to, text));
  }
  await world.ask("bob", msg("ann", "5"));
  const texts = async (peer: string, more: { with?: string; after?: number; limit?: number } = {}) =>
    (await world.ask(peer, { action: "history", limit: 100, ...more })).messages!.map(({ text }) => text).join(" ");
  assertEquals(await texts("ann"), "1 2 3 4 5");
  assertEquals(await texts("bob"), "1 2 3 5");
  assertEquals(await texts("carol"), "3 4");
  assertEquals(await texts("bob", { with: "ann" }), "2 5");
  assertEquals(await texts("bob", { with: "#tea" }), "1");
  assertEquals(await texts("bob", { with: EVERYONE }), "3");
  assertEquals(await texts("bob", { with: "carol" }), "");
  assertEquals(await texts("ann", { limit: 2 }), "4 5");
  assertEquals(await texts("ann", { limit: 2, after: 1 }), "2 3");
  assertEquals(await world.code("carol", { action: "history", limit: 1, with: "#tea" }), 403);
  assertEquals(await world.code("carol", { action: "history", limit: 1, with: "#coffee" }), 404);
});

// --- Contacts and presence ---------------------------------------------------------------------------------------------

Deno.test("Hub: messages that are together too long are given by parts: the first, or the last, and whether there are more", async () => {
  const world = await World.open();
  await world.logIn("ann");
  await world.store.addGuest("bob");
  const text = "\x01".repeat(500); // 3000 bytes of JSON
  for (let i = 1; i <= 100; i++) {
    await world.store.addMessage({ time: i, from: "ann", to: "bob", text, extra: { i } }, "bob");
  }
  const last = await world.ask("ann", { action: "history", limit: 100 });
  const count = last.messages!.length;
  assert(count > 30 && count < 50, `${count}`);
  assertEquals([last.more, last.messages!.at(-1)!.id], [true, 100]);
  const ids: number[] = [];
  for (let more = true; more;) {
    const page = await world.ask("ann", { action: "history", limit: 100, after: ids.at(-1) ?? 0 });
    more = page.more ?? false;
    ids.push(...page.messages!.map(({ id }) => id!));
  }
  assertEquals(ids, Array.from({ length: 100 }, (_, i) => i + 1));
  const flushed: (() => void)[] = [];
  await world.restart({ flushed: () => new Promise((resolve) => flushed.push(resolve)) });
  world.hub.connect("bob", "192.0.2.1");
  await world.hub.request("bob", presence("bob"));
  let delivered = 0;
  for (let at = 0; delivered < 100; at++) {
    const page = (await world.effects()).filter(({ type }) => type === "event").length;
    assert(page > 10 && page < 50, `${page}`);
    delivered += page;
    flushed[at]!();
  }
});

Deno.test("Hub: contacts are added, listed in order, removed, and kept", async () => {
  const world = await World.open();
  await world.logIn("ann", "bob", "carol");
  assertEquals(await world.code("ann", { action: "add_contact", name: "nobody" }), 404);
  for (const name of ["carol", "bob", "bob"]) {
    assertEquals(await world.code("ann", { action: "add_contact", name }), 200);
  }
  assertEquals(await world.ask("ann", { action: "get_contacts" }), {
    action: "get_contacts",
    code: 202,
    text: "accepted",
    names: ["bob", "carol"],
  });
  assertEquals(await world.code("ann", { action: "del_contact", name: "bob" }), 200);
  assertEquals(await world.code("ann", { action: "del_contact", name: "bob" }), 404);
  await world.restart();
  await world.logIn("ann");
  assertEquals((await world.ask("ann", { action: "get_contacts" })).names, ["carol"]);
  assertEquals((await world.ask("ann", { action: "get_users" })).names, ["ann", "bob", "carol"]);
});

Deno.test("Hub: who has a user as contact is told that it comes, changes its status and goes; others are not", async () => {
  const world = await World.open();
  await world.logIn("ann", "bob", "carol");
  await world.ask("bob", { action: "add_contact", name: "ann" });
  world.hub.disconnect("ann");
  assertEquals(await world.said(), ["bob < ann offline"]);
  world.hub.connect("ann", "192.0.2.1");
  await world.hub.request("ann", presence("ann", "hello"));
  assertEquals(await world.said(), ["ann is ann", "ann < 200 OK", "bob < ann online hello"]);
  await world.ask("ann", presence("ann", "hello"));
  await world.ask("ann", presence("ann"));
  assertEquals(await world.said(), []);
  await world.ask("ann", presence("ann", "busy"));
  assertEquals(await world.said(), ["bob < ann online busy"]);
  await world.ask("bob", { action: "del_contact", name: "ann" });
  world.hub.disconnect("ann");
  assertEquals(await world.said(), []);
});

Deno.test("Hub: who has gone is told nothing, also when it had contacts", async () => {
  const world = await World.open();
  await world.logIn("ann", "bob");
  await world.ask("bob", { action: "add_contact", name: "ann" });
  world.hub.disconnect("bob");
  world.hub.disconnect("ann");
  assertEquals(await world.said(), []);
});

Deno.test("Hub: a user has no more contacts than the limit", async () => {
  const world = await World.open({ rate: { perSecond: 1, burst: 10_000 } });
  await world.logIn("ann");
  for (let i = 0; i <= MAX_CONTACTS; i++) await world.store.addGuest(`user ${i}`);
  for (let i = 0; i < MAX_CONTACTS; i++) await world.ask("ann", { action: "add_contact", name: `user ${i}` });
  assertEquals(await world.code("ann", { action: "add_contact", name: `user ${MAX_CONTACTS}` }), 400);
});

Deno.test("Hub: who is silent for 60 s is probed, and 30 s later gone; an answer or anything else saves it", async () => {
  const world = await World.open({ idleTimeout: 60_000 });
  await world.logIn("ann", "bob");
  await world.ask("bob", { action: "add_contact", name: "ann" });
  const pass = (seconds: number) => {
    world.now += 1000 * seconds;
    world.hub.tick();
  };
  pass(59);
  assertEquals(await world.said(), []);
  world.hub.heard("bob");
  pass(1);
  assertEquals(await world.said(), ["ann < probe"]);
  pass(29);
  assertEquals(await world.said(), []);
  world.hub.heard("ann");
  pass(29);
  assertEquals(await world.said(), []);
  world.hub.heard("bob");
  pass(31);
  assertEquals(await world.said(), ["ann < probe"]);
  world.hub.heard("bob");
  pass(30);
  assertEquals(await world.said(), [
    "bob < ann offline",
    "ann closed: 400 no answer to a probe within 30 s",
  ]);
});

Deno.test("Hub: who does not understand a probe is not closed for its silence; who does not log in is", async () => {
  const world = await World.open({ idleTimeout: 60_000, probes: () => false });
  await world.logIn("ann");
  world.hub.connect("silent", "192.0.2.1");
  for (let i = 0; i < 5; i++) {
    world.now += 60_000;
    world.hub.tick();
  }
  assertEquals(await world.said(), ["silent closed: 401 not logged in within 1 min"]);
});

Deno.test("Hub: who sets the clock of the day closes nobody, and lets nobody wait longer", async () => {
  const world = await World.open({ idleTimeout: 60_000 });
  await world.store.addAccount("ann", "kept sesame");
  await world.logIn("bob");
  world.hub.connect("ann", "192.0.2.1");
  const guess = (password: string) => world.code("ann", { action: "authenticate", name: "ann", password });
  for (let i = 0; i < 5; i++) assertEquals(await guess("wrong"), 402);
  world.set = -3_600_000;
  world.now += 1000;
  assertEquals(await guess("sesame"), 200);
  await world.said();
  world.set = 3_600_000;
  world.hub.tick();
  assertEquals(await world.said(), []);
  assertEquals((await world.ask("bob", msg("ann", "hi"))).time, (world.now + world.set) / 1000);
});

Deno.test("Hub: who waits for the server is not the silent one, however long a password takes", async () => {
  const world = await World.open({ idleTimeout: 60_000 });
  const verified = Promise.withResolvers<boolean>();
  world.passwords.verify = () => verified.promise;
  await world.store.addAccount("ann", "kept sesame");
  world.hub.connect("ann", "192.0.2.1");
  const answered = world.code("ann", { action: "authenticate", name: "ann", password: "sesame" });
  world.now += 61_000;
  world.hub.tick();
  verified.resolve(false);
  assertEquals(await answered, 402);
  world.hub.tick();
  assertEquals(await world.said(), []);
  world.now += 60_000;
  world.hub.tick();
  assertEquals(await world.said(), ["ann closed: 401 not logged in within 1 min"]);
});

Deno.test("Hub: after a standstill who is probed has the same time to answer as ever", async () => {
  const world = await World.open({ idleTimeout: 60_000 });
  await world.logIn("ann");
  world.now += 1_000_000;
  world.hub.tick();
  world.now += 29_000;
  world.hub.tick();
  assertEquals(await world.said(), ["ann < probe"]);
  world.now += 1000;
  world.hub.tick();
  assertEquals(await world.said(), ["ann closed: 400 no answer to a probe within 30 s"]);
});

// --- Limits and failures -----------------------------------------------------------------------------------------------

Deno.test("Hub: 200 requests at once and 50 a second are allowed; the others are 400, and go on to be so: closed", async () => {
  const world = await World.open();
  await world.logIn("ann", "bob");
  world.now += 60_000;
  const codes: number[] = [];
  for (let i = 0; i < 250; i++) codes.push(await world.code("ann", msg("bob", "flood")));
  assertEquals([codes.indexOf(400), codes.lastIndexOf(200)], [200, 199]);
  world.now += 100;
  const later: number[] = [];
  for (let i = 0; i < 7; i++) later.push(await world.code("ann", msg("bob", "flood")));
  assertEquals(later, [200, 200, 200, 200, 200, 400, 400]);
  await world.said();
  for (let i = 0; i < 1000; i++) await world.hub.request("ann", msg("bob", "flood"));
  const said = await world.said();
  assert(
    said.at(-1)!.startsWith("ann closed: 400 too fast: 50 requests a second are allowed, 200 at once"),
    said.at(-1),
  );
  assert(said.length < 500, `${said.length} answers`);
  assertEquals(world.hub.sizes.users, 1);
  assertEquals(await world.code("bob", msg("bob", "still here")), 200);
});

Deno.test("Hub: however low the limit is, a request that costs much is admitted when nothing else was asked", async () => {
  const world = await World.open({ rate: { perSecond: 1, burst: 4 } });
  world.hub.connect("ann", "192.0.2.1");
  assertEquals(await world.code("ann", { action: "register", name: "ann", password: "sesame" }), 201);
  assertEquals(await world.code("ann", { action: "authenticate", name: "ann", password: "sesame" }), 400);
  world.now += 4000;
  assertEquals(await world.code("ann", { action: "authenticate", name: "ann", password: "sesame" }), 200);
  world.now += 4000;
  assertEquals(await world.code("ann", { action: "history", limit: 1 }), 202);
});

Deno.test("Hub: what is no request counts for the rate limit too", async () => {
  const world = await World.open();
  world.hub.connect("one", "192.0.2.1");
  for (let i = 0; i < 1000; i++) world.hub.refuse("one", { code: 400, text: "no JSON" }, false);
  const said = await world.said();
  assertEquals(said.slice(0, 200), Array<string>(200).fill("one < 400 no JSON"));
  assert(said.at(-1)!.startsWith("one closed: 400 too fast"), said.at(-1));
});

Deno.test("Hub: a refusal after which nothing can come closes the connection", async () => {
  const world = await World.open();
  world.hub.connect("one", "192.0.2.1");
  world.hub.refuse("one", { code: 400, text: "this is pickle" }, true);
  assertEquals(await world.said(), ["one < 400 this is pickle", "one closed:  this is pickle"]);
});

Deno.test("Hub: what the store refuses is 500 and reaches nobody; the connection goes on", async () => {
  const world = await World.open();
  await world.logIn("ann", "bob");
  world.store.addMessage = () => Promise.reject(new StoreError("database or disk is full"));
  world.store.join = () => Promise.reject(new StoreError("database or disk is full"));
  const { code, text } = await world.ask("ann", msg("bob", "hi"));
  assertEquals([code, text], [500, "the server cannot store or find it now: try again later"]);
  assertEquals(await world.code("ann", { action: "join", room: "#tea" }), 500);
  assertEquals(await world.said(), []);
  assertEquals(world.trouble.map(({ message }) => message), Array<string>(2).fill("database or disk is full"));
  assertEquals(world.hub.sizes.rooms, 0);
  assertEquals(await world.code("ann", { action: "who" }), 202);
});

Deno.test("Hub: a message is delivered only when it is stored", async () => {
  const world = await World.open();
  await world.logIn("ann", "bob");
  const stored = Promise.withResolvers<number>();
  world.store.addMessage = () => stored.promise;
  const sent = world.hub.request("ann", msg("bob", "hi"));
  assertEquals(await world.said(), []);
  stored.resolve(7);
  await sent;
  assertEquals(await world.said(), ["bob < 7 ann to bob: hi", "ann < 200 OK"]);
});

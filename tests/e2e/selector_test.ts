import { decodeText, encodeText } from "../../lib/bytes.ts";
import {
  EVENT_ACCEPT,
  EVENT_READ,
  EVENT_WRITE,
  MAX_BUFFER,
  MIN_BUFFER,
  Selector,
  type SelectorKey,
  type Stream,
} from "../../lib/net/selector.ts";
import { readFull, writeAll } from "../../lib/net/tcp.ts";
import { delay } from "../../lib/net/timing.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../assert.ts";
import { inTime } from "../harness.ts";

function listen(): Deno.TcpListener {
  return Deno.listen({ hostname: "127.0.0.1", port: 0 });
}

function connect({ addr }: Deno.TcpListener): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: addr.hostname, port: addr.port });
}

/** Both ends of a connection. */
class Pair implements Disposable {
  private constructor(readonly ours: Deno.TcpConn, readonly theirs: Deno.TcpConn) {}

  static async connect(): Promise<Pair> {
    using listener = listen();
    return new Pair(...await Promise.all([listener.accept(), connect(listener)]));
  }

  [Symbol.dispose](): void {
    this.ours[Symbol.dispose]();
    this.theirs[Symbol.dispose]();
  }
}

/** A stream whose operations end when a test says so. */
class HeldStream implements Stream {
  readonly buffers: Uint8Array[] = []; // of the reads
  readonly written: string[] = [];
  #read = Promise.withResolvers<number | null>();
  #write = Promise.withResolvers<number>();

  read(buffer: Uint8Array): Promise<number | null> {
    this.buffers.push(buffer);
    this.#read = Promise.withResolvers();
    return this.#read.promise;
  }

  write(bytes: Uint8Array): Promise<number> {
    this.written.push(decodeText(bytes));
    this.#write = Promise.withResolvers();
    return this.#write.promise;
  }

  /** Ends the read that is under way with these bytes. */
  bring(bytes: Uint8Array): void {
    this.buffers.at(-1)!.set(bytes);
    this.#read.resolve(bytes.length);
  }

  /** Ends the write that is under way after so many bytes. */
  takeAway(count: number): void {
    this.#write.resolve(count);
  }
}

/** The one key that is ready. */
async function selectOne<Data>(selector: Selector<Data>): Promise<SelectorKey<Data>> {
  const keys = await inTime(selector.select(), "an event");
  assertEquals(keys.length, 1);
  return keys[0]!;
}

/** Asserts that no key is ready. */
async function assertQuiet<Data>(selector: Selector<Data>): Promise<void> {
  assertEquals(await selector.select({ timeout: 0 }), []);
}

// --- register, modify, unregister ----------------------------------------------------------------------------------

Deno.test("Selector.register: refuses a source that it has, until that is unregistered", () => {
  const selector = new Selector<string>();
  const stream = new HeldStream();
  const key = selector.register(stream, EVENT_READ, "first");
  assertEquals([key.source, key.events, key.ready, key.data], [stream, EVENT_READ, 0, "first"]);
  assertThrows(() => selector.register(stream, EVENT_WRITE, "again"), TypeError, "registered already");
  selector.unregister(key);
  assertEquals(selector.register(stream, 0, "later").data, "later");
});

Deno.test("Selector.register and modify: refuse events that the source cannot have", () => {
  using listener = listen();
  const stream = new HeldStream();
  const selector = new Selector<void>();
  assertThrows(() => selector.register(listener, EVENT_READ), TypeError, "Cannot wait for events 2: 1 are possible");
  assertThrows(() => selector.register(stream, EVENT_ACCEPT), TypeError, "Cannot wait for events 1: 6 are possible");
  const key = selector.register(stream, EVENT_READ | EVENT_WRITE);
  assertThrows(() => selector.modify(key, 8), TypeError, "Cannot wait for events 8: 6 are possible");
  assertEquals(key.events, EVENT_READ | EVENT_WRITE);
});

Deno.test("Selector.modify and unregister: refuse a key that is not registered here", () => {
  const selector = new Selector<void>();
  const key = selector.register(new HeldStream(), EVENT_READ);
  assertThrows(() => new Selector<void>().modify(key, EVENT_WRITE), TypeError, "not registered");
  selector.unregister(key);
  assertThrows(() => selector.modify(key, EVENT_WRITE), TypeError, "not registered");
  assertThrows(() => selector.unregister(key), TypeError, "not registered");
});

Deno.test("Selector.modify: what arrives after the interest has gone waits for its return and wakes nobody", async () => {
  const selector = new Selector<void>();
  const [stream, other] = [new HeldStream(), new HeldStream()];
  const [key, otherKey] = [stream, other].map((source) => selector.register(source, EVENT_READ));
  await assertQuiet(selector);
  selector.modify(key!, 0);
  const selected = selector.select();
  stream.bring(encodeText("late"));
  await delay(0);
  other.bring(encodeText("first"));
  assertEquals((await selected).map((key) => decodeText(key.recv()!)), ["first"]);
  selector.unregister(otherKey!);
  selector.modify(key!, EVENT_READ);
  assertEquals(decodeText((await selectOne(selector)).recv()!), "late");
  assertEquals(stream.buffers.length, 1);
});

Deno.test("Selector.modify: what has happened is no event when the interest goes before the next select()", async () => {
  const selector = new Selector<void>();
  const stream = new HeldStream();
  const key = selector.register(stream, EVENT_READ);
  await assertQuiet(selector);
  stream.bring(encodeText("hello"));
  await delay(0);
  selector.modify(key, 0);
  await assertQuiet(selector);
});

Deno.test("Selector.unregister: what a pending read brings is no event, and its failure no error", async () => {
  using pair = await Pair.connect();
  const selector = new Selector<void>();
  const stream = new HeldStream();
  const keys = [stream, pair.ours].map((source) => selector.register(source, EVENT_READ));
  await assertQuiet(selector);
  for (const key of keys) selector.unregister(key);
  stream.bring(encodeText("for nobody"));
  pair.ours.close();
  await assertQuiet(selector);
});

Deno.test("Selector.unregister: a key that is ready in the same turn is ready for nothing any more", async () => {
  const selector = new Selector<void>();
  const keys = Array.from({ length: 2 }, () => selector.register(new HeldStream(), EVENT_WRITE));
  const ready = await selector.select();
  assertEquals(ready.map((key) => key.ready), [EVENT_WRITE, EVENT_WRITE]);
  selector.unregister(keys[1]!);
  assertEquals(ready.map((key) => key.ready), [EVENT_WRITE, 0]);
});

Deno.test("Selector.unregister: a connection that a pending accept brings is closed", async () => {
  using listener = listen();
  const selector = new Selector<void>();
  const door = selector.register(listener, EVENT_ACCEPT);
  await assertQuiet(selector);
  selector.unregister(door);
  using client = await connect(listener);
  assertEquals(await inTime(client.read(new Uint8Array(1)), "the end"), null);
});

Deno.test("Selector.unregister: a connection that has arrived and was not taken is closed", async () => {
  using listener = listen();
  const selector = new Selector<void>();
  const door = selector.register(listener, EVENT_ACCEPT);
  using client = await connect(listener);
  await selectOne(selector);
  selector.unregister(door);
  assertEquals(await inTime(client.read(new Uint8Array(1)), "the end"), null);
});

// --- select --------------------------------------------------------------------------------------------------------

Deno.test("Selector.select: finds nobody when the time is over, and what comes later in the next call", async () => {
  const selector = new Selector<string>();
  const stream = new HeldStream();
  selector.register(stream, EVENT_READ, "a client");
  assertEquals(await selector.select({ timeout: 5 }), []);
  stream.bring(encodeText("hello"));
  const key = await selectOne(selector);
  assertEquals([key.data, key.ready], ["a client", EVENT_READ]);
});

Deno.test("Selector.select: an abort ends its wait, and only that of the call that was given the signal", async () => {
  const selector = new Selector<void>();
  const stream = new HeldStream();
  selector.register(stream, EVENT_READ);
  const [first, second] = [new AbortController(), new AbortController()];
  const aborted = selector.select({ signal: first.signal });
  first.abort();
  assertEquals(await inTime(aborted, "the end of the wait"), []);
  assertEquals(await inTime(selector.select({ signal: first.signal }), "a call with an aborted signal"), []);
  const served = selector.select({ signal: second.signal });
  stream.bring(encodeText("hello"));
  for (const key of await served) key.recv();
  const undisturbed = selector.select();
  second.abort();
  await delay(0);
  stream.bring(encodeText("again"));
  assertEquals((await undisturbed).map((key) => decodeText(key.recv()!)), ["again"]);
});

Deno.test("Selector.select: the time-out of a call that found somebody does not end a later one", async () => {
  const selector = new Selector<void>();
  const stream = new HeldStream();
  selector.register(stream, EVENT_READ);
  const timeout = 5;
  const first = selector.select({ timeout });
  stream.bring(encodeText("hello"));
  for (const key of await first) key.recv();
  const second = selector.select();
  await delay(2 * timeout);
  stream.bring(encodeText("again"));
  assertEquals((await second).map((key) => decodeText(key.recv()!)), ["again"]);
});

Deno.test("Selector.select: refuses to wait twice at the same time", async () => {
  const selector = new Selector<void>();
  const waiting = selector.select({ timeout: 5 });
  await assertRejects(() => selector.select(), TypeError, "another select() waits");
  assertEquals(await waiting, []);
});

Deno.test("Selector.select: serves many connections, each with its own bytes", async () => {
  const selector = new Selector<number>();
  const pairs = await Promise.all(Array.from({ length: 50 }, () => Pair.connect()));
  const heard = new Map<number, string>();
  for (const [i, pair] of pairs.entries()) {
    selector.register(pair.ours, EVENT_READ, i);
    await writeAll(pair.theirs, encodeText(`client ${i}`));
  }
  while (heard.size < pairs.length) {
    for (const key of await inTime(selector.select(), "events")) heard.set(key.data, decodeText(key.recv()!));
  }
  for (const [i, pair] of pairs.entries()) {
    assertEquals(heard.get(i), `client ${i}`);
    pair[Symbol.dispose]();
  }
});

Deno.test("Selector.select: 200 connections that are always ready do not starve the others", async () => {
  const selector = new Selector<boolean>();
  const busy = { read: () => Promise.resolve(1), write: () => Promise.resolve(1) };
  for (let i = 0; i < 200; i++) selector.register({ ...busy }, EVENT_READ, false);
  const late = new HeldStream();
  selector.register(late, EVENT_READ, true);
  setTimeout(() => late.bring(encodeText("me too")));
  for (let turns = 0;; turns++) {
    assert(turns < 1000, "it was never served");
    const keys = await selector.select();
    if (keys.some((key) => key.data)) break;
    for (const key of keys) key.recv();
  }
});

// --- accept, recv, send --------------------------------------------------------------------------------------------

Deno.test("SelectorKey.accept: takes one connection an event; without interest they wait in the backlog", async () => {
  using listener = listen();
  const selector = new Selector<void>();
  const door = selector.register(listener, 0);
  const clients = await Promise.all([1, 2].map(() => connect(listener)));
  await assertQuiet(selector);
  selector.modify(door, EVENT_ACCEPT);
  assertEquals((await selectOne(selector)).ready, EVENT_ACCEPT);
  using first = door.accept()!;
  assertThrows(() => door.accept(), TypeError, "Cannot accept: nothing has arrived");
  await selectOne(selector);
  using second = door.accept()!;
  const ports = clients.map(({ localAddr }) => localAddr.port);
  assertEquals([first, second].map(({ remoteAddr }) => remoteAddr.port).toSorted(), ports.toSorted());
  selector.unregister(door);
  for (const client of clients) client.close();
});

Deno.test("SelectorKey.accept: throws what the accept failed with, once", async () => {
  using listener = listen();
  const answers = [() => Promise.reject(new Deno.errors.NotConnected("reset")), () => listener.accept()];
  const selector = new Selector<void>();
  const door = selector.register({ accept: () => answers.shift()!() }, EVENT_ACCEPT);
  await selectOne(selector);
  assertThrows(() => door.accept(), Deno.errors.NotConnected, "reset");
  using _client = await connect(listener);
  await selectOne(selector);
  using _connection = door.accept()!;
  selector.unregister(door);
});

Deno.test("SelectorKey.recv: what is not taken is reported again; the end again and again", async () => {
  using pair = await Pair.connect();
  const selector = new Selector<void>();
  const key = selector.register(pair.ours, EVENT_READ);
  assertThrows(() => key.recv(), TypeError, "Cannot receive: nothing has arrived");
  await writeAll(pair.theirs, encodeText("hello"));
  await selectOne(selector);
  assertEquals((await selectOne(selector)).ready, EVENT_READ);
  assertEquals(key.recv(), encodeText("hello"));
  assertThrows(() => key.recv(), TypeError, "Cannot receive: nothing has arrived");
  await assertQuiet(selector);
  await pair.theirs.closeWrite();
  for (let i = 0; i < 2; i++) assertEquals((await selectOne(selector)).recv(), null);
});

Deno.test("SelectorKey.recv: throws what the read failed with, as often as it is asked", async () => {
  using pair = await Pair.connect();
  const selector = new Selector<void>();
  const key = selector.register(pair.ours, EVENT_READ);
  await assertQuiet(selector);
  pair.ours.close();
  for (let i = 0; i < 2; i++) {
    assertEquals((await selectOne(selector)).ready, EVENT_READ);
    assertThrows(() => key.recv(), Deno.errors.Interrupted);
    assertThrows(() => key.drained(), Deno.errors.Interrupted);
  }
});

Deno.test("SelectorKey.recv: a connection that reads much gets a large buffer, one that reads little a small one", async () => {
  const selector = new Selector<void>();
  const stream = new HeldStream();
  const key = selector.register(stream, EVENT_READ);
  await assertQuiet(selector);
  const read = async (count: number) => {
    stream.bring(new Uint8Array(count));
    assertEquals((await selectOne(selector)).recv()!.length, count);
    await assertQuiet(selector);
    return stream.buffers.at(-1)!.length;
  };
  const sizes = [stream.buffers[0]!.length];
  while (sizes.length < 5) sizes.push(await read(sizes.at(-1)!));
  assertEquals(sizes, [MIN_BUFFER, 1024, 8192, MAX_BUFFER, MAX_BUFFER]);
  assertEquals(await read(MIN_BUFFER), MAX_BUFFER);
  while (await read(1) === MAX_BUFFER);
  assertEquals(stream.buffers.at(-1)!.length, MIN_BUFFER);
  selector.unregister(key);
});

Deno.test("SelectorKey.send: goes on where a write has stopped, as long as there is interest", async () => {
  const selector = new Selector<void>();
  const stream = new HeldStream();
  const key = selector.register(stream, EVENT_WRITE);
  assertEquals((await selectOne(selector)).ready, EVENT_WRITE); // there is nothing to send
  key.send(encodeText("hello"));
  assertThrows(() => key.send(encodeText("too early")), TypeError, "Cannot send: 5 bytes have not left yet");
  await assertQuiet(selector);
  selector.modify(key, EVENT_WRITE);
  await assertQuiet(selector);
  assertEquals(stream.written, ["hello"]);
  stream.takeAway(2);
  assert(!(await selectOne(selector)).drained());
  selector.modify(key, 0);
  await assertQuiet(selector);
  assertEquals(stream.written, ["hello"]);
  selector.modify(key, EVENT_WRITE);
  await assertQuiet(selector);
  stream.takeAway(3);
  assert((await selectOne(selector)).drained());
  assertEquals(stream.written, ["hello", "llo"]);
});

Deno.test("SelectorKey.send: reading goes on meanwhile and spares the bytes that are being sent", async () => {
  const selector = new Selector<void>();
  const stream = new HeldStream();
  const key = selector.register(stream, EVENT_READ);
  await assertQuiet(selector);
  stream.bring(encodeText("first"));
  await selectOne(selector);
  const first = key.recv()!;
  key.send(first);
  selector.modify(key, EVENT_READ | EVENT_WRITE);
  await assertQuiet(selector);
  stream.bring(encodeText("other"));
  assertEquals((await selectOne(selector)).ready, EVENT_READ);
  assertEquals([decodeText(first), decodeText(key.recv()!)], ["first", "other"]);
});

Deno.test("SelectorKey.send: a peer that does not read holds it up; all arrives when it does", async () => {
  using pair = await Pair.connect();
  const selector = new Selector<void>();
  const key = selector.register(pair.ours, EVENT_WRITE);
  const bytes = Uint8Array.from({ length: 16 * 2 ** 20 }, (_, i) => i % 251);
  key.send(bytes);
  while ((await selector.select({ timeout: 50 })).length > 0); // until the system takes no more
  assert(!key.drained());
  const received = new Uint8Array(bytes.length);
  const reading = readFull(pair.theirs, received);
  while (!key.drained()) await inTime(selector.select(), "room");
  await inTime(reading, "the bytes");
  assert(received.every((byte, i) => byte === bytes[i]), "it has changed");
});

Deno.test("SelectorKey.drained: throws what the write failed with", async () => {
  using pair = await Pair.connect();
  const selector = new Selector<void>();
  const key = selector.register(pair.ours, EVENT_WRITE);
  pair.ours.close();
  key.send(encodeText("too late"));
  assertEquals((await selectOne(selector)).ready, EVENT_WRITE);
  assertThrows(() => key.drained(), Deno.errors.BadResource);
});

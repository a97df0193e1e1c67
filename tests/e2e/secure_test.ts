import { concat } from "@std/bytes";
import { portableBackend } from "../../lib/ciphers_portable.ts";
import { AuthenticationError, TruncatedError } from "../../lib/errors.ts";
import { AttemptError } from "../../lib/net/failure.ts";
import { Log } from "../../lib/net/log.ts";
import {
  acceptSecure,
  type ClientSecurity,
  connectSecure,
  HandshakeGate,
  SecureConnection,
  secured,
  type ServerSecurity,
} from "../../lib/net/secure.ts";
import { readFull, TcpConnection, writeAll } from "../../lib/net/tcp.ts";
import { x25519 } from "../../lib/noise_primitives.ts";
import { MAX_RECORD_DATA } from "../../lib/secure_records.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { inTime, run, type RunningServer, startServer, testWith } from "../harness.ts";

const application = "test/1";
const both = { backend: portableBackend, padding: "none", maxSession: 0 } as const;
const serverIdentity = x25519.generate();
const serverSide: ServerSecurity = {
  ...both,
  protocols: ["Noise_XX_25519_AESGCM_SHA256", "Noise_XX_25519_ChaChaPoly_SHA256"],
  identity: serverIdentity,
  authorize: () => Promise.resolve(true),
};
const clientSide: ClientSecurity = {
  ...both,
  protocol: "Noise_XX_25519_AESGCM_SHA256",
  identity: x25519.generate(),
  verify: () => Promise.resolve(undefined),
};

/** Two plain connections that are linked. */
async function plainPair(): Promise<[TcpConnection, TcpConnection]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { hostname, port } = listener.addr;
  const [accepted, connected] = await Promise.all([listener.accept(), Deno.connect({ hostname, port })]);
  return [new TcpConnection(connected), new TcpConnection(accepted)];
}

const accept = (connection: TcpConnection, security = serverSide, timeout = 20_000) =>
  acceptSecure(connection, security, { application, gate: new HandshakeGate(), timeout });

/** The client's and the server's end of a channel, and the plain connections below. */
async function securePair(
  client: Partial<ClientSecurity> = {},
  server: Partial<ServerSecurity> = {},
): Promise<{ ends: [SecureConnection, SecureConnection]; plain: [TcpConnection, TcpConnection] }> {
  const plain = await plainPair();
  const ends = await Promise.all([
    connectSecure(plain[0], { ...clientSide, ...client }, { application }),
    accept(plain[1], { ...serverSide, ...server }),
  ]);
  return { ends, plain };
}

/** All that comes until the peer ends its stream. */
async function readAll(connection: Pick<SecureConnection, "read">): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const buffer = new Uint8Array(50_000);
  for (let count; (count = await connection.read(buffer)) !== null;) parts.push(buffer.slice(0, count));
  return concat(parts);
}

const bytes = (length: number, seed = 1) => new Uint8Array(length).map((_, i) => (i * seed) >> 3);
/** Bytes as something that compares fast. */
const latin1 = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);

Deno.test("SecureConnection: the keys that it is given are overwritten", async () => {
  const [plain, peer] = await plainPair();
  const direction = (byte: number) => ({ suite: "AESGCM", key: new Uint8Array(32).fill(byte), counter: 0 }) as const;
  const [send, receive] = [direction(1), direction(2)];
  const keys = { protocol: "", handshakeHash: new Uint8Array(32), remoteStatic: undefined, send, receive };
  const connection = new SecureConnection(plain, keys, both);
  for (const { key } of [send, receive]) assertEquals(key, new Uint8Array(32));
  await connection.finish();
  peer.close();
});

Deno.test("SecureConnection: its ciphers are closed with it, also when it was cut", async () => {
  let open = 0;
  const cipher: typeof portableBackend.cipher = (suite, key) => {
    open++;
    return Object.assign(portableBackend.cipher(suite, key), { close: () => open-- });
  };
  const { ends: [client, server], plain } = await securePair({ backend: { name: "counted", cipher } });
  assertEquals(open, 2);
  plain[1].farewell = undefined; // no close record
  await server.finish();
  await assertRejects(() => client.read(new Uint8Array(1)), TruncatedError);
  await client.closed;
  assertEquals(open, 0);
});

Deno.test("SecureConnection: a stream in each direction, of any cipher, padding and size", async () => {
  const streams = [bytes(3_000_000, 7), bytes(1_000_001, 5)] as const;
  for (const cipher of ["AESGCM", "ChaChaPoly"]) {
    for (const padding of ["none", "padme", { multiple: 1000 }] as const) {
      const { ends } = await securePair({ protocol: `Noise_XX_25519_${cipher}_SHA256`, padding }, { padding });
      const send = async (i: 0 | 1) => {
        await writeAll(ends[i], streams[i]);
        await ends[i].closeWrite();
      };
      const [fromServer, fromClient] = await Promise.all([readAll(ends[0]), readAll(ends[1]), send(0), send(1)]);
      assertEquals([latin1(fromClient), latin1(fromServer)], streams.map(latin1));
      assertEquals(ends[0].handshakeHash, ends[1].handshakeHash);
      assertEquals(ends[0].remoteStatic, serverIdentity.publicKey);
      assertEquals(ends[1].remoteStatic, clientSide.identity!.publicKey);
      for (const end of ends) await end.finish();
    }
  }
});

Deno.test("SecureConnection: many writers at the same time: each write comes whole, and in order", async () => {
  const { ends: [client, server] } = await securePair();
  const LENGTH = 300_000; // more than a batch
  const writers = Array.from({ length: 8 }, (_, i) => client.write(new Uint8Array(LENGTH + i).fill(i)));
  const received = readAll(server);
  assertEquals(await Promise.all(writers), Array.from(writers, (_, i) => LENGTH + i));
  await client.closeWrite();
  assertEquals(
    latin1(await received),
    latin1(concat(Array.from(writers, (_, i) => new Uint8Array(LENGTH + i).fill(i)))),
  );
  await Promise.all([client.finish(), server.finish()]);
});

Deno.test("SecureConnection: small writes of one turn share a record", async () => {
  const { ends: [client, server], plain } = await securePair();
  let writes = 0;
  const write = plain[0].write.bind(plain[0]);
  plain[0].write = (bytes) => (writes++, write(bytes));
  await Promise.all(Array.from({ length: 100 }, () => client.write(bytes(10))));
  await readFull(server, new Uint8Array(1000));
  assertEquals(writes, 1);
  await Promise.all([client.finish(), server.finish()]);
});

Deno.test("SecureConnection: a half-closed channel goes on in the other direction, either way round", async () => {
  for (const first of [0, 1] as const) {
    const { ends } = await securePair();
    const [one, other] = [ends[first], ends[1 - first]!];
    await one.write(bytes(5));
    await one.closeWrite();
    await one.closeWrite().catch(() => {}); // once is enough
    assertEquals(await readAll(other), bytes(5));
    assertEquals(await other.read(new Uint8Array(1)), null); // and again
    await other.write(bytes(100_000));
    await assertRejects(() => one.write(bytes(1)), Deno.errors.BrokenPipe, "closed");
    await other.closeWrite();
    assertEquals((await readAll(one)).length, 100_000);
    for (const end of ends) await end.finish();
  }
});

Deno.test("SecureConnection: close() still sends what was written, and the close record", async () => {
  const { ends: [client, server] } = await securePair();
  const received = readAll(server);
  await client.write(bytes(400_000));
  client.close();
  client.close();
  assertEquals((await received).length, 400_000);
  await client.closed;
  await assertRejects(() => client.write(bytes(1)), Deno.errors.BadResource);
  await assertRejects(() => client.read(bytes(1)), Deno.errors.BadResource);
  await server.finish();
});

Deno.test("SecureConnection: a connection that ends without a close record is truncated, after what came before", async () => {
  const { ends: [client, server], plain } = await securePair();
  await client.write(bytes(10));
  await client.flush();
  await plain[0].closeWrite();
  const buffer = new Uint8Array(100);
  assertEquals(await server.read(buffer), 10);
  await assertRejects(() => server.read(buffer), TruncatedError, "without a close record");
  await assertRejects(() => server.read(buffer), TruncatedError);
  await assertRejects(() => server.write(buffer), TruncatedError);
  await server.closed;
  await client.finish();
});

Deno.test("SecureConnection: a changed, doubled or inserted record closes the connection, and nothing is sent", async () => {
  const { ends: [client, server], plain } = await securePair();
  let last = new Uint8Array();
  const write = plain[0].write.bind(plain[0]);
  plain[0].write = (bytes) => write(last = bytes.slice());
  await client.write(bytes(10));
  await readFull(server, new Uint8Array(10));
  await write(last); // the same record again
  await assertRejects(() => server.read(new Uint8Array(10)), AuthenticationError);
  await server.closed;
  const seen = await plain[0].read(new Uint8Array(10)).catch(() => null);
  assertEquals(seen, null); // not even a close record
  client.close();
  await client.closed;
});

Deno.test("SecureConnection: what comes before a wrong record is still delivered, in one read with it", async () => {
  const { ends: [client, server], plain } = await securePair();
  let last = new Uint8Array();
  const write = plain[0].write.bind(plain[0]);
  plain[0].write = (bytes) => (last = bytes.slice(), Promise.resolve(bytes.length));
  await client.write(bytes(10));
  await client.flush();
  await write(concat([last, last]));
  const buffer = new Uint8Array(100);
  assertEquals(await server.read(buffer), 10);
  await assertRejects(() => server.read(buffer), AuthenticationError);
  await server.closed;
  client.close();
  await client.closed;
});

Deno.test("SecureConnection: after a wrong record even what waits to be sent is not", async () => {
  const { ends: [client, server], plain } = await securePair();
  const write = plain[0].write.bind(plain[0]);
  const held = Promise.withResolvers<void>();
  let sent = 0;
  plain[0].write = async (bytes) => {
    await held.promise;
    const count = await write(bytes);
    sent += count;
    return count;
  };
  await client.write(bytes(10));
  await new Promise((resolve) => setTimeout(resolve)); // it is under way, and this one waits
  await client.write(bytes(10));
  await plain[1].write(concat([Uint8Array.of(0, 19), new Uint8Array(19)]));
  await assertRejects(() => client.read(new Uint8Array(10)), AuthenticationError);
  held.resolve();
  await client.closed;
  assertEquals(sent, 0);
  await server.finish();
});

Deno.test("SecureConnection: with a peer that never reads, writing waits, and little is held", async () => {
  const { ends: [client, server], plain } = await securePair();
  let [written, sent] = [0, 0];
  const write = plain[0].write.bind(plain[0]);
  plain[0].write = async (bytes) => {
    const count = await write(bytes);
    sent += count;
    return count;
  };
  const writing = (async () => {
    for (;;) written += await client.write(bytes(64 * 1024));
  })();
  for (let before = -1; before !== written;) { // until it does not move any more
    before = written;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  assert(written - sent <= 2 * 5 * MAX_RECORD_DATA, `${written - sent} bytes`); // two batches
  assert(written > sent); // and it is the peer that it waits for
  const received = await Promise.all([server.finish(), assertRejects(() => writing, Error)]);
  assert(received.length > 0);
  await client.finish();
});

/** From now on the system has no room for what is written, until the connection is closed. Resolves when something waits. */
function jam(connection: TcpConnection): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  connection.socket.write = async () => {
    resolve();
    await connection.closed;
    throw new Deno.errors.BadResource("Bad resource ID");
  };
  return promise;
}

Deno.test("SecureConnection: who waits to write to a peer that never reads learns that the connection was closed", async () => {
  const { ends: [client, server], plain: [plain] } = await securePair();
  const jammed = jam(plain);
  const writing = client.write(bytes(1_000_000)); // more than two batches
  await jammed;
  await client.finish("idle for 5m");
  await inTime(assertRejects(() => writing, Error), "the writer to learn it");
  await server.finish();
});

Deno.test("SecureConnection: the end of a stream waits a minute from the last byte that the peer takes, not for ever", async () => {
  const { ends: [client, server], plain: [plain] } = await securePair();
  const { setInterval } = globalThis;
  const intervals: (() => void)[] = [];
  globalThis.setInterval = ((action: () => void, ms: number) => ms === 1000 && intervals.push(action)) as never;
  const second = () => intervals.forEach((action) => action()); // lets one pass
  const asked = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const taken = Promise.withResolvers<number>(); // of the first write; the second one is not taken
  plain.socket.write = async () => {
    const first = asked.length === 2;
    asked.shift()!.resolve();
    if (first) return await taken.promise;
    await plain.closed;
    throw new Deno.errors.BadResource("Bad resource ID");
  };
  const waits = asked.map(({ promise }) => promise);
  await client.write(bytes(10));
  const ending = client.closeWrite();
  client.closeWrite().catch(() => {}); // who asks again does not make it shorter
  globalThis.setInterval = setInterval;
  assertEquals(intervals.length, 1);
  for (const wait of waits) {
    await wait;
    for (let seconds = 0; seconds < 60; seconds++) {
      second();
      plain.elapse(1000); // an idle time-out counts the same silence
    }
    assertEquals(client.closedBecause, undefined);
    taken.resolve(1);
  }
  second();
  await inTime(assertRejects(() => ending, Error), "the end");
  assertEquals(client.closedBecause, "the peer takes nothing any more");
  await Promise.all([client.closed, server.finish()]);
});

Deno.test("SecureConnection: with a handler that never reads, no more is taken from the system than one buffer", async () => {
  const { ends: [client, server], plain } = await securePair();
  let taken = 0;
  const read = plain[1].read.bind(plain[1]);
  plain[1].read = async (buffer) => {
    const count = await read(buffer);
    taken += count ?? 0;
    return count;
  };
  const writing = client.write(bytes(8_000_000));
  for (let i = 0; i < 100; i++) await server.read(new Uint8Array(1));
  assert(taken <= 400_000, `${taken} bytes`);
  const rest = readAll(server);
  await writing;
  await client.closeWrite();
  assertEquals((await rest).length, 8_000_000 - 100);
  await Promise.all([client.finish(), server.finish()]);
});

Deno.test("SecureConnection: a session that is too old ends, with a close record", async () => {
  const { ends: [client, server] } = await securePair({}, { maxSession: 50 });
  assertEquals(await client.read(new Uint8Array(1)), null);
  await server.closed;
  await client.finish();
});

Deno.test("SecureConnection: the timer of a session ends with the connection", async () => {
  const { setTimeout, clearTimeout } = globalThis;
  const session = 3_600_000;
  const running = new Set<unknown>();
  globalThis.setTimeout = ((action: () => void, ms: number) => {
    const timer = setTimeout(action, ms);
    if (ms === session) running.add(timer);
    return timer;
  }) as typeof setTimeout;
  globalThis.clearTimeout = (timer) => {
    running.delete(timer);
    clearTimeout(timer);
  };
  try {
    const { ends: [client, server] } = await securePair({ maxSession: session }, { maxSession: session });
    assertEquals(running.size, 2);
    await Promise.all([client.finish(), server.finish()]);
    assertEquals(running.size, 0);
  } finally {
    Object.assign(globalThis, { setTimeout, clearTimeout });
  }
});

Deno.test("secured(): a connection is done with when its last bytes and the close record have left", async () => {
  const [client, server] = await plainPair();
  const held = Promise.withResolvers<void>();
  const left = Promise.withResolvers<void>();
  const handle = async (connection: SecureConnection) => {
    const write = server.write.bind(server);
    server.write = async (bytes) => {
      left.resolve();
      await held.promise;
      return write(bytes);
    };
    await connection.write(bytes(10));
  };
  let done = false;
  const log = new Log("test", { quiet: true });
  const served = secured(handle, serverSide, { application, log })(server).then(() => done = true);
  const secure = await connectSecure(client, clientSide, { application });
  await left.promise;
  await new Promise((resolve) => setTimeout(resolve));
  assert(!done);
  held.resolve();
  await served;
  assertEquals(await readAll(secure), bytes(10));
  await secure.finish();
});

Deno.test("secured(): what a handler has written leaves in full, however long the peer takes to read it", async () => {
  const [client, server] = await plainPair();
  const { setTimeout } = globalThis;
  const late = Promise.withResolvers<void>(); // for the farewell of a connection that is closed
  const handle = async (connection: SecureConnection) => {
    const write = server.write.bind(server);
    server.write = async (bytes) => {
      await late.promise;
      return write(bytes);
    };
    await connection.write(bytes(10));
    globalThis.setTimeout = ((action: () => void, ms: number) => setTimeout(action, ms === 2000 ? 0 : ms)) as never;
  };
  try {
    const served = secured(handle, serverSide, { application, log: new Log("test", { quiet: true }) })(server);
    const secure = await connectSecure(client, clientSide, { application });
    const received = readAll(secure);
    for (let turns = 0; turns < 10; turns++) await new Promise((resolve) => setTimeout(resolve));
    late.resolve();
    assertEquals(await received, bytes(10));
    await served;
    await secure.finish();
  } finally {
    globalThis.setTimeout = setTimeout;
  }
});

Deno.test("acceptSecure() gives the handshake its time in all, however the bytes drip, and closes without a word", async () => {
  const [client, server] = await plainPair();
  const accepting = assertRejects(() => accept(server, serverSide, 300), Deno.errors.TimedOut, "no handshake within");
  const drip = setInterval(() => client.write(new TextEncoder().encode("N")).catch(() => {}), 100);
  await accepting;
  clearInterval(drip);
  assertEquals(await client.read(new Uint8Array(1)).catch(() => null), null);
  client.close();
});

Deno.test("acceptSecure() says nothing to whom it does not let in, after any failure", async () => {
  const refuse: ServerSecurity = { ...serverSide, authorize: () => Promise.resolve(false) };
  const strangers = ["GET / HTTP/1.1\r\n\r\n", "NPS1\x03abc", "NPS1\x1cNoise_XX_25519_AESGCM_SHA256\xff\xff"];
  for (const text of strangers) {
    const [client, server] = await plainPair();
    const accepting = assertRejects(() => accept(server), Error);
    await client.write(Uint8Array.from(text, (char) => char.charCodeAt(0)));
    await accepting;
    assertEquals(await client.read(new Uint8Array(1)).catch(() => null), null);
    client.close();
  }
  const [client, server] = await plainPair();
  const [refused] = await Promise.all([
    assertRejects(() => connectSecure(client, clientSide, { application }), AttemptError, "make the channel secure"),
    assertRejects(() => accept(server, refuse), Error, "is not authorized"),
  ]);
  assertStringIncludes(refused.hint!, "says nothing to strangers");
});

Deno.test("acceptSecure() asks about a client without a key as well: a list of keys does not let it in", async () => {
  const protocol = "Noise_NK_25519_AESGCM_SHA256";
  const asked: unknown[] = [];
  for (const authorized of [true, false]) {
    const authorize = (key: Uint8Array | undefined) => {
      asked.push(key);
      return Promise.resolve(authorized);
    };
    const [client, server] = await plainPair();
    const accepting = accept(server, { ...serverSide, protocols: [protocol], authorize })
      .then((connection) => connection.finish(), String);
    const security = { ...clientSide, protocol, serverKey: serverIdentity.publicKey };
    const connection = await connectSecure(client, security, { application });
    assertEquals(await connection.read(new Uint8Array(1)).catch(() => "cut"), authorized ? null : "cut");
    assertEquals(await accepting, authorized ? undefined : "ProtocolError: Cannot let in the client: it has no key");
    await connection.finish();
  }
  assertEquals(asked, [undefined, undefined]);
});

Deno.test("connectSecure(): of a server that should have a known key and refuses us, it asks whether it still has that", async () => {
  for (const [pattern, known] of [["NK", true], ["XX", false]] as const) {
    const [client, server] = await plainPair();
    const protocol = `Noise_${pattern}_25519_AESGCM_SHA256`;
    const serverKey = known ? { serverKey: x25519.generate().publicKey } : {};
    const other = {
      ...serverSide,
      protocols: [protocol],
      ...(known ? {} : { authorize: () => Promise.resolve(false) }),
    };
    const [refused] = await Promise.all([
      assertRejects(
        () => connectSecure(client, { ...clientSide, protocol, ...serverKey }, { application }),
        AttemptError,
      ),
      assertRejects(() => accept(server, other), Error),
    ]);
    assertEquals(refused.hint!.endsWith("on its list? has it still the key in known_hosts?"), known, refused.hint);
  }
});

/** Lets a side say no more than `length` bytes, and then end its stream. */
function halfCloseAfter(connection: TcpConnection, length: number): void {
  const write = connection.write.bind(connection);
  let left = length;
  connection.write = async (bytes) => {
    const part = bytes.subarray(0, left);
    left -= part.length;
    if (part.length > 0) await write(part);
    if (left === 0) await connection.closeWrite();
    return bytes.length;
  };
}

Deno.test("a handshake ends at once when either side half-closes within or between its messages", async () => {
  const handshake = { client: [1, 5, 33, 40, 67, 68, 100], server: [1, 2, 60, 98, 99, 118] };
  for (const [side, lengths] of Object.entries(handshake)) {
    for (const length of lengths) {
      const [client, server] = await plainPair();
      halfCloseAfter(side === "client" ? client : server, length);
      const accepting = accept(server).then((connection) => connection.finish(), (error) => error);
      const { cause } = await assertRejects(() => connectSecure(client, clientSide, { application }), AttemptError);
      for (const error of [cause, await accepting]) {
        assert(!(error instanceof Deno.errors.TimedOut), `${side} ${length}`);
      }
      if (side === "client") assert(await accepting instanceof TruncatedError, `${length}`);
    }
  }
});

Deno.test("connectSecure() shows nothing of itself to a server that is not the right one", async () => {
  const [client, server] = await plainPair();
  let received = 0;
  const read = server.read.bind(server);
  server.read = async (buffer) => {
    const count = await read(buffer);
    received += count ?? 0;
    return count;
  };
  const verify = (key: Uint8Array) => {
    assertEquals(key, serverIdentity.publicKey);
    return Promise.reject(new AttemptError("verify the server", new Error("it is another one")));
  };
  await Promise.all([
    assertRejects(
      () => connectSecure(client, { ...clientSide, verify }, { application }),
      AttemptError,
      "verify the server",
    ),
    assertRejects(() => accept(server), Error),
  ]);
  assertEquals(received, 5 + 28 + 2 + 32); // the preamble and the first message
});

Deno.test("acceptSecure(): what a server needs to decide about a client is part of the 10 s", async () => {
  const [client, server] = await plainPair();
  const authorize = () => new Promise<boolean>(() => {}); // never knows
  await Promise.all([
    assertRejects(() => connectSecure(client, clientSide, { application }), AttemptError),
    assertRejects(() => accept(server, { ...serverSide, authorize }, 500), Deno.errors.TimedOut, "no handshake within"),
  ]);
});

Deno.test("connectSecure(): what a user needs to decide about a server is not", async () => {
  const [client, server] = await plainPair();
  const verify = () => new Promise<undefined>((resolve) => setTimeout(resolve, 2500, undefined));
  const accepting = accept(server);
  const secure = await connectSecure(client, { ...clientSide, verify }, { application, timeout: 2000 });
  await Promise.all([secure.finish(), (await accepting).finish()]);
});

Deno.test("connectSecure(): the time before the user decides counts, and so does the time after", async () => {
  const [client, server] = await plainPair();
  const write = server.write.bind(server);
  server.write = async (bytes) => {
    await new Promise((resolve) => setTimeout(resolve, 600)); // message 2, and then the confirmation
    return write(bytes);
  };
  const accepting = accept(server).catch((error) => error);
  const settings = { application, timeout: 1000 };
  const failed = await assertRejects(() => connectSecure(client, clientSide, settings), AttemptError);
  assertStringIncludes(failed.message, "no handshake within 1 s");
  const accepted = await accepting;
  if (accepted instanceof SecureConnection) await accepted.finish();
});

Deno.test("HandshakeGate: a flood of 10,000 garbage handshakes never has more than 128 places of one address", async () => {
  const gate = new HandshakeGate();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const security = { ...serverSide, authorize: () => Promise.resolve(false) };
  const accepted: Promise<unknown>[] = [];
  let most = 0;
  const accepting = (async () => {
    for await (const conn of listener) {
      const connection = new TcpConnection(conn);
      accepted.push(acceptSecure(connection, security, { application, gate }).catch(() => {}));
      await Promise.resolve();
      most = Math.max(most, gate.counts.halfOpen);
    }
  })();
  const preamble = new TextEncoder().encode("NPS1\x1cNoise_XX_25519_AESGCM_SHA256");
  const attack = async (held: Deno.TcpConn[]) => {
    for (let i = 0; i < 50; i++) {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
      await conn.write(preamble).catch(() => {});
      held.push(conn);
      if (held.length > 1) held.shift()!.close(); // cut: its place is free, and the next one has come already
    }
    for (const conn of held) conn.close();
  };
  await inTime(Promise.all(Array.from({ length: 200 }, () => attack([]))), "the flood");
  listener.close();
  await accepting.catch(() => {});
  await Promise.all(accepted);
  assertEquals([accepted.length, most], [10_000, 128]);
  assertEquals(gate.counts, { halfOpen: 0, waiting: 0 });
});

Deno.test("HandshakeGate: at most 256 at a time, 128 of an address; the others wait, and leave when they close", async () => {
  const gate = new HandshakeGate();
  const from = (address: string) => {
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    return { connection: { peer: `${address}:1`, closed } as TcpConnection, close };
  };
  const enter = (address: string) => gate.enter(from(address).connection);
  const inside = await Promise.all(Array.from({ length: 128 }, () => enter("10.0.0.1")));
  assertEquals(gate.counts, { halfOpen: 128, waiting: 0 });
  const leaving = from("10.0.0.1");
  const left = gate.enter(leaving.connection);
  const next = enter("10.0.0.1");
  const others = await Promise.all(Array.from({ length: 128 }, (_, i) => enter(`10.0.1.${i}`)));
  const last = enter("10.0.2.1");
  await Promise.resolve();
  assertEquals(gate.counts, { halfOpen: 256, waiting: 3 });
  leaving.close();
  await assertRejects(() => left, Error, "too many handshakes");
  assertEquals(gate.counts, { halfOpen: 256, waiting: 2 });
  others.pop()![Symbol.dispose](); // room for another address only
  others.push(await last);
  assertEquals(gate.counts, { halfOpen: 256, waiting: 1 });
  inside.pop()![Symbol.dispose]();
  inside.push(await next);
  for (const place of [...inside, ...others]) place[Symbol.dispose]();
  assertEquals(gate.counts, { halfOpen: 0, waiting: 0 });
});

Deno.test("HandshakeGate: the addresses of one IPv6 /64 share their places", async () => {
  const gate = new HandshakeGate();
  const enter = (address: string) =>
    gate.enter({ peer: `${address}:1`, closed: new Promise(() => {}) } as TcpConnection);
  const inside = await Promise.all(Array.from({ length: 128 }, (_, i) => enter(`[2001:db8::${i + 1}]`)));
  const waiting = enter("[2001:db8::ffff]");
  inside.push(await enter("[2001:db8:0:1::1]"));
  assertEquals(gate.counts, { halfOpen: 129, waiting: 1 });
  inside.pop()![Symbol.dispose]();
  inside.pop()![Symbol.dispose]();
  (await waiting)[Symbol.dispose]();
  for (const place of inside) place[Symbol.dispose]();
});

// --- The programs --------------------------------------------------------------------------------------------------

const SERVER = "servers/secure_echo";
const CLIENT = "clients/secure_echo";

/** The server and clients that keep their keys in one folder. */
async function withServer(
  args: readonly string[],
  use: (server: RunningServer, env: Record<string, string>) => Promise<void>,
): Promise<void> {
  await using folder = new TestFolder();
  const env = { XDG_CONFIG_HOME: folder.path };
  await using server = await startServer(SERVER, ["--allow-any-client", ...args], { env });
  await use(server, env);
}

const at = (server: RunningServer) => ["127.0.0.1", `${server.port}`, "--trust", "accept-new"];

Deno.test("secure_echo: messages come back, the server prints them, and both part with a close record", async () => {
  await withServer(["-v"], async (server, env) => {
    const { stdout, stderr, code } = await run(CLIENT, [...at(server), "-m", "hello", "-m", "again"], { env });
    assertEquals([stdout, code], ["hello\nagain\n", 0], stderr);
    await server.printed(/^127\.0\.0\.1:\d+ hello$/);
    await server.logged(/: secure: SHA256:\S+, Noise_XX_25519_AESGCM_SHA256$/);
    await server.logged(/:\d+: closed$/);
  });
});

Deno.test("secure_echo: a long message, either cipher, several clients at once", async () => {
  await withServer(["-q"], async (server, env) => {
    const stdin = `${"x".repeat(2_000_000)}\n`;
    const first = await run(CLIENT, [...at(server), "-m", "we have met"], { env }); // writes known_hosts
    assertEquals(first.code, 0, first.stderr);
    const outputs = await Promise.all(
      ["aes", "chacha", "aes", "chacha"].map((cipher) =>
        run(CLIENT, [...at(server), "--cipher", cipher, "--padding", "padme"], { env, stdin })
      ),
    );
    for (const { stdout, stderr, code } of outputs) {
      assertEquals(code, 0, stderr);
      assert(stdout === stdin);
    }
  });
});

Deno.test("secure_echo: at the end the server sends its clients a close record", async () => {
  await withServer([], async (server) => {
    const plain = new TcpConnection(await server.connect());
    const client = await connectSecure(plain, clientSide, { application: "echo/1" });
    await client.write(bytes(3));
    await readFull(client, new Uint8Array(3));
    const reading = client.read(new Uint8Array(1));
    const stopped = server.stop();
    assertEquals(await inTime(reading, "the close record"), null);
    await client.finish();
    assertEquals((await stopped).code, 0);
  });
});

Deno.test("secure_echo: a handshake that drips ends after its 10 s, and the server lives on", async () => {
  await withServer(["-v"], async (server, env) => {
    const begun = performance.now();
    using slow = await server.connect();
    const message = new TextEncoder().encode("NPS1\x1cNoise_XX_25519_AESGCM_SHA256");
    const drip = (async () => {
      for (const byte of message) {
        await slow.write(Uint8Array.of(byte));
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    })().catch(() => {}); // it is closed under its hands
    const received = await inTime(slow.read(new Uint8Array(1)).catch(() => null), "the end of the handshake");
    assertEquals(received, null);
    assert(performance.now() - begun >= 9_900);
    await server.logged(/closed: no handshake within 10 s/);
    const { code, stderr } = await run(CLIENT, [...at(server), "-m", "hello"], { env });
    assertEquals(code, 0, stderr);
    await drip;
  });
});

Deno.test("secure_echo: a client that does not speak the protocol, and one with another application, learn nothing", async () => {
  await withServer([], async (server) => {
    using stranger = await server.connect();
    await stranger.write(new TextEncoder().encode("hello\n"));
    assertEquals(await stranger.read(new Uint8Array(1)).catch(() => null), null);
    await server.logged("does not ask for a secure channel");
    const plain = new TcpConnection(await server.connect());
    await assertRejects(() => connectSecure(plain, clientSide, { application: "chat/1" }), AttemptError);
  });
});

testWith(["cat"], "secure_echo: 10,000 garbage handshakes leave it as it was", async () => {
  await withServer([], async (server, env) => {
    const garbage = [
      "NPS1\x1cNoise_XX_25519_AESGCM_SHA256\x04\x00",
      "NPS1\x1cNoise_XX_25519_AESGCM_SHA256\x00\x20" + "\x01".repeat(32) + "\x00\x40" + "\x02".repeat(64),
      "NPS1",
      "\x16\x03\x01\x02\x00",
      "NPS1\x1cNoise_XX_25519_AESGCM_SHA256\xff\xff",
    ].map((text) => Uint8Array.from(text, (char) => char.charCodeAt(0)));
    const attack = async (count: number) => {
      for (let i = 0; i < count; i++) {
        try {
          using connection = await server.connect();
          await connection.write(garbage[i % garbage.length]!);
          await connection.closeWrite();
          while (await connection.read(new Uint8Array(200)) !== null);
        } catch {
          // reset: that is an answer too
        }
      }
    };
    await Promise.all(Array.from({ length: 50 }, () => attack(400))); // until its heap has the size that it keeps
    const before = await server.residentBytes();
    await Promise.all(Array.from({ length: 50 }, () => attack(200)));
    const grown = await server.residentBytes() - before;
    assert(grown < 32 * 2 ** 20, `grew by ${grown} bytes`);
    const { stdout, stderr } = await run(CLIENT, [...at(server), "-m", "hello"], { env });
    assertEquals(stdout, "hello\n", stderr);
    await server.logged("10000 handshakes of 127.0.0.1 have failed within a minute");
  });
});

Deno.test("secure_echo: --verbose says at both ends what does the encryption", async () => {
  await withServer(["-v", "--backend", "noble"], async (server, env) => {
    const { code, stderr } = await run(CLIENT, [...at(server), "-v", "--backend", "portable", "-m", "hello"], { env });
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, "secure_echo: portable does the encryption\n");
    await server.logged("secure_echo: noble does the encryption");
  });
});

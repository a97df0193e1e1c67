import net from "node:net";
import { concat } from "@std/bytes";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { inTime, run, type RunningServer, startServer, startTool } from "../harness.ts";

const MIB = 2 ** 20;
const ECHOES = 30;
const WIRETAP = "servers/wiretap";
const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A target in this process: what stands behind the proxy is in the hands of the test. */
class Target implements Disposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #accepted: Deno.TcpConn[] = [];
  readonly address = `127.0.0.1:${this.#listener.addr.port}`;

  /** The next connection of the proxy. */
  async accept(): Promise<Deno.TcpConn> {
    const conn = await inTime(this.#listener.accept(), "the proxy's connection");
    this.#accepted.push(conn);
    return conn;
  }

  /** Echoes on every further connection. */
  async echo(): Promise<void> {
    for (let conn; (conn = await this.#listener.accept().catch(() => undefined)) !== undefined;) {
      this.#accepted.push(conn);
      conn.readable.pipeTo(conn.writable).catch(() => {});
    }
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    for (const conn of this.#accepted) {
      try {
        conn.close();
      } catch {
        // the test has closed it
      }
    }
  }
}

/** A wiretap before a target, and a client and the target joined by it. */
async function join(target: Target, args: readonly string[] = []) {
  const wiretap = await startServer(WIRETAP, ["--to", target.address, ...args]);
  return { wiretap, ...await connect(wiretap, target) };
}

async function connect(wiretap: RunningServer, target: Target) {
  const [client, server] = await inTime(Promise.all([wiretap.connect(), target.accept()]), "the wiretap to connect");
  return { client, server };
}

async function writeAll(conn: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await conn.write(bytes.subarray(written));
}

/** What one read brings; "" at the end of the stream. */
async function readText(conn: Deno.TcpConn): Promise<string> {
  const buffer = new Uint8Array(1024);
  const count = await inTime(conn.read(buffer), "bytes from the proxy");
  return decode(buffer.subarray(0, count ?? 0));
}

/** All bytes up to the end of the stream, or to a reset. */
async function readAll(conn: Deno.TcpConn): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const buffer = new Uint8Array(65_536);
  try {
    for (let count; (count = await inTime(conn.read(buffer), "the end of the stream")) !== null;) {
      chunks.push(buffer.slice(0, count));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  }
  return concat(chunks);
}

/** Bytes without a pattern, the same each time. */
function noise(length: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length }, () => (state = state * 48_271 % 0x7fffffff) >> 8);
}

// --- Transparent ---------------------------------------------------------------------------------------------------

Deno.test("wiretap: passes the bytes of both directions on unchanged, at the same time", async () => {
  using target = new Target();
  const { wiretap, client, server } = await join(target, ["--quiet"]);
  await using _ = wiretap;
  using __ = client;
  const [up, down] = [noise(3_000_000), noise(2_000_001).reverse()];
  const send = async (conn: Deno.TcpConn, bytes: Uint8Array) => {
    await writeAll(conn, bytes);
    await conn.closeWrite();
  };
  const [heardByServer, heardByClient] = await Promise.all([
    readAll(server),
    readAll(client),
    send(client, up),
    send(server, down),
  ]);
  assertEquals(heardByServer, up);
  assertEquals(heardByClient, down);
});

Deno.test("wiretap: shows each chunk of both directions, and no control character as such", async () => {
  using target = new Target();
  const { wiretap, client, server } = await join(target);
  await using _ = wiretap;
  using __ = client;
  await client.write(encode("hello\n"));
  assertEquals(await readText(server), "hello\n");
  await server.write(encode("\x1b[31mred\x07"));
  assertEquals(await readText(client), "\x1b[31mred\x07");
  await wiretap.printed("|.[31mred.|");
  client.close();
  await wiretap.printed("#1 -> end");
  assertEquals(wiretap.stdout.all.slice(1).map((line) => line.replace(/^\d\d:\d\d:\d\d\.\d{3} /, "TIME ")), [
    `TIME #1 ${addressOf(client)} to ${target.address}`,
    "TIME #1 -> 6 bytes at 0",
    "       0  68 65 6c 6c 6f 0a                                 |hello.|",
    "TIME #1 <- 9 bytes at 0",
    "       0  1b 5b 33 31 6d 72 65 64  07                       |.[31mred.|",
    "TIME #1 -> end",
  ]);
});

Deno.test("wiretap: cuts the view of a long chunk with a note, unless --show asks for more", async () => {
  using target = new Target();
  for (const [args, rows, note] of [[[], 16, 1], [["--show", "1KiB"], 64, 0]] as const) {
    const { wiretap, client } = await join(target, args);
    await using _ = wiretap;
    using __ = client;
    await writeAll(client, noise(1024));
    client.closeWrite();
    await wiretap.printed("#1 -> end");
    const lines = wiretap.stdout.all;
    assertEquals(lines.filter((line) => line.endsWith("|")).length, rows);
    assertEquals(lines.filter((line) => line.endsWith("… 768 more bytes")).length, note);
  }
});

Deno.test("wiretap: --quiet prints the listening line and nothing else", async () => {
  using target = new Target();
  const { wiretap, client, server } = await join(target, ["-q"]);
  using _ = client;
  await client.write(encode("hello"));
  await readText(server);
  const { code, stdout, stderr } = await wiretap.stop();
  assertEquals([code, stdout, stderr], [0, `listening on tcp://127.0.0.1:${wiretap.port}`, ""]);
});

Deno.test("wiretap: passes a half-close on in each direction; the other one goes on", async () => {
  using target = new Target();
  const { wiretap, client, server } = await join(target);
  await using _ = wiretap;
  using __ = client;
  await client.closeWrite();
  assertEquals(await readText(server), "");
  await server.write(encode("still here"));
  assertEquals(await readText(client), "still here");

  const second = await connect(wiretap, target);
  using ___ = second.client;
  await second.server.closeWrite();
  assertEquals(await readText(second.client), "");
  await second.client.write(encode("me too"));
  assertEquals(await readText(second.server), "me too");
});

Deno.test("wiretap: relays 500 connections at the same time, each its own bytes", async () => {
  using target = new Target();
  target.echo();
  await using wiretap = await startServer(WIRETAP, ["--to", target.address, "-q"]);
  const clients = await Promise.all(Array.from({ length: 500 }, () => wiretap.connect()));
  await Promise.all(clients.map(async (client, i) => {
    await client.write(encode(`client ${i}`));
    assertEquals(await readText(client), `client ${i}`);
  }));
  for (const client of clients) client.close();
});

// --- Peers that misbehave ------------------------------------------------------------------------------------------

Deno.test("wiretap: a target that refuses closes the client with one log line; the next client is served", async () => {
  const target = new Target();
  const { address } = target;
  target[Symbol.dispose]();
  await using wiretap = await startServer(WIRETAP, ["--to", address]);
  for (let i = 1; i <= 2; i++) {
    using client = await wiretap.connect();
    assertEquals(await readAll(client), new Uint8Array());
    const line = `wiretap: ${addressOf(client)}: closed: connect to ${address}: connection refused`;
    assertEquals(await wiretap.logged(addressOf(client)), line);
    assertEquals(wiretap.stderr.all.length, i);
  }
});

Deno.test("wiretap: a target that resets closes the client with one log line; the others go on", async () => {
  const target = net.createServer((socket) => {
    socket.on("data", (bytes) => bytes.toString() === "reset" ? socket.resetAndDestroy() : socket.write(bytes));
    socket.on("error", () => {}); // the proxy's own reset when it stops
  });
  await new Promise<void>((resolve) => target.listen(0, "127.0.0.1", resolve));
  {
    await using wiretap = await startServer(WIRETAP, [
      "--to",
      `127.0.0.1:${(target.address() as net.AddressInfo).port}`,
    ]);
    using client = await wiretap.connect();
    using other = await wiretap.connect();
    await client.write(encode("reset"));
    assertEquals(await readAll(client), new Uint8Array());
    assertEquals(await wiretap.logged("closed"), `wiretap: ${addressOf(client)}: closed: connection reset by peer`);
    await wiretap.printed("#1 broken off: connection reset by peer");
    await other.write(encode("still here"));
    assertEquals(await readText(other), "still here");
    assertEquals(wiretap.stderr.all.length, 1);
  }
  await new Promise((resolve) => target.close(resolve));
});

Deno.test("wiretap: a client that vanishes closes the target, with one log line", async () => {
  using target = new Target();
  await using wiretap = await startServer(WIRETAP, ["--to", target.address]);
  const client = net.connect(wiretap.port, wiretap.hostname);
  const server = await inTime(target.accept(), "the wiretap");
  client.write("half a mess");
  assertEquals(await readText(server), "half a mess");
  client.resetAndDestroy();
  assertEquals(await readAll(server), new Uint8Array());
  await wiretap.logged(/closed: connection reset by peer$/);
  assertEquals(wiretap.stderr.all.length, 1);
});

Deno.test("wiretap: a client that has ended and a target that never does are closed after --idle-timeout", async () => {
  using target = new Target();
  const { wiretap, client, server } = await join(target, ["--idle-timeout", "200ms"]);
  await using _ = wiretap;
  using __ = client;
  await client.closeWrite();
  assertEquals(await readAll(server), new Uint8Array());
  await wiretap.logged(/closed: idle for 200 ms$/);
  assertEquals(await readAll(client), new Uint8Array());
});

for (const args of [[], ["--delay", "20ms"]]) {
  Deno.test(`${["wiretap", ...args].join(" ")}: a reader that does not read stops the sender; memory stays bounded`, async () => {
    using target = new Target();
    target.echo();
    await using wiretap = await startServer(WIRETAP, ["--to", target.address, "-q", ...args]);
    using probe = await wiretap.connect();
    using stuck = new Target();
    await using slow = await startServer(WIRETAP, ["--to", stuck.address, "-q", ...args]);
    const { client, server } = await connect(slow, stuck);
    using _ = client;
    const before = await slow.residentBytes();
    const stream = noise(2 ** 25);
    let written = 0;
    const sent = (async () => {
      while (written < stream.length) written += await client.write(stream.subarray(written, written + 65_536));
      await client.closeWrite();
    })();
    for (let still = 0, last = -1; still < 20; still = written === last ? still + 1 : 0, last = written) {
      await probe.write(encode("tick")); // the time that an echo through another proxy takes
      await readText(probe);
    }
    assert(written < stream.length, "all was taken, though nobody reads");
    const grown = await slow.residentBytes() - before;
    assert(grown < 24 * 2 ** 20, `grown by ${grown} bytes`);
    assertEquals(await readAll(server), stream);
    await sent;
  });
}

Deno.test("wiretap: SIGTERM with an idle client closes both sides and ends with 0, without waiting for it", async () => {
  using target = new Target();
  const { wiretap, client, server } = await join(target);
  using _ = client;
  await client.write(encode("question"));
  await readText(server);
  await server.write(encode("answer"));
  await readText(client);
  const { code, stderr } = await wiretap.stop();
  assertEquals([code, stderr], [0, `wiretap: ${addressOf(client)}: closed: the server stops`]);
  assertEquals([await readAll(client), await readAll(server)], [new Uint8Array(), new Uint8Array()]);
});

Deno.test("wiretap: wrong options end with 2 and one line", async () => {
  for (
    const [args, line] of [
      [[], "--to HOST:PORT is needed"],
      [["--to", "nowhere"], '--to: "nowhere" is no address'],
      [["--to", "127.0.0.1:0"], "is no address"],
      [["--to", "127.0.0.1:99999"], "is no address"],
      [["--to", "::1:80"], "is no address"],
      [["--to", "127.0.0.1:4000", "--port", "4000"], "--to is the proxy itself"],
      [["--to", "127.0.0.1:1", "--split", "0"], "--split"],
      [["--to", "127.0.0.1:1", "--drop", "10%"], "need --udp"],
      [["--to", "127.0.0.1:1", "--udp", "--split", "3"], "--split"],
      [["--to", "127.0.0.1:1", "--udp", "--drop", "101%"], '--drop: "101%" is no percentage'],
      [["--to", "127.0.0.1:1", "--find", ""], "--find"],
    ] as const
  ) {
    const { code, stdout, stderr } = await run(WIRETAP, args);
    assertEquals([code, stdout], [2, ""], stderr);
    assertStringIncludes(stderr, line);
    assertEquals(stderr.trimEnd().split("\n").length, 1);
  }
});

Deno.test("wiretap: --save without the permission ends with 1 and names the flag", async () => {
  const { code, stdout, stderr } = await run(WIRETAP, ["--to", "127.0.0.1:1", "--save", "talk.pcap"]);
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /^wiretap: save to talk\.pcap: .*\(add the flag -W=talk\.pcap\)\n$/);
});

// --- Is it secret? -------------------------------------------------------------------------------------------------

Deno.test("wiretap: --find ends with 0 as soon as the text passes, in either direction, split over chunks", async () => {
  for (const direction of ["up", "down"]) {
    using target = new Target();
    const { wiretap, client, server } = await join(target, ["--find", "sesame"]);
    using _ = client;
    const [sender, reader] = direction === "up" ? [client, server] : [server, client];
    await sender.write(encode("open ses"));
    assertEquals(await readText(reader), "open ses");
    await sender.write(encode("ame!"));
    const { code, stdout } = await wiretap.ended();
    await wiretap.process.stdin.close();
    assertEquals(code, 0);
    assertStringIncludes(stdout, `found "sesame": #1 ${direction === "up" ? "->" : "<-"} at 5`);
  }
});

Deno.test("wiretap: --find ends with 3 when it is stopped and the text has not passed", async () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    using target = new Target();
    const { wiretap, client, server } = await join(target, ["--find", "sesame"]);
    using _ = client;
    await client.write(encode("ses"));
    await readText(server);
    await server.write(encode("ame"));
    await readText(client);
    const { code, stdout } = await wiretap.stop(signal);
    assertEquals(code, 3);
    assertStringIncludes(stdout, 'not found "sesame": 1 connection, 6 bytes');
  }
});

// --- Faults over TCP -----------------------------------------------------------------------------------------------

Deno.test("wiretap: delay, rate, split and glue together change no byte", async () => {
  using target = new Target();
  target.echo();
  const faults = ["--delay", "10ms", "--rate", "1MiB", "--split", "700", "--glue", "5ms"];
  await using wiretap = await startServer(WIRETAP, ["--to", target.address, "-q", ...faults]);
  using client = await wiretap.connect();
  const bytes = noise(100_000);
  const [echo] = await Promise.all([readAll(client), writeAll(client, bytes).then(() => client.closeWrite())]);
  assertEquals(echo, bytes);
});

Deno.test("wiretap: a client whose bytes still pass is not idle, however slowly they do", async () => {
  using target = new Target();
  const faults = ["--rate", "200", "--direction", "up", "--idle-timeout", "400ms"];
  await using wiretap = await startServer(WIRETAP, ["--to", target.address, ...faults]);
  wiretap.process.kill("SIGSTOP");
  using client = await wiretap.connect();
  const bytes = noise(300); // one read, 1.5 s on its way
  await writeAll(client, bytes);
  await client.closeWrite();
  wiretap.process.kill("SIGCONT"); // all is there before it counts
  assertEquals(await readAll(await target.accept()), bytes);
});

Deno.test("wiretap: --split with --rate lets the reader see the pieces", async () => {
  using target = new Target();
  const { wiretap, client, server } = await join(target, ["--split", "1", "--rate", "1"]);
  await using _ = wiretap;
  using __ = client;
  await client.write(encode("pi"));
  assertEquals(await readText(server), "p"); // a second alone: more than a busy machine may be late
  assertEquals(await readText(server), "i");
});

Deno.test("wiretap: --glue lets the reader see two messages as one", async () => {
  using target = new Target();
  const { wiretap, client, server } = await join(target, ["--glue", "5s"]); // so long may this test be late
  await using _ = wiretap;
  using __ = client;
  await client.write(encode("one "));
  await wiretap.printed("#1 -> 4 bytes at 0"); // it has been read alone
  await client.write(encode("two"));
  assertEquals(await readText(server), "one two");
});

Deno.test("wiretap: --cut-after passes exactly so many bytes and closes both sides with one log line", async () => {
  for (const count of [0, 5]) {
    using target = new Target();
    const { wiretap, client, server } = await join(target, ["--cut-after", `${count}`]);
    await using _ = wiretap;
    using __ = client;
    await client.write(encode("hello, world")).catch(() => {}); // cut at 0, it may fail already
    assertEquals(decode(await readAll(server)), "hello, world".slice(0, count));
    assertEquals(await readAll(client), new Uint8Array());
    await wiretap.logged(/closed: cut on purpose$/);
    assertEquals(wiretap.stderr.all.length, 1);
  }
});

Deno.test("wiretap: --stall-after passes no more on, nor the end, and closes nothing", async () => {
  using target = new Target();
  const { wiretap, client, server } = await join(target, ["--stall-after", "3", "--direction", "up"]);
  await using _ = wiretap;
  using __ = client;
  await client.write(encode("hello"));
  assertEquals(await readText(server), "hel");
  let ended = false;
  const end = readText(server).finally(() => ended = true);
  await client.closeWrite();
  await wiretap.printed("#1 -> end");
  await server.write(encode("I hear nothing"));
  assertEquals(await readText(client), "I hear nothing");
  assert(!ended, "the server heard of the end");
  await server.closeWrite();
  assertEquals(await readText(client), "");
  assertEquals(await end, ""); // both have ended: the proxy lets go
});

Deno.test("wiretap: --corrupt-at inverts one byte, of the direction that --direction names", async () => {
  for (
    const [direction, up, down] of [["up", "a\x9dc", "abc"], ["down", "abc", "a\x9dc"], ["both", "a\x9dc", "a\x9dc"]]
  ) {
    using target = new Target();
    const { wiretap, client, server } = await join(target, ["--corrupt-at", "1", "--direction", direction!]);
    await using _ = wiretap;
    using __ = client;
    const heard = new Uint8Array(3);
    await client.write(encode("abc"));
    await server.read(heard);
    assertEquals(String.fromCharCode(...heard), up);
    await server.write(encode("abc"));
    await client.read(heard);
    assertEquals(String.fromCharCode(...heard), down);
    await wiretap.printed("3 bytes at 0 (byte 1 corrupted)");
  }
});

// --- UDP -----------------------------------------------------------------------------------------------------------

/** A UDP socket of the test. */
class Socket implements Disposable {
  readonly #conn = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  readonly addr = this.#conn.addr as Deno.NetAddr;
  readonly address = `127.0.0.1:${this.addr.port}`;

  async send(text: string, to: { port: number }): Promise<void> {
    await this.#conn.send(encode(text), { transport: "udp", hostname: "127.0.0.1", port: to.port });
  }

  /** The next datagram and who sent it. */
  async receive(): Promise<{ text: string; from: Deno.NetAddr }> {
    const [datagram, from] = await inTime(this.#conn.receive(), "a datagram");
    return { text: decode(datagram), from: from as Deno.NetAddr };
  }

  [Symbol.dispose](): void {
    this.#conn.close();
  }
}

function startUdp(target: Socket, args: readonly string[] = []): Promise<RunningServer> {
  return startServer(WIRETAP, ["--udp", "--to", target.address, ...args]);
}

Deno.test("wiretap --udp: relays datagrams, and each client gets its own replies", async () => {
  using target = new Socket();
  await using wiretap = await startUdp(target);
  using one = new Socket();
  using other = new Socket();
  await one.send("from one", wiretap);
  const first = await target.receive();
  await other.send("from other", wiretap);
  const second = await target.receive();
  assertEquals([first.text, second.text], ["from one", "from other"]);
  await target.send("to other", second.from);
  await target.send("to one", first.from);
  assertEquals([(await one.receive()).text, (await other.receive()).text], ["to one", "to other"]);
  assertEquals((await target.send("", first.from), await one.receive()).text, "");
  assertMatch(await wiretap.printed("#1 ->"), /#1 -> 8 bytes$/);
  await wiretap.printed("#2 <- 8 bytes");
});

Deno.test("wiretap --udp: lets nobody but the target answer", async () => {
  using target = new Socket();
  await using wiretap = await startUdp(target);
  using client = new Socket();
  using stranger = new Socket();
  await client.send("question", wiretap);
  const { from } = await target.receive();
  await stranger.send("forged", from);
  await target.send("answer", from);
  assertEquals((await client.receive()).text, "answer");
});

Deno.test("wiretap --udp: --drop, --duplicate and --reorder do what they say", async () => {
  using target = new Socket();
  using client = new Socket();
  const heard = async (args: readonly string[], count: number) => {
    await using wiretap = await startUdp(target, [...args, "--direction", "up"]);
    wiretap.process.kill("SIGSTOP"); // held back for 100 ms, a datagram would go alone where this test is late
    for (const text of ["0", "1", "2", "3"]) await client.send(text, wiretap);
    wiretap.process.kill("SIGCONT");
    await wiretap.printed("|3|");
    const texts = [];
    for (; count > 0; count--) texts.push((await target.receive()).text);
    return { texts: texts.join(" "), wiretap };
  };
  assertEquals((await heard(["--duplicate", "100%"], 8)).texts, "0 0 1 1 2 2 3 3");
  assertEquals((await heard(["--reorder", "100%"], 4)).texts, "1 0 3 2");
  const { wiretap } = await heard(["--drop", "100%"], 0);
  assertEquals(wiretap.stdout.all.filter((line) => line.endsWith("(dropped)")).length, 4);
});

Deno.test("wiretap --udp: the same --seed drops the same datagrams, another one others", async () => {
  using target = new Socket();
  using client = new Socket();
  using other = new Socket();
  const dropped = async (seed: number) => {
    await using wiretap = await startUdp(target, ["--drop", "50%", "--seed", `${seed}`]);
    for (let i = 10; i < 60; i++) {
      for (const [sender, name] of [[client, "a"], [other, "b"]] as const) {
        await sender.send(`${name}${i}`, wiretap);
        await wiretap.printed(`|${name}${i}|`);
      }
    }
    const fates = wiretap.stdout.all.filter((line) => line.endsWith("bytes") || line.endsWith("(dropped)"));
    return ["#1", "#2"].map((name) =>
      fates.filter((line) => line.includes(name)).map((line) => line.endsWith("(dropped)") ? "-" : "+").join("")
    );
  };
  const [first, second] = await dropped(7);
  assertEquals(first!.length, 50);
  assertEquals(await dropped(7), [first!, second!]);
  const [third] = await dropped(8);
  assertEquals(new Set([first, second, third]).size, 3); // each client has dice of its own
});

Deno.test("wiretap --udp: forgets a client that is silent, and the most silent one when there are too many", async () => {
  using target = new Socket();
  using client = new Socket();
  using other = new Socket();
  {
    await using wiretap = await startUdp(target, ["--idle-timeout", "100ms", "-v"]);
    await client.send("a", wiretap);
    await wiretap.logged(`${client.address}: closed: idle`);
    await client.send("b", wiretap);
    await wiretap.printed("#2 -> 1 byte");
  }
  await using wiretap = await startUdp(target, ["--max-connections", "1", "-v"]);
  await client.send("a", wiretap);
  await wiretap.printed("#1 -> 1 byte");
  await other.send("b", wiretap);
  await wiretap.logged(`${client.address}: closed: its place is needed`);
  await wiretap.printed("#2 -> 1 byte");
});

Deno.test("wiretap --udp: --find looks into datagrams too", async () => {
  using target = new Socket();
  const wiretap = await startUdp(target, ["--find", "sesame"]);
  using client = new Socket();
  await client.send("open sesame", wiretap);
  const { code, stdout } = await wiretap.ended();
  await wiretap.process.stdin.close();
  assertEquals(code, 0);
  assertStringIncludes(stdout, 'found "sesame": #1 -> at 5');
});

/** How the proxy names a client. */
function addressOf(client: Deno.TcpConn): string {
  return `127.0.0.1:${client.localAddr.port}`;
}

Deno.test("wiretap: what a quiet client and its target say is not held up by streams at full speed", async () => {
  await using flood = startTool(Deno.execPath(), ["run", "--no-prompt", "-N", "tests/e2e/fixtures/flood.ts"]);
  const to = `127.0.0.1:${await flood.printed(/^\d+$/)}`;
  await using wiretap = await startServer(WIRETAP, ["-q", "--to", to]);
  using quiet = await wiretap.connect();
  let [drained, isOver] = [0, false];
  const flowing = Promise.withResolvers<void>();
  const drain = async () => {
    using busy = await wiretap.connect();
    await busy.write(encode("flood"));
    const buffer = new Uint8Array(256 * 1024);
    for (let count; (count = await busy.read(buffer).catch(() => null)) !== null && !isOver;) {
      drained += count;
      if (drained > 256 * MIB) flowing.resolve();
    }
  };
  const drains = Array.from({ length: 4 }, drain);
  await inTime(flowing.promise, "the streams to flow");
  const before = drained;
  for (let i = 0; i < ECHOES; i++) {
    await quiet.write(encode("echo"));
    assertEquals(await inTime(readText(quiet), "the echo"), "echo");
  }
  const passed = (drained - before) / ECHOES / MIB;
  isOver = true;
  await Promise.all(drains);
  assert(passed < 32, `${passed} MiB passed during an echo`); // two turns of 128 reads take 16 MiB
});

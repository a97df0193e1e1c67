import { concat } from "@std/bytes";
import { askFrames } from "../../clients/framed_echo.ts";
import { decodeText, encodeText } from "../../lib/bytes.ts";
import { DEFAULT_MAX_FRAME, encodeFrame, encodeFrames, type FrameFormat } from "../../lib/framing.ts";
import { type Connection, readFull, TcpConnection, writeAll } from "../../lib/net/tcp.ts";
import { runCommand } from "../../lib/programs.ts";
import { StickyReport } from "../../lib/sticky.ts";
import { echoFrames } from "../../servers/framed_echo.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { inTime, ROOT, run, type RunningServer, start, startServer } from "../harness.ts";

const SERVER = "servers/framed_echo";
const CLIENT = "clients/framed_echo";
const DOC = await Deno.readTextFile(`${ROOT}docs/protocols/framing.md`);

function frames(texts: readonly string[]): Uint8Array {
  return encodeFrames(texts.map(encodeText));
}

async function connect(server: RunningServer): Promise<TcpConnection> {
  return new TcpConnection(await server.connect());
}

/** Asks within this process; resolves to the replies. */
async function ask(connection: Connection, messages: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const replies: Uint8Array[] = [];
  const print = (reply: Uint8Array) => Promise.resolve(void replies.push(reply));
  await inTime(askFrames(connection, messages, { print }), "the replies");
  return replies;
}

/** Resolves when the peer has closed or reset the connection. */
async function closed(connection: Connection): Promise<void> {
  const reset = (error: unknown) => {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
    return null;
  };
  assertEquals(await inTime(connection.read(new Uint8Array(1)).catch(reset), "the server's close"), null);
}

/** The line on a closed connection that the server logged, as the protocol's page shows it. */
async function closedLine(server: RunningServer): Promise<string> {
  return (await server.logged("closed")).replace(/127\.0\.0\.1:\d+/, "127.0.0.1:52114");
}

/** A connection whose peer sends these chunks, one a read, and keeps what is written to it. */
class ScriptedConnection implements Connection {
  readonly peer = "script";
  readonly written: Uint8Array[] = [];
  readonly #chunks: Uint8Array[];
  constructor(chunks: Iterable<Uint8Array>) {
    this.#chunks = [...chunks];
  }
  read(buffer: Uint8Array): Promise<number | null> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) buffer.set(chunk);
    return Promise.resolve(chunk?.length ?? null);
  }
  write(bytes: Uint8Array): Promise<number> {
    this.written.push(bytes.slice());
    return Promise.resolve(bytes.length);
  }
  closeWrite(): Promise<void> {
    return Promise.resolve();
  }
  close(): void {}
  [Symbol.dispose](): void {}
}

Deno.test("framed_echo: the client prints one reply a line; the server prints each payload", async () => {
  await using server = await startServer(SERVER);
  const client = await run(CLIENT, ["127.0.0.1", `${server.port}`, "-m", "one", "-m", "", "-m", "zwölf"]);
  assertEquals(client, { code: 0, stdout: "one\n\nzwölf\n", stderr: "" });
  for (const text of ["one", "", "zwölf"]) await server.printed(new RegExp(`^127\\.0\\.0\\.1:\\d+ ${text}$`));
});

Deno.test("framed_echo: without -m the client sends each line of stdin and prints its reply", async () => {
  await using server = await startServer(SERVER);
  const client = await run(CLIENT, ["127.0.0.1", `${server.port}`], { stdin: "one\ntwo\r\n\nthree" });
  assertEquals(client, { code: 0, stdout: "one\ntwo\n\nthree\n", stderr: "" });
});

Deno.test("framed_echo: a character that a payload ends within is shown as bytes and leaves the next one alone", async () => {
  await using server = await startServer(SERVER);
  using connection = await connect(server);
  await ask(connection, [Uint8Array.of(0xd0), Uint8Array.of(0xb9)]);
  await server.printed(/ \\xd0$/);
  await server.printed(/ \\xb9$/);
});

Deno.test("framed_echo --endian little --width 2: both ends speak it, and the bytes are those of the format", async () => {
  const format = ["--endian", "little", "--width", "2"];
  await using server = await startServer(SERVER, format);
  const client = await run(CLIENT, ["127.0.0.1", `${server.port}`, ...format, "-m", "one", "-m", "two"]);
  assertEquals(client, { code: 0, stdout: "one\ntwo\n", stderr: "" });
  using connection = await connect(server);
  const frame = Uint8Array.from([5, 0, ...encodeText("hello")]);
  await writeAll(connection, frame);
  const echo = new Uint8Array(frame.length);
  await inTime(readFull(connection, echo), "the echo");
  assertEquals(echo, frame);
});

Deno.test("framed_echo: 16 frames in one segment are all answered", async () => {
  await using server = await startServer(SERVER, ["-q"]);
  using connection = await connect(server);
  const messages = Array.from({ length: 16 }, (_, i) => encodeText(`message ${i}`));
  assertEquals(await ask(connection, messages), messages);
});

Deno.test("echoFrames() answers all the frames of one read in one write, and a frame that is cut when it is whole", async () => {
  const stream = frames(Array.from({ length: 17 }, (_, i) => `message ${i}`));
  const connection = new ScriptedConnection([stream.subarray(0, -3), stream.subarray(-3)]);
  await echoFrames(connection);
  assertEquals(connection.written.length, 2);
  assertEquals(concat(connection.written), stream);
});

Deno.test("askFrames() sends all the messages in one write", async () => {
  const stream = frames(["one", "two", "three"]);
  const connection = new ScriptedConnection([stream.subarray(0, 10), stream.subarray(10)]);
  assertEquals((await ask(connection, ["one", "two", "three"].map(encodeText))).map(decodeText), [
    "one",
    "two",
    "three",
  ]);
  assertEquals(connection.written, [stream]);
});

Deno.test("askFrames() reads while it writes: more than any socket buffers comes back whole", async () => {
  await using server = await startServer(SERVER, ["-q"]);
  using connection = await connect(server);
  const message = new Uint8Array(DEFAULT_MAX_FRAME).fill(7);
  const replies = await ask(connection, Array(64).fill(message));
  assertEquals(replies.length, 64);
  assert(replies.every((reply) => reply.length === message.length && reply.every((byte) => byte === 7)));
});

Deno.test("framed_echo: a length of 4 GiB closes the connection at once, with one log line and nothing allocated", async () => {
  await using server = await startServer(SERVER);
  using other = await connect(server);
  const hello = [encodeText("hello")];
  assertEquals(await ask(other, hello), hello);
  const before = await server.residentBytes();
  using connection = await connect(server);
  await writeAll(connection, new Uint8Array(4).fill(0xff));
  await closed(connection);
  assertStringIncludes(DOC, await closedLine(server));
  assert(await server.residentBytes() - before < 2 ** 24);
  assertEquals(await ask(other, hello), hello);
  other.close();
  assertEquals((await server.stop()).stderr.split("\n").length, 1);
});

Deno.test("framed_echo --max-frame: a payload of the limit is echoed, one byte more is refused", async () => {
  await using server = await startServer(SERVER, ["--max-frame", "1kB"]);
  const client = (length: number) => run(CLIENT, ["127.0.0.1", `${server.port}`, "-m", "x".repeat(length)]);
  assertEquals((await client(1000)).stdout, `${"x".repeat(1000)}\n`);
  const refused = await client(1001);
  assertEquals([refused.code, refused.stdout], [1, ""]);
  assertMatch(refused.stderr, /^framed_echo: exchange messages: .*\n$/);
  await server.logged("closed: Cannot accept frame of 1001 bytes: limit is 1000 bytes");
});

Deno.test("framed_echo: a peer that hangs up in mid-frame leaves one log line; others go on", async () => {
  await using server = await startServer(SERVER);
  using other = await connect(server);
  using connection = await connect(server);
  await writeAll(connection, frames(["hello"]).subarray(0, 6));
  await connection.closeWrite();
  await closed(connection);
  assertStringIncludes(DOC, await closedLine(server));
  assertEquals((await ask(other, [encodeText("hello")])).length, 1);
  other.close();
  assertEquals((await server.stop()).stderr.split("\n").length, 1);
});

Deno.test("framed_echo: a peer that falls silent in mid-frame is closed when it has been idle for long enough", async () => {
  await using server = await startServer(SERVER, ["--idle-timeout", "1s"]);
  using connection = await connect(server);
  await writeAll(connection, frames(["hello"]).subarray(0, 6));
  await closed(connection);
  assertStringIncludes(await closedLine(server), "closed: idle for 1 s");
});

Deno.test("framed_echo: a peer that sends without end and never reads costs little memory and harms no other", async () => {
  await using server = await startServer(SERVER, ["-q"]);
  using other = await connect(server);
  const message = new Uint8Array(DEFAULT_MAX_FRAME);
  await ask(other, [message]);
  const before = await server.residentBytes();
  const deaf = await connect(server);
  const flood = (async () => {
    for (;;) await writeAll(deaf, encodeFrame(message));
  })().catch(() => {}); // closed below
  for (let round = 0; round < 50; round++) assertEquals((await ask(other, [message])).length, 1);
  assert(await server.residentBytes() - before < 150e6);
  deaf.close();
  await flood;
});

/** A server that reads so many bytes, sends this and closes. */
async function answerOnce(bytes: number, answer: Uint8Array, args: readonly string[]) {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = run(CLIENT, ["127.0.0.1", `${listener.addr.port}`, ...args]);
  using connection = new TcpConnection(await inTime(listener.accept(), "the client"));
  await inTime(readFull(connection, new Uint8Array(bytes)), "the messages");
  await writeAll(connection, answer);
  connection.close();
  return await client;
}

for (
  const [what, answer, stdout, line] of [
    ["without an answer", [], "", "Cannot read reply 1 of 2: the server closed the connection"],
    [
      "after one of two replies",
      frames(["one"]),
      "one\n",
      "Cannot read reply 2 of 2: the server closed the connection",
    ],
    ["in mid-reply", frames(["one", "two"]).subarray(0, 13), "one\n", "the stream ended after 6 of 7 bytes"],
    ["after one reply too many", frames(["one", "two", "!"]), "one\ntwo\n", "Cannot match replies: more than 2 came"],
    ["with no frame", encodeText("HTTP/1.1 400"), "", "Cannot accept frame of 1213486160 bytes"],
  ] as const
) {
  Deno.test(`framed_echo: a server that goes ${what} is one line and exit code 1`, async () => {
    const client = await answerOnce(14, Uint8Array.from(answer), ["-m", "one", "-m", "two"]);
    assertEquals([client.code, client.stdout], [1, stdout]);
    assertMatch(client.stderr, /^framed_echo: exchange messages: .*\n$/);
    assertStringIncludes(client.stderr, line);
  });
}

Deno.test("framed_echo --timeout: a server that says nothing is one line and exit code 1", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = await run(CLIENT, ["127.0.0.1", `${listener.addr.port}`, "-m", "hello", "--timeout", "2s"]);
  assertEquals(client, {
    code: 1,
    stdout: "",
    stderr: "framed_echo: exchange messages: no answer within 2 s\n",
  });
});

Deno.test("framed_echo: a refused connection is one line that names the server to start", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const args = ["127.0.0.1", `${listener.addr.port}`, "-m", "hello"];
  listener.close();
  for (const [flags, server] of [[[], SERVER], [["--sticky"], "servers/tcp_echo"]] as const) {
    const { code, stderr } = await run(CLIENT, [...args, ...flags]);
    assertEquals(code, 1);
    assertMatch(stderr, /^framed_echo: connect to .*: connection refused \(.*\)\n$/);
    assertStringIncludes(stderr, `try: ${runCommand(server)} --port ${args[1]})`);
  }
});

for (const path of [SERVER, CLIENT] as const) {
  Deno.test(`${path}: wrong usage is one line and exit code 2`, async () => {
    for (const args of [["--width", "3"], ["--endian", "middle"], ["--max-frame", "big"], ["--frame", "4"]]) {
      const { code, stdout, stderr } = await run(path, args);
      assertEquals([code, stdout], [2, ""]);
      assertMatch(stderr, /^framed_echo: .*\n$/);
      assertStringIncludes(stderr, args[0]!);
    }
  });
}

Deno.test("framed_echo --width 2: a message that the length cannot count is one line and exit code 1", async () => {
  await using server = await startServer(SERVER);
  const { code, stdout, stderr } = await run(CLIENT, [
    ...["127.0.0.1", `${server.port}`, "--width", "2", "-m", "x".repeat(65_536)],
  ]);
  assertEquals([code, stdout], [1, ""]);
  assertEquals(stderr, "framed_echo: exchange messages: cannot write 65536 in 2 bytes: 0 to 65535 fit\n");
});

Deno.test("framed_echo --sticky: shows every read of what a plain echo server sends back", async () => {
  await using server = await startServer("servers/tcp_echo");
  const texts = ["one", "two", "three", "x".repeat(100_000), "five"]; // the fourth fits no read
  const { code, stdout, stderr } = await run(CLIENT, [
    ...["127.0.0.1", `${server.port}`, "--sticky"],
    ...texts.flatMap((text) => ["-m", text]),
  ]);
  assertEquals([code, stderr], [0, ""]);
  const counts = Array.from(stdout.matchAll(/^read \d+: (\d+) bytes/gm), ([, count]) => Number(count));
  const report = new StickyReport(texts.map((text) => text.length));
  const lines = [...counts.map((count) => report.receive(count)), report.end()];
  assertEquals(stdout, lines.map((line) => `${line}\n`).join(""));
  assertMatch(stdout, /messages: 5, .* messages broken: [1-5]\n$/);
});

Deno.test("framed_echo --sticky: a server that keeps a part to itself is one line and exit code 1", async () => {
  const client = await answerOnce(6, encodeText("onet"), ["--sticky", "-m", "one", "-m", "two"]);
  assertEquals([client.code, client.stdout], [1, "read 1: 4 bytes: message 1 + message 2 (bytes 1-1 of 3)\n"]);
  assertStringIncludes(client.stderr, "Cannot read message 2 of 2: the stream ended after 1 of its 3 bytes");
});

/** A plain echo server for one client that sends what came back in reads of these sizes. */
async function echoInPieces(
  listener: Deno.TcpListener,
  sizes: readonly number[],
  seen: (read: number) => Promise<unknown>,
) {
  using connection = new TcpConnection(await inTime(listener.accept(), "the client"));
  const echo = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  await inTime(readFull(connection, echo), "the messages");
  let start = 0;
  for (const [i, size] of sizes.entries()) {
    await writeAll(connection, echo.subarray(start, start += size));
    await seen(i + 1);
  }
}

for (const block of DOC.split("```console\n$ ").slice(1)) {
  const [command, ...lines] = block.slice(0, block.indexOf("```")).split("\n") as [string, ...string[]];
  Deno.test(`docs/protocols/framing.md shows what this prints: ${command}: ${lines[0]}`, async () => {
    const args = command.split(`${runCommand(CLIENT)} `)[1]!.split(" ");
    const options = args.slice(args.findIndex((arg) => arg.startsWith("-")));
    const output = lines.join("\n");
    if (!options.includes("--sticky")) {
      await using server = await startServer(SERVER);
      assertEquals((await run(CLIENT, ["127.0.0.1", `${server.port}`, ...options])).stdout, output);
      return;
    }
    const sizes = Array.from(output.matchAll(/^read \d+: (\d+) bytes/gm), ([, size]) => Number(size));
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await using client = start(CLIENT, ["127.0.0.1", `${listener.addr.port}`, ...options]);
    await echoInPieces(listener, sizes, (read) => client.printed(`read ${read}:`));
    assertEquals(`${(await client.ended()).stdout}\n`, output);
  });
}

Deno.test("docs/protocols/framing.md shows the bytes that encodeFrame() makes of hello", () => {
  const examples: [string, FrameFormat][] = [
    ["--endian big --width 4", {}],
    ["--endian little --width 4", { endian: "little" }],
    ["--endian big --width 2", { width: 2 }],
    ["--endian little --width 2", { width: 2, endian: "little" }],
  ];
  for (const [options, format] of examples) {
    const [, hex] = new RegExp(`\`${options}\` *\\| *\`([0-9a-f ]+)\``).exec(DOC) ?? [];
    assertEquals(hex, encodeFrame(encodeText("hello"), format).toHex().replace(/..(?!$)/g, "$& "), options);
  }
});

import { concat } from "@std/bytes";
import { decodeText, encodeText } from "../../lib/bytes.ts";
import { MAX_MESSAGE } from "../../lib/chat.ts";
import { writeAll } from "../../lib/net/tcp.ts";
import type { ProgramPath } from "../../lib/programs.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { inTime, ROOT, run, type RunningProgram, type RunningServer, start, startServer } from "../harness.ts";

const SERVER = "servers/chat";
const CLIENT = "clients/chat";

/** A client that stays. */
function join(server: RunningServer, ...args: string[]): RunningProgram {
  return start(CLIENT, ["127.0.0.1", `${server.port}`, ...args]);
}

/** A client with all that it has to say. */
function say(server: RunningServer, stdin: string | Uint8Array, ...args: string[]) {
  return run(CLIENT, ["127.0.0.1", `${server.port}`, ...args], { stdin });
}

/** What the next read of a plain connection brings. */
async function hear(conn: Deno.TcpConn): Promise<string> {
  const buffer = new Uint8Array(1024);
  return decodeText(buffer.subarray(0, await inTime(conn.read(buffer), "an answer") ?? 0));
}

/** All that a plain connection brings until its end. */
async function rest(conn: Deno.TcpConn): Promise<string> {
  return decodeText(concat(await inTime(Array.fromAsync(conn.readable), "the end of the connection")));
}

Deno.test("chat: client and operator talk by turns; the client's stdout is exactly what the operator says", async () => {
  await using server = await startServer(SERVER);
  await using client = join(server);
  for (const [question, answer] of [["hello", "hi"], ["how is it?", "wörld"]] as const) {
    await client.type(`${question}\n`);
    assertMatch(await server.printed(question), new RegExp(`^127\\.0\\.0\\.1:\\d+ ${RegExp.escape(question)}$`));
    await server.type(`${answer}\n`);
    await client.printed(answer);
  }
  await client.type("q\n");
  await server.logged("said goodbye");
  assertEquals(await client.ended(), { code: 0, stdout: "hi\nwörld", stderr: "" });
});

Deno.test("chat: a piped line waits for its turn, on both sides; the answer to the last one still comes", async () => {
  await using server = await startServer(SERVER);
  await server.type("1\n2\n3\n");
  assertEquals(await say(server, "one\ntwo\r\nthree"), { code: 0, stdout: "1\n2\n3\n", stderr: "" });
  await server.printed(/ three$/);
  assertEquals(server.stdout.all.slice(1).map((line) => line.split(" ")[1]), ["one", "two", "three"]);
  await server.type("4\n");
  assertEquals((await say(server, "", "-m", "four")).stdout, "4\n");
});

Deno.test("chat: two clients that connect at once are served one after the other; q of either side ends a talk", async () => {
  await using server = await startServer(SERVER);
  const [first, second] = [await server.connect(), await server.connect()];
  await writeAll(second, encodeText("second\n")); // waits in the backlog, and is not lost
  await writeAll(first, encodeText("first\n"));
  await server.printed("first");
  await server.type("hello first\n");
  assertEquals(await hear(first), "hello first\n");
  await server.type("q\n");
  await writeAll(first, encodeText("more\n"));
  assertEquals(await rest(first), "q\n");
  await server.printed("second");
  await server.type("hello second\n");
  assertEquals(await hear(second), "hello second\n");
  await writeAll(second, encodeText("Q\r\n"));
  assertEquals(await rest(second), "");
  assertEquals(server.stdout.all.slice(1).map((line) => line.split(" ")[1]), ["first", "more", "second"]);
});

Deno.test("chat: what is said out of turn is shown all the same, and a pipe answers each line", async () => {
  await using server = await startServer(SERVER);
  using client = await server.connect();
  await writeAll(client, encodeText("one\ntwo\nthree\n"));
  await client.closeWrite();
  for (const text of ["one", "two", "three"]) await server.printed(text);
  await server.type("1\n2\n3\n4\n");
  assertEquals(await rest(client), "1\n2\n3\n");
});

Deno.test("chat: the client ends, with what was said, when the operator says q or stops", async () => {
  for (const end of ["q", "SIGINT", "SIGTERM"] as const) {
    await using server = await startServer(SERVER);
    const client = join(server);
    await client.type("hello\n");
    await server.printed("hello");
    if (end === "q") await server.type("q\n");
    else await server.stop(end);
    const { code, stdout, stderr } = await client.ended();
    assertEquals([code, stdout, stderr], [0, "", `chat: 127.0.0.1:${server.port} said goodbye`]);
  }
});

Deno.test("chat: Ctrl-C at the client closes the talk at both ends", async () => {
  await using server = await startServer(SERVER);
  const client = join(server);
  await client.type("hello\n");
  await server.printed("hello");
  assertEquals((await client.stop("SIGINT")).code, 0);
  await server.logged("said goodbye");
});

Deno.test("chat: when the operator's input has ended, each talk ends with a goodbye at the operator's next turn", async () => {
  await using server = await startServer(SERVER);
  await server.process.stdin.close();
  for (const text of ["first", "second"]) {
    const { code, stdout, stderr } = await say(server, `${text}\nmore\n`);
    assertEquals([code, stdout, stderr], [0, "", `chat: 127.0.0.1:${server.port} said goodbye\n`]);
    await server.printed(text);
  }
});

Deno.test("chat: a client that closes its side only (nc -N) still gets the answer", async () => {
  await using server = await startServer(SERVER);
  using client = await server.connect();
  await writeAll(client, encodeText("hello\n"));
  await client.closeWrite();
  await server.logged("closed its side");
  await server.type("hi\n");
  assertEquals(await rest(client), "hi\n");
});

Deno.test("chat: after the operator's goodbye, the last words of the client are shown", async () => {
  await using server = await startServer(SERVER);
  using client = await server.connect();
  await writeAll(client, encodeText("hello\n"));
  await server.type("q\n");
  assertEquals([await hear(client), await hear(client)], ["q\n", ""]); // "": it has closed its side
  await writeAll(client, encodeText("what a pity\n"));
  await server.printed("what a pity");
});

Deno.test("chat: a peer that vanishes in mid-line: its words are shown, the log says why, the next one is served", async () => {
  await using server = await startServer(SERVER);
  const client = await server.connect();
  await writeAll(client, encodeText("hello\nhal"));
  client.close();
  await server.printed(/ hal$/);
  await server.logged("closed: Cannot complete a line: the other side closed the talk after 3 bytes");
  await server.type("hi\n");
  assertEquals((await say(server, "next\n")).stdout, "hi\n");
});

Deno.test("chat: a megabyte without a newline is refused at the limit, with one line; the next one is served", async () => {
  await using server = await startServer(SERVER);
  const client = await server.connect();
  await writeAll(client, new Uint8Array(2 ** 20).fill(0x61)).catch(() => {}); // reset while it writes
  await server.logged("closed: Cannot accept a line: limit is 65507 bytes");
  client.close();
  await server.type("hi\n");
  assertEquals((await say(server, "next\n")).stdout, "hi\n");
});

Deno.test("chat: a message of the limit arrives whole; a longer one is refused before sending", async () => {
  await using server = await startServer(SERVER);
  await server.type("hi\n");
  const longest = "x".repeat(MAX_MESSAGE - 1);
  assertEquals((await say(server, longest)).stdout, "hi\n");
  assert((await server.printed("xxx")).endsWith(` ${longest}`));
  const { code, stderr } = await say(server, `${longest}x`);
  assertEquals([code, stderr], [
    1,
    "chat: send a line: a message of 65508 bytes is too long: limit is 65507 bytes\n",
  ]);
});

Deno.test("chat: the operator's screen shows escapes, bidi controls and invalid UTF-8, and obeys none", async () => {
  await using server = await startServer(SERVER);
  using client = await server.connect();
  const hostile = concat([
    encodeText("\x1b]0;title\x07 \u202e\r mid"),
    Uint8Array.of(0xc3, 0x28, 0xff, 0x41),
    encodeText("\n"),
  ]);
  await writeAll(client, hostile);
  assertStringIncludes(await server.printed("title"), " \\x1b]0;title\\x07 \\u202e\\r mid\\xc3(\\xffA");
});

Deno.test("chat: what comes through a pipe passes the client byte for byte", async () => {
  await using server = await startServer(SERVER);
  const bytes = concat([encodeText("\x1b[31m\t\u202e"), Uint8Array.of(0xc3, 0x28, 0xfe), encodeText("\n")]);
  const writer = server.process.stdin.getWriter();
  await writer.write(bytes);
  writer.releaseLock();
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "-N", `${CLIENT}.ts`, "127.0.0.1", `${server.port}`, "-m", "hello"],
    stdin: "null",
    stderr: "null",
  }).output();
  assertEquals(output.stdout, bytes);
});

Deno.test("chat --raw: one read is one message, nothing is appended, and q alone ends", async () => {
  await using server = await startServer(SERVER, ["--raw"]);
  await server.type("hi\n\n");
  const client = await server.connect();
  await writeAll(client, encodeText("two\nlines"));
  assertEquals(await hear(client), "hi");
  await server.printed("two\\nlines");
  await writeAll(client, encodeText("more"));
  await server.type("there\n"); // the empty line before it is no message
  assertEquals(await hear(client), "there");
  await writeAll(client, encodeText("Q"));
  assertEquals(await rest(client), "");
});

Deno.test("chat: a silent client is closed after --idle-timeout, and the next one is served", async () => {
  await using server = await startServer(SERVER, ["--idle-timeout", "200ms"]);
  server.process.kill("SIGSTOP");
  using silent = await server.connect();
  using next = await server.connect();
  await writeAll(next, encodeText("next\n")); // it waits, and is not silent when it is its turn
  server.process.kill("SIGCONT");
  await server.type("hi\n");
  assertEquals(await rest(silent), "");
  await server.logged("closed: idle for 200 ms");
  assertEquals(await hear(next), "hi\n");
});

Deno.test("chat: clients that reset harm nobody, whether they talk or wait", async () => {
  await using server = await startServer(SERVER);
  for (let i = 0; i < 10; i++) {
    const client = await server.connect();
    await writeAll(client, encodeText(`hello ${i}\n`));
    await server.printed(`hello ${i}`);
    await server.type("answer\n");
    await client.read(new Uint8Array(1));
    (await server.connect()).close();
    client.close(); // a reset, since it has not read all
  }
  await server.type("hi\n");
  assertEquals((await say(server, "next\n")).stdout, "hi\n");
});

Deno.test("chat: the client says in one line what went wrong", async () => {
  const { code, stdout, stderr } = await run(CLIENT, ["127.0.0.1", "1", "-m", "hello"]);
  assertEquals([code, stdout], [1, ""]);
  assertEquals(
    stderr,
    "chat: connect to 127.0.0.1:1: connection refused (is the server running? try: deno run -N servers/chat.ts --port 1)\n",
  );
  await using server = await startServer(SERVER);
  const late = await say(server, "", "-m", "hello", "--timeout", "2s"); // enough to connect, on a busy machine too
  assertEquals([late.code, late.stderr], [1, "chat: wait for an answer: no answer within 2 s\n"]);
  await server.logged("said goodbye");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = run(CLIENT, ["127.0.0.1", `${listener.addr.port}`, "-m", "hello"]);
  const conn = await inTime(listener.accept(), "the client");
  listener.close();
  await inTime(conn.read(new Uint8Array(10)), "the client");
  conn.close();
  assertStringIncludes(
    (await client).stderr,
    "chat: Cannot get an answer: the other side closed the talk before it (does the server want --secure?)\n",
  );
  assertEquals((await client).code, 1);
});

Deno.test("chat: an operator's piped line that is too long ends the talk, with one line that says so", async () => {
  await using server = await startServer(SERVER);
  await server.type(`${"x".repeat(MAX_MESSAGE)}\n`);
  const { code } = await say(server, "", "-m", "hello");
  assertEquals(code, 1);
  const tooLong = `a message of ${MAX_MESSAGE + 1} bytes is too long: limit is ${MAX_MESSAGE} bytes`;
  await server.logged(new RegExp(`^chat: 127\\.0\\.0\\.1:\\d+: closed: send a line: ${tooLong}$`));
});

Deno.test("chat: an operator cannot talk to several clients at once", async () => {
  const { code, stderr } = await run(SERVER, ["--max-connections", "2", "--port", "0"]);
  assertEquals([code, stderr.split(" (")[0]], [
    2,
    'chat: --max-connections: "2" is no whole number from 1 to 1',
  ]);
});

Deno.test("docs/protocols/chat.md: its transcripts are what happens", async () => {
  const page = await Deno.readTextFile(`${ROOT}docs/protocols/chat.md`);
  const transcripts = [...page.matchAll(/^```console\n\$ printf '(.*)' \| deno run -N (\S+)\.ts\n([^]*?)^```$/gm)]
    .map(([, typed, path, shown]) => ({
      path: path as ProgramPath,
      typed: typed!.replaceAll("\\n", "\n"),
      shown: shown!,
    }));
  assertEquals(transcripts.map(({ path }) => path.split("/")[0]), ["servers", "clients", "servers", "clients"]);
  for (let i = 0; i < transcripts.length; i += 2) {
    const [operator, client] = [transcripts[i]!, transcripts[i + 1]!];
    await using server = await startServer(operator.path);
    await server.type(operator.typed);
    await server.process.stdin.close();
    const said = await run(client.path, ["127.0.0.1", `${server.port}`], { stdin: client.typed });
    assertEquals(said.stdout + said.stderr, client.shown.replaceAll("9003", `${server.port}`));
    if (operator.shown.includes("goodbye")) await server.logged("said goodbye");
    const { stdout, stderr } = await server.stop();
    const lines = operator.shown.trimEnd().split("\n");
    const isLog = (line: string) => /^\w+: /.test(line);
    const expected = [...lines.filter((line) => !isLog(line)), ...lines.filter(isLog)].join("\n");
    const peer = /:(\d+): is here/.exec(stderr)![1]!;
    assertEquals(`${stdout}\n${stderr}`, expected.replaceAll("9003", `${server.port}`).replaceAll("52114", peer));
  }
});

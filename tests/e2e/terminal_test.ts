import { encodeText } from "../../lib/bytes.ts";
import { Terminal } from "../../lib/net/terminal.ts";
import { writeAll } from "../../lib/net/tcp.ts";
import { assert, assertEquals } from "../assert.ts";
import { inTime, runTool, startServer, testWith } from "../harness.ts";
import { COLUMNS, render, Screen } from "../screen.ts";

const PYTHON = ["python3"];

/** The operator's terminal, with nobody there, and its port. */
async function openOperator(): Promise<{ operator: Screen; port: number }> {
  const operator = Screen.run("servers/chat", "--port", "0");
  const [, port] = await operator.find(/^listening on .*:(\d+)\nnobody is here>$/);
  return { operator, port: Number(port) };
}

/** A plain client, and what the operator's screen calls it. */
async function join(port: number): Promise<{ client: Deno.TcpConn; name: string }> {
  const client = await Deno.connect({ hostname: "127.0.0.1", port });
  return { client, name: `127.0.0.1:${client.localAddr.port}` };
}

async function hear(client: Deno.TcpConn): Promise<string> {
  const buffer = new Uint8Array(1024);
  const count = await inTime(client.read(buffer), "what the operator says");
  return new TextDecoder().decode(buffer.subarray(0, count ?? 0));
}

/** The prompt and what is typed, as the screen breaks them. */
function wrapped(text: string): string[] {
  return text.match(new RegExp(`.{1,${COLUMNS}}`, "g"))!;
}

Deno.test("Screen: renders as a terminal does", () => {
  assertEquals(render("one\r\ntwo\x1b[1A\r\x1b[0Jthree"), ["three"]);
  assertEquals(render("x".repeat(COLUMNS + 1)), ["x".repeat(COLUMNS), "x"]);
  assertEquals(render("abc\x1b[2Gx"), ["axc"]);
});

testWith(PYTHON, "Screen: a control sequence that comes in two pieces is one", async () => {
  await using screen = new Screen("sh", "-c", "stty -echo; printf 'abc\\033['; read -r _; printf '2Gx'");
  await screen.find(/^abc$/);
  await screen.type("\r");
  assertEquals((await screen.ended()).lines, ["axc"]);
});

Deno.test("Terminal: a line that is no longer waited for is there for the next who asks", async () => {
  using terminal = await Terminal.open(["one", "two"]);
  assert(!terminal.interactive && !terminal.left.aborted);
  const talk = new AbortController();
  const ready = terminal.ready(talk.signal);
  talk.abort();
  await ready;
  const next = new AbortController().signal;
  const taken = [];
  for (let i = 0; i < 4; i++) {
    await terminal.ready(next);
    taken.push(terminal.take());
  }
  assertEquals([...taken, terminal.take()], [encodeText("one"), encodeText("two"), null, null, null]);
});

testWith(PYTHON, "terminal: what arrives appears above the line being typed, which stays whole", async () => {
  const { operator, port } = await openOperator();
  await using _ = operator;
  const { client, name } = await join(port);
  using __ = client;
  await writeAll(client, encodeText("hello\n"));
  await operator.shows(`${name} hello`, `to ${name}>`);
  await operator.type("half a li");
  await operator.shows(`to ${name}> half a li`);
  await writeAll(client, encodeText("are you there?\n"));
  await operator.shows(`${name} hello`, `${name} are you there?`, `to ${name}> half a li`);
  await operator.type("ne\r");
  assertEquals(await hear(client), "half a line\n");
  await operator.shows(`to ${name}> half a line`, `${name}'s turn>`);
});

testWith(
  PYTHON,
  "terminal: so does a line longer than the screen is wide, with the cursor anywhere in it",
  async () => {
    const { operator, port } = await openOperator();
    await using _ = operator;
    const { client, name } = await join(port);
    using __ = client;
    await writeAll(client, encodeText("one\n"));
    await operator.shows(`to ${name}>`);
    const long = "a long line that goes on for more than two lines of the screen, wörld";
    await operator.type(long);
    await operator.shows(`${name} one`, ...wrapped(`to ${name}> ${long}`));
    await writeAll(client, encodeText("two\n"));
    await operator.shows(`${name} one`, `${name} two`, ...wrapped(`to ${name}> ${long}`));
    await operator.type("\x1b[D".repeat(50)); // to the left, up to another line of the screen
    await writeAll(client, encodeText("three\n"));
    await operator.shows(`${name} two`, `${name} three`, ...wrapped(`to ${name}> ${long}`));
    await operator.type("\x05!\x7f?\r"); // to the end, a character, back, another one
    assertEquals(await hear(client), `${long}?\n`);
  },
);

testWith([...PYTHON, "stty"], "terminal: what arrives stays on a screen that has become wider meanwhile", async () => {
  const command = `stty columns ${COLUMNS / 2}; tty; exec ${Deno.execPath()} run -N servers/chat.ts --port 0`;
  await using operator = new Screen("sh", "-c", command);
  const [, tty, port] = await operator.find(/^(\/dev\/.*)\nlistening on .*:(\d+)\nnobody is here>$/);
  const { client, name } = await join(Number(port));
  using _ = client;
  await operator.find(/'s turn>/); // two rows of a screen that is half as wide
  await operator.type("half");
  await operator.find(/half/);
  assertEquals((await runTool("stty", ["-F", tty!, "columns", `${COLUMNS}`])).code, 0);
  await writeAll(client, encodeText("hello\n"));
  await operator.shows(`${name} hello`, `to ${name}> half`);
});

testWith(PYTHON, "terminal: a stranger's control sequences are shown and not obeyed", async () => {
  const { operator, port } = await openOperator();
  await using _ = operator;
  const { client, name } = await join(port);
  using __ = client;
  await writeAll(client, encodeText("\x1b[2J\x07\u202e\n"));
  await operator.shows(`${name} \\x1b[2J\\x07\\u202e`, `to ${name}>`);
});

testWith(
  PYTHON,
  "terminal: an operator who types while nobody is there is told so, and nobody hears it later",
  async () => {
    const { operator, port } = await openOperator();
    await using _ = operator;
    await operator.type("hello?\r");
    await operator.shows("nobody is here> hello?", "chat: not sent: nobody is here", "nobody is here>");
    const { client, name } = await join(port);
    await operator.shows(`chat: ${name}: is here`, `${name}'s turn>`);
    await operator.type("out of turn\r");
    assertEquals(await hear(client), "out of turn\n");
    client.close();
    await operator.shows(`chat: ${name}: left`, "nobody is here>");
    await operator.type("\x1b[A"); // the line before
    await operator.shows("nobody is here> out of turn");
  },
);

for (const [key, keys] of [["Ctrl-C", "\x03"], ["Ctrl-D", "\x04"]] as const) {
  testWith(
    PYTHON,
    `terminal: ${key} at the operator's ends the talk and the server, and leaves the terminal as it was`,
    async () => {
      const { operator, port } = await openOperator();
      await using _ = operator;
      const { client, name } = await join(port);
      using __ = client;
      await operator.shows(`${name}'s turn>`);
      await operator.type(keys);
      assertEquals(await hear(client), "q\n");
      const { code, lines, terminal } = await operator.ended();
      assertEquals([code, terminal, lines.at(-1)], [0, "as it was", `chat: ${name}: is here`]);
    },
  );

  testWith(PYTHON, `terminal: ${key} at the client's ends the talk, and leaves the terminal as it was`, async () => {
    await using server = await startServer("servers/chat");
    await using client = Screen.run("clients/chat", "127.0.0.1", `${server.port}`);
    await client.shows(`to 127.0.0.1:${server.port}>`);
    await client.type("hello\r");
    await server.printed("hello");
    await server.type("hi \x1b[5m\n");
    await client.shows(`to 127.0.0.1:${server.port}> hello`, "hi \\x1b[5m", `to 127.0.0.1:${server.port}>`);
    await client.type(keys);
    await server.logged("said goodbye");
    const { code, lines, terminal } = await client.ended();
    assertEquals([code, terminal, lines.at(-1)], [0, "as it was", "hi \\x1b[5m"]);
  });
}

testWith(
  PYTHON,
  "terminal: a second Ctrl-C ends the client at once, and the terminal is as it was all the same",
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await using client = Screen.run("clients/chat", "127.0.0.1", `${listener.addr.port}`);
    using server = await inTime(listener.accept(), "the client");
    await client.shows(`to 127.0.0.1:${listener.addr.port}>`);
    await client.type("\x03");
    assertEquals(await hear(server), "q\n"); // the client waits for the server to close, which it does not
    await client.type("\x03");
    const { code, terminal } = await client.ended();
    assertEquals([code, terminal], [130, "as it was"]);
  },
);

testWith(PYTHON, "terminal: after Ctrl-Z and fg the line being typed is there again, and keys show once", async () => {
  const command = `set -m; ${Deno.execPath()} run -N servers/chat.ts --port 0; stty sane; echo; echo stopped; fg`;
  await using operator = new Screen("sh", "-c", command);
  await operator.shows("nobody is here>");
  const line = "a line longer than the screen is wide";
  await operator.type(line);
  await operator.shows(...wrapped(`nobody is here> ${line}`));
  await operator.type("\x1a");
  await operator.find(new RegExp(`\nstopped\n[^]*\n${wrapped(`nobody is here> ${line}`).join("\n")}$`));
  await operator.type("!\r");
  const shown = wrapped(`nobody is here> ${line}!`);
  await operator.shows(...shown, "chat: not sent: nobody is here", "nobody is here>");
  await operator.type("\x04");
  assertEquals((await operator.ended()).code, 0);
});

testWith(
  PYTHON,
  "terminal: the client's stdout is nothing but what was said, even with the prompt beside it",
  async () => {
    await using server = await startServer("servers/chat");
    const command = `answer=$(${Deno.execPath()} run -N clients/chat.ts 127.0.0.1 ${server.port}); echo "[$answer]"`;
    await using client = new Screen("sh", "-c", command);
    await client.shows(`to 127.0.0.1:${server.port}>`);
    await client.type("hello\r");
    await server.printed("hello");
    await server.type("hi\nq\n");
    await client.type("bye\r");
    assertEquals((await client.ended()).lines.at(-1), "[hi]");
  },
);

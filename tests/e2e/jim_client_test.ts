/**
 * The JIM client with real servers, links that break, strangers that mean no good, and a person at a terminal.
 * @module
 */
import { encodeText } from "../../lib/bytes.ts";
import { acceptNext } from "../../lib/net/tcp.ts";
import { Log } from "../../lib/net/log.ts";
import { PROGRAMS } from "../../lib/programs.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import {
  inTime,
  type Output,
  run,
  type RunningProgram,
  type RunningServer,
  type RunOptions,
  start,
  startServer,
  testWith,
} from "../harness.ts";
import { Screen } from "../screen.ts";

const PYTHON = ["python3"];

/** The address of servers that come back: at the one of all others, a test beside this one may take the port meanwhile. */
const OWN_ADDRESS = Deno.build.os === "linux" ? "127.0.0.2" : "127.0.0.1";

/** Where a server is. */
interface Place {
  readonly hostname?: string;
  readonly port: number;
}

const serve = (...args: string[]) => startServer("servers/jim", ["--db", ":memory:", ...args]);

function args({ hostname = "127.0.0.1", port }: Place, name: string, ...more: string[]): string[] {
  return [hostname, `${port}`, "-n", name, ...more];
}

/** Runs the client to its end. */
function ask(server: Place, name: string, more: string[], options: RunOptions & { stdin?: string } = {}) {
  return run("clients/jim", args(server, name, ...more), options);
}

/** The client, logged in. */
async function join(server: Place, name: string, ...more: string[]): Promise<RunningProgram> {
  const client = start("clients/jim", args(server, name, ...more));
  await client.logged(`logged in as ${name}`);
  return client;
}

async function leave(client: RunningProgram): Promise<Output> {
  await client.process.stdin.close();
  const output = await client.ended();
  assertEquals(output.code, 0, output.stderr);
  return output;
}

/** The client at a terminal, logged in. */
async function sit(server: Place, name: string, ...more: string[]): Promise<Screen> {
  const client = Screen.run("clients/jim", ...args(server, name, ...more));
  await client.find(new RegExp(`^jim: logged in as ${name}$`, "m"));
  return client;
}

/** A cable between clients and a server, which can be pulled: both ends stay as they are, and nothing comes through. */
class Cable implements Disposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #ends = new Set<Deno.TcpConn>();
  #connections: { pulled: boolean }[] = [];

  constructor(readonly server: RunningServer) {
    this.#accept().catch(() => {}); // the server has gone
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async #accept(): Promise<void> {
    const log = new Log("cable", { quiet: true });
    for (let client; (client = await acceptNext(this.#listener, log)) !== null;) {
      const server = await this.server.connect();
      const connection = { pulled: false };
      this.#connections.push(connection);
      this.#carry(client, server, connection);
      this.#carry(server, client, connection);
    }
  }

  async #carry(from: Deno.TcpConn, to: Deno.TcpConn, connection: { pulled: boolean }): Promise<void> {
    this.#ends.add(from);
    try {
      const buffer = new Uint8Array(4096);
      for (let count; (count = await from.read(buffer)) !== null;) {
        if (!connection.pulled) await to.write(buffer.slice(0, count));
      }
      if (!connection.pulled) to.close();
    } catch {
      // one of the ends is gone
    }
  }

  /** Pulls it out of the connections that there are; the next ones work. */
  pull(): void {
    for (const connection of this.#connections.splice(0)) connection.pulled = true;
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    for (const end of this.#ends) {
      try {
        end.close();
      } catch {
        // it is closed
      }
    }
  }
}

// --- Pipes and scripts -----------------------------------------------------------------------------------------------

Deno.test("jim client: two pipes talk with each other, in a room and directly", async () => {
  await using server = await serve();
  const alice = await join(server, "alice");
  const bob = await join(server, "bob");
  await alice.type("/join #tea\n");
  await alice.logged("in #tea, a new room");
  await bob.type("/join #tea\nhello, room\n/msg alice hello, alice\n");
  await alice.printed("#tea bob: hello, room");
  await alice.printed("bob: hello, alice");
  await alice.type("/msg bob hello, bob\n/history bob 1\n/who #tea\n");
  await bob.printed("alice: hello, bob");
  await alice.printed("online: alice, bob");
  assertEquals((await leave(bob)).stdout, "alice: hello, bob");
  const expected = ["#tea bob: hello, room", "bob: hello, alice", "alice -> bob: hello, bob", "online: alice, bob"];
  assertEquals((await leave(alice)).stdout, expected.join("\n"));
});

Deno.test("jim client: a message to who is away waits; contacts are seen to come and go", async () => {
  await using server = await serve();
  await ask(server, "bob", ["--once", "presence"]);
  const sent = await ask(server, "alice", ["--to", "bob", "-m", "/add bob", "-m", "read this", "-m", "/contacts"]);
  assertEquals([sent.code, sent.stdout], [0, "contacts: bob\n"], sent.stderr);
  assertStringIncludes(sent.stderr, "jim: bob is not here: the message waits\n");
  const alice = await join(server, "alice");
  const bob = await join(server, "bob");
  await bob.printed("alice: read this");
  await alice.logged("jim: bob is here");
  await bob.type("/status at lunch\n");
  await alice.logged("jim: bob is here: at lunch");
  await leave(bob);
  await alice.logged("jim: bob has left");
  await leave(alice);
});

Deno.test("jim client: exit code 1 when a pipe's wish is refused, 2 for wrong usage", async () => {
  await using server = await serve();
  const refused: [string[], string][] = [
    [["-m", "/msg nobody hello"], "jim: not delivered to nobody: no such user or room (404): hello"],
    [["-m", "hello"], "jim: nobody to send it to: /msg NAME text, or /join #room"],
    [["-m", "/nope"], "jim: there is no /nope: see /help"],
    [["--to", "#none", "-m", "hello"], "jim: not delivered to #none: no such user or room (404): hello"],
    [["--to", "bob", "-m", "x".repeat(501)], "jim: the message has 501 characters: limit is 500"],
  ];
  for (const [more, line] of refused) {
    const { code, stderr } = await ask(server, "alice", more);
    assertEquals(code, 1);
    assertStringIncludes(stderr, `${line}\n`);
  }
  const wrong: [string[], string][] = [
    [["127.0.0.1", "1"], "jim: who are you? -n NAME"],
    [["-n", "#tea"], 'jim: --name: "#tea" begins with #'],
    [["-n", "x".repeat(26)], "has 26 characters: limit is 25"],
    [["-n", "bob", "--to", "#"], 'jim: --to: "#" is empty'],
    [["-n", "bob", "--to", ""], 'jim: --to: "" is empty'],
    [["-n", "bob", "--once", "msg"], "is not presence"],
    [["-n", "bob", "--dialect", "Z"], "is not one of A, B, B+, C, D, E"],
  ];
  for (const [more, line] of wrong) {
    const { code, stderr } = await run("clients/jim", more);
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, line);
  }
});

Deno.test("jim client: --once presence prints the answer, and --json objects", async () => {
  await using server = await serve("--accounts-only");
  assertEquals((await ask(server, "bob", ["--once", "presence"])).code, 1);
  const { code, stdout } = await ask(server, "bob", ["--once", "presence", "--json"]);
  assertEquals([code, JSON.parse(stdout).response, stdout.trimEnd().split("\n").length], [1, 401, 1]);
  await using open = await serve();
  assertEquals(await ask(open, "bob", ["--once", "presence"]), { code: 0, stdout: "200 OK\n", stderr: "" });
  const json = await ask(open, "eve", ["--json", "--to", "bob", "-m", "hi", "-m", "/who"]);
  const objects = json.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(json.code, 0);
  assert(objects.some(({ id, response }) => response === 202 && id === 1));
  assert(objects.some(({ action, user_id }) => action === "user_list" && user_id === "eve"));
});

Deno.test("jim client: more lines than a server allows a second all arrive", async () => {
  await using server = await serve("--rate", "50");
  const bob = await join(server, "bob");
  const lines = Array.from({ length: 260 }, (_, i) => `line ${i}`);
  const { code, stderr } = await ask(server, "alice", ["--to", "bob"], { stdin: lines.join("\n") });
  assertEquals([code, stderr], [0, "jim: logged in as alice\n"]);
  await bob.printed("line 259");
  assertEquals((await leave(bob)).stdout, lines.map((line) => `alice: ${line}`).join("\n"));
});

Deno.test("jim client: the password comes from a file or the environment, and only its owner may read the file", async () => {
  await using folder = new TestFolder();
  await using server = await serve();
  const file = `${folder.path}/password`;
  await Deno.writeTextFile(file, "correct horse\n", { mode: 0o600 });
  const env = { NETLAB_JIM_PASSWORD: "correct horse" };
  const registered = await ask(server, "bob", ["--register", "--password-file", file]);
  assertEquals([registered.code, registered.stderr], [0, "jim: bob now has an account\njim: logged in as bob\n"]);
  assertEquals((await ask(server, "bob", [], { env })).stderr, "jim: logged in as bob\n");
  const cases: [string[], Record<string, string>, string][] = [
    [["--register"], env, "jim: log in as bob: this name is taken (409)"],
    [[], {}, "jim: bob has an account: its password is needed"],
    [[], { NETLAB_JIM_PASSWORD: "" }, "jim: bob has an account: its password is needed"],
    [[], { NETLAB_JIM_PASSWORD: "wrong" }, "jim: log in as bob: wrong login or password (402)"],
  ];
  for (const [more, env, line] of cases) {
    const { code, stderr } = await ask(server, "bob", more, { env });
    assertEquals([code, stderr.split(" (see")[0]!.trimEnd()], [1, line]);
  }
  const guest = await ask(server, "eve", ["-m", "/register"], { env });
  assertEquals([guest.code, guest.stderr], [0, "jim: logged in as eve\njim: eve now has an account\n"]);
  await Deno.chmod(file, 0o644);
  const { code, stderr } = await ask(server, "bob", ["--password-file", file]);
  assertEquals([code, stderr], [
    1,
    `jim: read the password from ${file}: others may read it (chmod 600 ${file})\n`,
  ]);
});

// --- Links that break ------------------------------------------------------------------------------------------------

Deno.test("jim client: a server that is killed and comes back: nothing is missed, nothing comes twice", async () => {
  await using folder = new TestFolder();
  const db = ["--db", `${folder.path}/jim.sqlite`, "--host", OWN_ADDRESS];
  const first = await startServer("servers/jim", db);
  const { port } = first;
  const alice = await join(first, "alice");
  const bob = await join(first, "bob", "--to", "#tea");
  await alice.type("/join #tea\n");
  await alice.logged("in #tea");
  await bob.type("/join #tea\n");
  await bob.logged("in #tea");
  await alice.type("one\n");
  await bob.printed("#tea alice: one");
  await first.stop("SIGKILL");
  await bob.logged(/connection lost: .*: trying again in 500 ms/);
  await bob.logged(/connect to .*: connection refused: trying again in 1 s/);
  await alice.type("two\n");
  await using again = await startServer("servers/jim", [...db, "--port", `${port}`]);
  await alice.logged("connected again");
  await bob.printed("#tea alice: two");
  await bob.logged("connected again");
  await alice.type("three\n");
  await bob.printed("#tea alice: three");
  assertEquals((await leave(bob)).stdout, ["one", "two", "three"].map((text) => `#tea alice: ${text}`).join("\n"));
  await leave(alice);
  assertEquals(again.port, port);
});

Deno.test("jim client: a pulled cable is noticed; what was said meanwhile is shown, and sent, once", async () => {
  await using server = await serve("--idle-timeout", "2s");
  using cable = new Cable(server);
  const alice = await join(server, "alice", "--to", "bob");
  const bob = await join(cable, "bob", "--to", "alice");
  await alice.type("one\n");
  await bob.printed("alice: one");
  cable.pull();
  await alice.type("two\n"); // into the dead link: the server does not know either
  await bob.type("from bob\n");
  await bob.logged("connection lost: no answer within 15 s: trying again in 500 ms");
  await bob.logged("connected again");
  await alice.printed("bob: from bob");
  await bob.printed("alice: two");
  await alice.type("three\n");
  await bob.printed("alice: three");
  assertEquals((await leave(bob)).stdout, ["one", "two", "three"].map((text) => `alice: ${text}`).join("\n"));
  assertEquals((await leave(alice)).stdout, "bob: from bob");
});

Deno.test("jim client: SIGTERM says goodbye, also while there is no server", async () => {
  const server = await serve();
  const alice = await join(server, "alice");
  const bob = await join(server, "bob");
  await alice.stop();
  assertEquals((await alice.ended()).code, 0);
  assertEquals((await ask(server, "alice", ["--once", "presence"])).stdout, "200 OK\n");
  assertEquals((await server.stop()).code, 0);
  await bob.logged("trying again");
  assertEquals((await bob.stop()).code, 0);
});

Deno.test("jim client: --secure connects anew inside the channel, and a server with another key ends it", async () => {
  await using folder = new TestFolder();
  const file = (name: string) => `${folder.path}/${name}`;
  const serveSecurely = (identity: string, ...more: string[]) => {
    const own = ["--db", file("jim.sqlite"), "--host", OWN_ADDRESS, "--identity", file(identity)];
    const { secure } = PROGRAMS["servers/jim"];
    return startServer("servers/jim", [...own, "--secure", "--allow-any-client", ...more], { permissions: secure });
  };
  const joinSecurely = async (server: Place, name: string, to: string) => {
    const trust = ["--identity", file(name), "--known-hosts", file("known_hosts"), "--trust", "accept-new"];
    const more = args(server, name, "--to", to, "--secure", ...trust);
    const client = start("clients/jim", more, { permissions: PROGRAMS["clients/jim"].secure });
    await client.logged(`logged in as ${name}`);
    return client;
  };
  const first = await serveSecurely("server");
  const port = ["--port", `${first.port}`];
  const alice = await joinSecurely(first, "alice", "bob");
  const bob = await joinSecurely(first, "bob", "alice");
  await alice.type("one\n");
  await bob.printed("alice: one");
  await first.stop("SIGKILL");
  await bob.logged("connection lost");
  await alice.type("two\n");
  const again = await serveSecurely("server", ...port);
  await bob.printed("alice: two");
  await alice.logged("connected again");
  await again.stop("SIGKILL");
  await bob.logged("connection lost");
  await using _ = await serveSecurely("another", ...port);
  for (const client of [alice, bob]) {
    const { code, stderr } = await client.ended();
    assertEquals(code, 1, stderr);
    assertMatch(
      stderr,
      /jim: verify the server 127\.0\.0\.[12]:\d+: its key \S+ is not the one in .*known_hosts, line 1/,
    );
  }
});

// --- Strangers -------------------------------------------------------------------------------------------------------

/** A server that means no good: says `greeting` to every presence, then plays. */
async function hostile(
  play: (conn: Deno.TcpConn, client: RunningProgram) => Promise<void>,
  more: string[] = [],
): Promise<Output> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = start("clients/jim", args(listener.addr, "bob", ...more));
  using conn = await inTime(listener.accept(), "the client");
  await inTime(conn.read(new Uint8Array(1024)), "its presence");
  await play(conn, client);
  await client.process.stdin.close();
  return await client.ended();
}

async function say(conn: Deno.TcpConn, text: string): Promise<void> {
  const bytes = encodeText(text);
  for (let written = 0; written < bytes.length;) written += await conn.write(bytes.subarray(written));
}

const WELCOME = '{"response":200,"alert":"OK"}';
const message = (text: string) => JSON.stringify({ action: "msg", from: "eve", to: "bob", message: text });

Deno.test("jim client: a server that is none is named in one line, exit code 1", async () => {
  const cases: [string, RegExp][] = [
    ["HTTP/1.1 400 Bad Request\r\n\r\n", /^jim: the server does not speak JIM: .*\n?$/],
    ["(dp0\nS'action'\n", /^jim: the server does not speak JIM: this is pickle.*\n?$/],
    ["", /^jim: log in as bob: the server has closed the connection.*\n?$/],
    ['{"response":511,"bin":"00"}', /^jim: log in as bob: .*\(511\).*\n?$/],
  ];
  for (const [text, expected] of cases) {
    const { code, stdout, stderr } = await hostile(async (conn) => {
      await say(conn, text);
      conn.closeWrite();
    });
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, expected);
  }
});

Deno.test("jim client: control sequences, giant and endless objects, garbage: shown or skipped, and the rest is heard", async () => {
  for (const json of [false, true]) {
    const { stdout } = await hostile(async (conn, client) => {
      await say(conn, WELCOME);
      await client.logged("logged in");
      await say(conn, message("\x1b[2J\x07\x9b1m\u202e\r\n\x00"));
      await say(conn, `{"action":"msg","message":"${"x".repeat(20_000_000)}"}`);
      await say(conn, `${"[".repeat(100_000)} ?!\n{{{{]]]]\n`);
      await say(conn, "{" + '"a":{'.repeat(100_000) + "}".repeat(100_001) + "\n");
      await say(conn, message("still here"));
      await client.printed("still here");
    }, json ? ["--json"] : []);
    // deno-lint-ignore no-control-regex
    assert(!/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/.test(stdout), JSON.stringify(stdout));
    if (!json) assertEquals(stdout, "eve: \\x1b[2J\\x07\\x9b1m\\u202e\\r\\n\\x00\neve: still here");
    else assertEquals(JSON.parse(stdout.split("\n")[1]!).message, "\x1b[2J\x07\x9b1m\u202e\r\n\x00");
  }
});

Deno.test("jim client: a server that sends a hundred thousand messages, and one byte at a time", async () => {
  const { code, stdout } = await hostile(async (conn, client) => {
    await say(conn, WELCOME);
    await say(conn, message("flood").repeat(100_000));
    for (const byte of message("slow")) await say(conn, byte);
    await client.printed("eve: slow");
    conn.closeWrite();
  });
  assertEquals([code, stdout.split("\n").length], [0, 100_001]);
});

// --- A person at a terminal ------------------------------------------------------------------------------------------

testWith(PYTHON, "jim client at a terminal: what arrives never tears the line being typed", async () => {
  await using server = await serve();
  const alice = await join(server, "alice", "--to", "bob");
  await using bob = await sit(server, "bob", "--to", "alice");
  await bob.shows("jim: logged in as bob", "alice>");
  await bob.type("half a li");
  await bob.shows("alice> half a li");
  await alice.type("are you there?\n\x1b[2J\u202e\x07!\n");
  await bob.shows("alice: are you there?", "alice: \\x1b[2J\\u202e\\x07!", "alice> half a li");
  await bob.type("ne\r");
  await alice.printed("bob: half a line");
  await bob.type("/quit\r");
  const { code, terminal } = await bob.ended();
  assertEquals([code, terminal], [0, "as it was"]);
  await leave(alice);
});

testWith(PYTHON, "jim client at a terminal: each of several lines that are pasted has its prompt", async () => {
  await using server = await serve();
  await using bob = await sit(server, "bob", "--to", "bob");
  await bob.shows("bob>");
  await bob.type("/who\r/contacts\r/qu");
  await bob.find(/online: bob\ncontacts: nobody\nbob> \/qu$/);
  await bob.type("it\r");
  assertEquals((await bob.ended()).lines, [
    "jim: logged in as bob",
    "bob> /who",
    "bob> /contacts",
    "online: bob",
    "contacts: nobody",
    "bob> /quit",
  ]);
});

testWith(
  PYTHON,
  "jim client at a terminal: history with the arrow keys, Tab completes commands, names and rooms",
  async () => {
    await using server = await serve();
    const alice = await join(server, "alice");
    await using bob = await sit(server, "bob");
    await bob.type("/jo");
    await bob.shows("> /jo");
    await bob.type("\t");
    await bob.shows("> /join");
    await bob.type("#tea\r");
    await bob.shows("> /join #tea", "jim: in #tea, a new room", "#tea>");
    await alice.type("/join #tea\nhello\n");
    await bob.shows("#tea alice: hello", "#tea>");
    await bob.type("/msg al");
    await bob.shows("#tea> /msg al");
    await bob.type("\t");
    await bob.shows("#tea> /msg alice");
    await bob.type("hi\r");
    await alice.printed("bob: hi");
    await bob.shows("alice>");
    await bob.type("/leave #");
    await bob.shows("alice> /leave #");
    await bob.type("\t");
    await bob.shows("alice> /leave #tea");
    await bob.type("\r");
    await bob.shows("jim: left #tea", "alice>");
    await bob.type("\x1b[A\x1b[A");
    await bob.shows("alice> /msg alice hi");
    await bob.type("\r");
    await bob.shows("alice> /msg alice hi", "alice>");
    await bob.type("\x04"); // Ctrl-D
    assertEquals((await bob.ended()).code, 0);
    assertEquals((await leave(alice)).stdout, "bob: hi\nbob: hi");
  },
);

testWith(PYTHON, "jim client at a terminal: the password is neither shown nor remembered", async () => {
  await using server = await serve();
  const env = { NETLAB_JIM_PASSWORD: "correct horse" };
  assertEquals((await ask(server, "bob", ["--register"], { env })).code, 0);
  await using bob = Screen.run("clients/jim", ...args(server, "bob"));
  await bob.shows("password of bob:");
  await bob.type("correct horse\r");
  await bob.shows("password of bob:", "jim: logged in as bob", ">");
  await bob.type("/help\r");
  await bob.find(/\/quit +say/);
  await bob.type("\x1b[A");
  await bob.shows("> /help");
  await bob.type("\x1b[A"); // there is nothing before it
  await bob.shows(">");
  await bob.type("\x1b[B");
  await bob.shows("> /help");
  await bob.type("\r/quit\r");
  const { code, lines, terminal } = await bob.ended();
  assertEquals([code, terminal], [0, "as it was"]);
  assert(!lines.join("\n").includes("horse"), lines.join("\n"));
});

testWith(
  PYTHON,
  "jim client at a terminal: the server goes and comes back, and the line being typed stays",
  async () => {
    await using folder = new TestFolder();
    const db = ["--db", `${folder.path}/jim.sqlite`, "--host", OWN_ADDRESS];
    const first = await startServer("servers/jim", db);
    await using bob = await sit(first, "bob", "--to", "bob");
    await bob.shows("bob>");
    await bob.type("note to my");
    await first.stop();
    await bob.find(/trying again in 1 s/);
    await bob.shows("(offline) bob> note to my");
    await using _again = await startServer("servers/jim", [...db, "--port", `${first.port}`]);
    await bob.shows("jim: connected again", "bob> note to my");
    await bob.type("self\r");
    await bob.shows("bob: note to myself", "bob>");
    await bob.type("\x03"); // Ctrl-C
    const { code, terminal } = await bob.ended();
    assertEquals([code, terminal], [0, "as it was"]);
  },
);

testWith(PYTHON, "jim client at a terminal: what arrives does not disturb who types a password", async () => {
  await using server = await serve();
  const alice = await join(server, "alice", "--to", "bob");
  await using bob = await sit(server, "bob");
  await bob.type("/register\r");
  await bob.shows("password of bob:");
  await bob.type("correct");
  await alice.type("hello\n");
  await bob.shows("alice: hello", "password of bob:");
  await bob.type(" horse\r");
  await bob.shows("alice: hello", "password of bob:", "jim: bob now has an account", ">");
  await bob.type("/quit\r");
  assertEquals((await bob.ended()).terminal, "as it was");
  await leave(alice);
  const env = { NETLAB_JIM_PASSWORD: "correct horse" };
  assertEquals((await ask(server, "bob", ["-m", "/who"], { env })).stdout, "online: bob\n");
});

testWith(
  PYTHON,
  "jim client at a terminal: what is being typed when the password is asked for is no part of it",
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await using bob = Screen.run("clients/jim", ...args(listener.addr, "bob", "--to", "eve"));
    using conn = await inTime(listener.accept(), "the client");
    const hear = async () => {
      const buffer = new Uint8Array(1024);
      const count = await inTime(conn.read(buffer), "what the client says");
      return JSON.parse(new TextDecoder().decode(buffer.subarray(0, count!)));
    };
    await hear();
    await bob.shows("(offline) eve>");
    await bob.type("typed before it is known what the server asks\x1b[D\x1b[D"); // to the left
    await bob.shows("(offline) eve> typed before it is known", "what the server asks");
    await say(conn, '{"response":401,"error":"authenticate"}');
    await bob.shows("password of bob:");
    await bob.type("correct horse\r");
    assertEquals((await hear()).user.password, "correct horse");
    await say(conn, WELCOME);
    await bob.shows(
      "password of bob:",
      "jim: logged in as bob",
      "eve> typed before it is known what the s",
      "erver asks",
    );
    await bob.type("-\r");
    assertEquals((await hear()).message, "typed before it is known what the server as-ks");
  },
);

testWith(PYTHON, "jim client at a terminal: a password for -m is asked for there", async () => {
  await using server = await serve();
  const env = { NETLAB_JIM_PASSWORD: "correct horse" };
  assertEquals((await ask(server, "bob", ["--register"], { env })).code, 0);
  await using bob = Screen.run("clients/jim", ...args(server, "bob", "-m", "/who"));
  await bob.shows("password of bob:");
  await bob.type("correct horse\r");
  const { code, lines, terminal } = await bob.ended();
  assertEquals([code, lines, terminal], [0, [
    "password of bob:",
    "jim: logged in as bob",
    "online: bob",
  ], "as it was"]);
});

testWith(PYTHON, "jim client at a terminal: without a password nobody is logged in, exit code 1", async () => {
  await using server = await serve();
  const env = { NETLAB_JIM_PASSWORD: "correct horse" };
  assertEquals((await ask(server, "bob", ["--register"], { env })).code, 0);
  const needed = "jim: bob has an account: its password is needed";
  for (const message of [["-m", "/who"], []]) {
    for (const [key, said] of [["\x03", "jim: interrupted"], ["\x04", needed], ["\r", needed]] as const) {
      await using bob = Screen.run("clients/jim", ...args(server, "bob", ...message));
      await bob.shows("password of bob:");
      await bob.type(key);
      const { code, lines, terminal } = await bob.ended();
      const shown = lines.join("").replace("password of bob:", ""); // it may be gone from the screen
      assertEquals([code, shown, terminal], [1, said, "as it was"]);
    }
  }
});

testWith(
  PYTHON,
  "jim client at a terminal: what happens does not tear the question for the password of -m",
  async () => {
    await using server = await serve("--idle-timeout", "1s");
    const env = { NETLAB_JIM_PASSWORD: "correct horse" };
    assertEquals((await ask(server, "bob", ["--register"], { env })).code, 0);
    await using bob = Screen.run("clients/jim", ...args(server, "bob", "-m", "/who"));
    await bob.shows("password of bob:");
    await bob.type("correct");
    await bob.find(/^jim: connection lost: [^]*\npassword of bob:$/m);
    await bob.type(" horse\r");
    const { code, lines, terminal } = await bob.ended();
    assertEquals([code, lines.slice(-3), terminal], [0, [
      "password of bob:",
      "jim: logged in as bob",
      "online: bob",
    ], "as it was"]);
    assert(lines.every((line) => !line.includes("bob: jim:")), lines.join("\n"));
  },
);

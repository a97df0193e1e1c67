import { DatabaseSync } from "node:sqlite";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { inTime, run, type RunningServer, start, startServer, testWith } from "../harness.ts";
import { JimPeer } from "../jim_peer.ts";
import { Screen } from "../screen.ts";

const SERVER = "servers/jim";

/** A server that keeps nothing. */
function startInMemory(...args: string[]): Promise<RunningServer> {
  return startServer(SERVER, ["--db", ":memory:", ...args]);
}

/** Connects so many users: user 0, user 1 and so on. */
function logInMany(server: RunningServer, count: number): Promise<JimPeer[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => JimPeer.logIn(server, `user ${i}`)));
}

Deno.test("jim: two users talk: presence, msg, quit", async () => {
  await using server = await startInMemory("-v");
  using ann = await JimPeer.logIn(server, "ann");
  using bob = await JimPeer.logIn(server, "bob");
  const { response, id, time } = await ann.tell("bob", "hello");
  assertEquals(response, 200);
  assertEquals(await bob.next(), { action: "msg", time, to: "bob", from: "ann", message: "hello", id });
  assertEquals(await ann.code({ action: "quit" }), 200);
  assertEquals(await ann.untilClosed(), []);
  await server.logged(/^jim: 127\.0\.0\.1:\d+: logged in as bob$/);
});

Deno.test("jim: from is the name that was logged in, whatever the message says", async () => {
  await using server = await startInMemory();
  using ann = await JimPeer.logIn(server, "ann");
  using bob = await JimPeer.logIn(server, "bob");
  await ann.ask({ action: "msg", to: "bob", from: "the boss", message: "hello" });
  assertEquals((await bob.next())!.from, "ann");
});

Deno.test("jim: objects on one line, pretty-printed, or byte by byte; garbage is 400 and the connection goes on", async () => {
  await using server = await startInMemory();
  using peer = await JimPeer.connect(server);
  await peer.write(
    '{"action":"presence","time":1,"user":{"account_name":"ann"}}{"action":\n  "join",\n  "room": "#a"}',
  );
  assertEquals([(await peer.answer()).response, (await peer.answer()).response], [200, 201]);
  for (const byte of new TextEncoder().encode('{"action":"msg","to":"#a","message":"й"}')) {
    await peer.write(Uint8Array.of(byte));
  }
  assertEquals((await peer.answer()).response, 200);
  await peer.write("garbage\n");
  assertEquals((await peer.answer()).response, 400);
  assertEquals(await peer.code({ action: "join", room: "#a" }), 200);
});

Deno.test("jim: a name is free again after the end of its connection: closed, or reset", async () => {
  await using server = await startInMemory();
  for (const end of ["close", "reset"]) {
    using first = await JimPeer.logIn(server, "ann");
    using second = await JimPeer.connect(server);
    const presence = { action: "presence", user: { account_name: "ann" } };
    assertEquals(await second.code(presence), 409);
    if (end === "reset") await first.send({ action: "history" }, { action: "get_users" }); // unread answers make it a reset
    first.close();
    while (await second.code(presence) === 409); // until the server has seen the end
    using witness = await JimPeer.logIn(server, "witness");
    assertEquals((await witness.tell("ann", "hello")).response, 200);
    assertEquals((await second.next())!.message, "hello");
    await second.code({ action: "quit" });
    assertEquals(await second.untilClosed(), []);
    await witness.code({ action: "quit" });
    assertEquals(await witness.untilClosed(), []);
  }
});

Deno.test("jim: accounts: register, 401, 402, authenticate; add-user beside the running server", async () => {
  await using folder = new TestFolder();
  const db = `${folder.path}/jim.sqlite`;
  await using server = await startServer(SERVER, ["--db", db]);
  using peer = await JimPeer.connect(server);
  const user = { account_name: "ann", password: "sesame" };
  assertEquals(await peer.code({ action: "register", user }), 201);
  assertEquals(await peer.code({ action: "register", user }), 409);
  assertEquals(await peer.code({ action: "presence", user: { account_name: "ann" } }), 401);
  assertEquals(await peer.code({ action: "authenticate", user: { ...user, password: "wrong" } }), 402);
  assertEquals(await peer.code({ action: "authenticate", user }), 200);

  assertEquals(await run(SERVER, ["add-user", "bob", "--db", db], { stdin: "open\n" }), {
    code: 0,
    stdout: "",
    stderr: "",
  });
  using bob = await JimPeer.connect(server);
  assertEquals(await bob.code({ action: "authenticate", user: { account_name: "bob", password: "open" } }), 200);
  const again = await run(SERVER, ["add-user", "bob", "--db", db], { stdin: "open\n" });
  assertEquals([again.code, again.stderr], [1, "jim: add bob: there is an account of that name\n"]);
  for (const file of ["jim.sqlite", "jim.sqlite-wal"]) {
    const { mode } = await Deno.stat(`${folder.path}/${file}`);
    assertEquals(mode! & 0o077, 0, `others may read ${file}`);
    const bytes = new TextDecoder("latin1").decode(await Deno.readFile(`${folder.path}/${file}`));
    assert(!bytes.includes("sesame"), "the password is in the file");
  }
});

Deno.test("jim add-user: wrong usage is one line, exit code 2", async () => {
  const wrong: [string[], string, string][] = [
    [["add-user"], "x\n", "add-user needs a name"],
    [["add-user", "#bob"], "x\n", 'the name "#bob" begins with #'],
    [["add-user", "bob"], "", "there is no password"],
    [["add-user", "bob"], "x".repeat(200), "the password has more than 128 characters"],
    [["add-user", "bob"], "x\n", "the account would be kept nowhere"],
    [["remove-user", "bob"], "", "is not add-user"],
  ];
  for (const [args, stdin, message] of wrong) {
    const { code, stdout, stderr } = await run(SERVER, [...args, "--db", ":memory:"], { stdin });
    assertEquals([code, stdout], [2, ""], stderr);
    assertMatch(stderr, /^jim: [^\n]+\n$/);
    assertStringIncludes(stderr, message);
  }
});

Deno.test("jim add-user: one signal ends it while it waits for the password", async () => {
  await using folder = new TestFolder();
  using changes = Deno.watchFs(folder.path);
  const program = start(SERVER, ["add-user", "ann", "--db", `${folder.path}/jim.sqlite`]);
  await inTime(changes[Symbol.asyncIterator]().next(), "the file");
  program.process.kill("SIGTERM");
  const { code, stderr } = await program.ended();
  assertEquals([code, stderr], [1, ""]);
  await program.process.stdin.close();
});

testWith(["python3"], "jim add-user: at a terminal the password is typed after a prompt, and not shown", async () => {
  await using folder = new TestFolder();
  const db = `${folder.path}/jim.sqlite`;
  {
    await using screen = Screen.run(SERVER, "add-user", "ann", "--db", db);
    await screen.find(/^password of ann:$/);
    await screen.type("wrong\x15sesamx\x7fe\r"); // Ctrl-U: all anew
    const { code, lines } = await screen.ended();
    assertEquals([code, lines], [0, ["password of ann:"]]);
  }
  await using server = await startServer(SERVER, ["--db", db]);
  using peer = await JimPeer.connect(server);
  assertEquals(await peer.code({ action: "authenticate", user: { account_name: "ann", password: "sesame" } }), 200);
});

Deno.test("jim --closed, --accounts-only, --no-store", async () => {
  await using server = await startInMemory("--closed", "--accounts-only");
  using peer = await JimPeer.connect(server);
  assertEquals(await peer.code({ action: "register", user: { account_name: "ann", password: "p" } }), 403);
  assertEquals(await peer.code({ action: "presence", user: { account_name: "ann" } }), 401);
  await using noStore = await startInMemory("--no-store");
  using ann = await JimPeer.logIn(noStore, "ann");
  using bob = await JimPeer.logIn(noStore, "bob");
  await bob.ask({ action: "quit" });
  assertEquals((await ann.tell("bob", "hi")).response, 410);
  assertEquals((await ann.tell("nobody", "hi")).response, 404);
});

Deno.test("jim --strict: an object of more than 640 characters is 400", async () => {
  await using server = await startInMemory("--strict");
  using ann = await JimPeer.logIn(server, "ann");
  const { response, error } = await ann.ask({
    action: "msg",
    to: "ann",
    message: "x".repeat(300),
    more: "x".repeat(400),
  });
  assertEquals(response, 400);
  assertStringIncludes(error, "limit is 640");
});

Deno.test("jim: messages for who is offline wait through a restart; so do rooms, members, contacts and history", async () => {
  await using folder = new TestFolder();
  const args = ["--db", `${folder.path}/jim.sqlite`];
  {
    await using server = await startServer(SERVER, args);
    using ann = await JimPeer.logIn(server, "ann");
    using bob = await JimPeer.logIn(server, "bob");
    for (const peer of [ann, bob]) assert(await peer.code({ action: "join", room: "#tea" }) < 300);
    await ann.ask({ action: "add_contact", user_id: "bob" });
    await ann.tell("#tea", "one");
    assertEquals((await bob.next())!.message, "one");
    await bob.ask({ action: "quit" });
    for (const text of ["two", "three"]) assertEquals((await ann.tell("bob", text)).response, 202);
  }
  await using server = await startServer(SERVER, args);
  using bob = await JimPeer.logIn(server, "bob");
  assertEquals([(await bob.next())!.message, (await bob.next())!.message], ["two", "three"]);
  using ann = await JimPeer.logIn(server, "ann");
  const { quantity } = await ann.ask({ action: "get_contacts" });
  assertEquals([quantity, (await ann.next())!.user_id], [1, "bob"]);
  assertEquals((await ann.tell("#tea", "four")).response, 200);
  assertEquals((await bob.next())!.message, "four");
  const history = await bob.history();
  assertEquals(history.map(({ message }) => message), ["one", "two", "three", "four"]);
  assertEquals(history.map(({ id }) => id), [1, 2, 3, 4]);
});

Deno.test("jim: who closes its side first still gets every answer", async () => {
  await using server = await startInMemory();
  using peer = await JimPeer.connect(server);
  await peer.write('{"action":"presence","time":1,"user":{"account_name":"ann"}}');
  assertEquals((await peer.answer()).response, 200);
  await peer.write('{"action":"join","time":1,"room":"#a"}{"action":"leave","time":1,"room":"#a"}');
  await peer.conn.closeWrite();
  assertEquals((await peer.untilClosed()).map(({ response }) => response), [201, 200]);
});

Deno.test("jim: who is closed for what it sends can read why, whatever else it has sent", async () => {
  await using server = await startInMemory();
  const reasons: [string, RegExp][] = [["garbage\n".repeat(1000), /^too fast/], [
    "\x80\x03".padEnd(1e6),
    /^this is pickle/,
  ]];
  for (const [text, reason] of reasons) {
    using peer = await JimPeer.connect(server);
    await peer.write(Uint8Array.from(text, (letter) => letter.charCodeAt(0)));
    assertMatch((await peer.untilClosed()).at(-1)!.error, reason);
  }
});

Deno.test("jim: an object that is not completed within 10 s is 400, and the connection goes on", async () => {
  await using server = await startInMemory();
  using peer = await JimPeer.connect(server);
  await peer.write('{"action":"presence",');
  const { response, error } = await peer.answer();
  assertEquals([response, error], [400, "the object was not completed in time"]);
  assertEquals(await peer.code({ action: "presence", user: { account_name: "ann" } }), 200);
});

Deno.test("jim: SIGUSR2 logs the figures in one line, and so does --stats", async () => {
  await using server = await startInMemory("--stats", "100ms");
  using ann = await JimPeer.logIn(server, "ann");
  await ann.ask({ action: "join", room: "#tea" });
  await server.logged(/^jim: users 1, rooms 1, messages\/s \d+ in, \d+ out, queued 0 B, dropped 0$/);
  await using quiet = await startInMemory();
  quiet.process.kill("SIGUSR2");
  await quiet.logged("jim: users 0, rooms 0, messages/s 0 in, 0 out, queued 0 B, dropped 0");
  assertEquals(quiet.stderr.all.length, 1);
});

Deno.test("jim: one warning that passwords are in clear text, but not on a loopback address", async () => {
  await using open = await startInMemory("-a", "0.0.0.0");
  await open.logged("passwords and messages cross the network in clear text");
  await using local = await startInMemory();
  using _ = await JimPeer.logIn(local, "ann");
  assertEquals([open.stderr.all.length, local.stderr.all.length], [1, 0]);
});

Deno.test("jim --idle-timeout: the silent are probed and closed, who answers stays, who does not log in is closed", async () => {
  await using server = await startInMemory("--idle-timeout", "2s");
  using alive = await JimPeer.logIn(server, "alive");
  using dead = await JimPeer.logIn(server, "dead");
  using stranger = await JimPeer.connect(server);
  await alive.ask({ action: "add_contact", user_id: "dead" });
  const lost = Promise.withResolvers<void>();
  const answering = (async () => {
    for (let object; (object = await alive.next())?.action !== "bye";) {
      if (object === undefined) throw new Error("alive was closed");
      if (object.action === "probe") await alive.send({ action: "presence", user: { account_name: "alive" } });
      if (object.online === false) return lost.resolve();
    }
  })();
  const [refusal] = await stranger.untilClosed();
  assertEquals(refusal!.response, 401);
  const goodbye = await dead.untilClosed();
  assertEquals(goodbye.map(({ action, response }) => action ?? response), ["probe", 400]);
  await inTime(lost.promise, "the contact's offline presence");
  await answering;
});

Deno.test("jim: a file that is damaged, of another program, of a later version or taken is one line, exit code 1", async () => {
  await using folder = new TestFolder();
  const file = (name: string) => `${folder.path}/${name}`;
  await Deno.writeTextFile(file("text"), "this is no database\n".repeat(100));
  using foreign = new DatabaseSync(file("foreign"));
  foreign.exec("CREATE TABLE a (x)");
  for (const name of ["later", "damaged", "taken", "locked"]) {
    await using server = await startServer(SERVER, ["--db", file(name)]);
    using ann = await JimPeer.logIn(server, "ann");
    for (let i = 0; i < 20; i++) await ann.tell("ann", "x".repeat(500));
  }
  using later = new DatabaseSync(file("later"));
  later.exec("PRAGMA user_version = 99");
  const bytes = await Deno.readFile(file("damaged"));
  await Deno.writeFile(file("damaged"), bytes.fill(0x55, 4096, bytes.length - 4096));
  using locked = new DatabaseSync(file("locked"));
  locked.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  await using _ = await startServer(SERVER, ["--db", file("taken")]);

  await Deno.symlink(file("taken"), file("alias"));

  const expected: Record<string, string> = {
    text: "file is not a database (name another one: --db FILE)",
    foreign: "it is a database of another program (name another one: --db FILE)",
    later: "it is of a later version of this program: 99",
    damaged: "database disk image is malformed",
    taken: "another server uses it (stop that one, or name another file: --db FILE)",
    alias: "another server uses it (stop that one, or name another file: --db FILE)",
    locked: "database is locked (another program writes to it)",
    "none/at/all": "no such file or directory",
  };
  await Promise.all(
    Object.entries(expected).map(async ([name, reason]) => {
      const { code, stdout, stderr } = await run(SERVER, ["--port", "0", "--db", file(name)]);
      assertEquals([code, stdout], [1, ""], stderr);
      assertMatch(stderr, /^jim: [^\n]+\n$/);
      assertStringIncludes(stderr, `open ${file(name)}: ${reason}`);
    }),
  );
  assertEquals(foreign.prepare("PRAGMA journal_mode").get(), { journal_mode: "delete" }); // it is as it was
});

Deno.test("jim: SIGTERM with 50 users: what they have asked is answered, exit code 0", async () => {
  await using server = await startInMemory();
  const peers = await logInMany(server, 50);
  await Promise.all(
    peers.map((peer) => peer.send({ action: "join", room: "#tea" }, { action: "msg", to: "#tea", message: "hi" })),
  );
  for (const peer of peers) assert((await peer.answer()).response < 300);
  const stopped = server.stop();
  await Promise.all(peers.map(async (peer) => {
    assertEquals((await peer.answer()).response, 200);
    await peer.untilClosed();
    peer.close();
  }));
  assertEquals((await stopped).code, 0);
});

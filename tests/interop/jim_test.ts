/**
 * JIM with programs of the kind that courses write, each in its own dialect: peers/jim_a.py, jim_b.py and jim_c.py.
 * @module
 */
import { assertEquals, assertStringIncludes } from "../assert.ts";
import { run, type RunningProgram, start, startServer, startTool, testWith } from "../harness.ts";

const PYTHON = ["python3"];
const DIALECTS = ["a", "b", "c"] as const;
type Dialect = typeof DIALECTS[number];

const startOurs = () => startServer("servers/jim", ["--db", ":memory:"]);

/** A Python client that is online. */
async function join(dialect: Dialect, port: number | string, name: string): Promise<RunningProgram> {
  const client = startTool("python3", [`tests/interop/peers/jim_${dialect}.py`, "client", `${port}`, name]);
  await client.printed("online");
  return client;
}

/** A Python server, and its port. */
async function serve(dialect: Dialect): Promise<{ server: RunningProgram; port: string }> {
  const server = startTool("python3", [`tests/interop/peers/jim_${dialect}.py`, "server"]);
  return { server, port: await server.printed(/^\d+$/) };
}

/** Ends a Python server, which knows no better end. */
async function stop(server: RunningProgram): Promise<void> {
  const { stderr } = await server.stop("SIGKILL");
  assertEquals(stderr, "");
}

/** Says goodbye for a Python client, and demands that nothing went wrong with it. */
async function leave(client: RunningProgram): Promise<string[]> {
  await client.type("q\n");
  const { code, stdout, stderr } = await client.ended();
  await client.process.stdin.close();
  assertEquals([code, stderr], [0, ""]);
  return stdout.split("\n");
}

/** Our client, logged in. */
async function joinOurs(port: number | string, name: string, ...args: string[]): Promise<RunningProgram> {
  const client = start("clients/jim", ["127.0.0.1", `${port}`, "-n", name, ...args]);
  await client.logged(`logged in as ${name}`);
  return client;
}

async function leaveOurs(client: RunningProgram): Promise<string> {
  await client.process.stdin.close();
  const { code, stdout, stderr } = await client.ended();
  assertEquals(code, 0, stderr);
  return stdout;
}

// --- Their clients, our server ---------------------------------------------------------------------------------------

for (const dialect of DIALECTS) {
  testWith(PYTHON, `jim server: a client of dialect ${dialect} and ours talk with each other`, async () => {
    await using server = await startOurs();
    const alice = await join(dialect, server.port, "alice");
    const bob = await joinOurs(server.port, "bob", "--to", "alice");
    await alice.type("bob привет, «bob»\n");
    await bob.printed("alice: привет, «bob»");
    await bob.type("hello, alice\n");
    await alice.printed("bob to alice: hello, alice");
    assertEquals(await leaveOurs(bob), "alice: привет, «bob»");
    const heard = await leave(alice);
    assertEquals(heard.filter((line) => !line.startsWith("answer 20")), ["online", "bob to alice: hello, alice"]);
    assertEquals(
      (await run("clients/jim", ["127.0.0.1", `${server.port}`, "-n", "alice", "--once", "presence"])).code,
      0,
    );
  });

  testWith(
    PYTHON,
    `jim server: a client of dialect ${dialect} is told, or not, that nobody has that name`,
    async () => {
      await using server = await startOurs();
      const alice = await join(dialect, server.port, "alice");
      await alice.type("nobody hello\n");
      if (dialect !== "b") await alice.printed("answer 404"); // programs of B do not expect an answer
      const bob = await joinOurs(server.port, "bob", "-m", "/msg alice after that");
      await alice.printed("bob to alice: after that");
      await bob.ended();
      await leave(alice);
    },
  );

  testWith(PYTHON, `jim server: a client of dialect ${dialect} gets each of ten messages by itself`, async () => {
    await using server = await startOurs();
    const alice = await join(dialect, server.port, "alice");
    await alice.type("alice to myself, so that it is known how I speak\n");
    const texts = Array.from({ length: 10 }, (_, i) => `number ${i}`);
    const { code } = await run("clients/jim", [
      "127.0.0.1",
      `${server.port}`,
      ...["-n", "bob", "--to", "alice"],
      ...texts.flatMap((text) => ["-m", text]),
    ]);
    assertEquals(code, 0);
    await alice.printed("number 9");
    const heard = (await leave(alice)).filter((line) => line.startsWith("bob"));
    assertEquals(heard, texts.map((text) => `bob to alice: ${text}`));
  });
}

testWith(PYTHON, "jim server: clients of all dialects talk with each other", async () => {
  await using server = await startOurs();
  const clients = await Promise.all(DIALECTS.map((dialect) => join(dialect, server.port, `from_${dialect}`)));
  for (const [i, client] of clients.entries()) { // until it has said something, C looks like A
    await client.type(`from_${DIALECTS[i]} me\n`);
    await client.printed(`from_${DIALECTS[i]} to from_${DIALECTS[i]}: me`);
  }
  for (const [i, client] of clients.entries()) {
    for (const dialect of DIALECTS.filter((_, j) => j !== i)) await client.type(`from_${dialect} hello\n`);
    for (const [j, other] of clients.entries()) {
      if (j !== i) await other.printed(`from_${DIALECTS[i]} to from_${DIALECTS[j]}: hello`);
    }
  }
  for (const client of clients) await leave(client);
});

// --- Our client, their servers ---------------------------------------------------------------------------------------

for (const dialect of DIALECTS) {
  const spell = ["--dialect", dialect.toUpperCase()];

  testWith(PYTHON, `jim client: talks at a server of dialect ${dialect}, and says goodbye`, async () => {
    const { server, port } = await serve(dialect);
    const alice = await join(dialect, port, "alice");
    const bob = await joinOurs(port, "bob", ...spell, "--to", "alice");
    await bob.type("one\ntwo\nпривет\n");
    await alice.printed("bob to alice: привет");
    await alice.type("bob hello, bob\n");
    await bob.printed("alice: hello, bob");
    await leaveOurs(bob);
    await server.printed("bob left with a goodbye");
    const heard = (await leave(alice)).filter((line) => line.startsWith("bob"));
    assertEquals(heard, ["one", "two", "привет"].map((text) => `bob to alice: ${text}`));
    assertEquals(server.stdout.all.filter((line) => line.includes("lost")), []);
    await stop(server);
  });

  testWith(PYTHON, `jim client: an addressee that a server of dialect ${dialect} does not know`, async () => {
    const { server, port } = await serve(dialect);
    const args = ["127.0.0.1", port, "-n", "bob", ...spell, "--to", "nobody", "-m", "hello"];
    const { code, stderr } = await run("clients/jim", args);
    if (dialect === "b") assertEquals(code, 0); // it does not say
    else assertStringIncludes(`${code} ${stderr}`, "not delivered to nobody: no such user (404): hello");
    await server.printed("bob left with a goodbye");
    await stop(server);
  });

  testWith(PYTHON, `jim client: a name that is taken at a server of dialect ${dialect}; --once presence`, async () => {
    const { server, port } = await serve(dialect);
    const alice = await join(dialect, port, "alice");
    const once = (name: string) => run("clients/jim", ["127.0.0.1", port, "-n", name, ...spell, "--once", "presence"]);
    const code = dialect === "a" ? 409 : 400;
    assertEquals(await once("alice"), { code: 1, stdout: `${code} this name is taken\n`, stderr: "" });
    assertEquals(await once("bob"), { code: 0, stdout: "200 OK\n", stderr: "" });
    const refused = await run("clients/jim", ["127.0.0.1", port, "-n", "alice", ...spell, "-m", "x"]);
    assertEquals(refused.code, 1);
    assertStringIncludes(refused.stderr, `jim: log in as alice: this name is taken (${code})`);
    await leave(alice);
    await stop(server);
  });
}

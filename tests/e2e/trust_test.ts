import { parseCommandLine } from "../../lib/net/cli.ts";
import { AttemptError } from "../../lib/net/failure.ts";
import {
  clientSecurity,
  SECURE_CLIENT_OPTIONS,
  SECURE_SERVER_OPTIONS,
  serverSecurity,
} from "../../lib/net/secure_options.ts";
import { fingerprint, formatKnownHost, parseKnownHosts } from "../../lib/identity.ts";
import { PROGRAMS } from "../../lib/programs.ts";
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { type Output, run, type RunningServer, startServer, testWith } from "../harness.ts";
import { Screen } from "../screen.ts";

const [KEY, OTHER] = [1, 2].map((byte) => new Uint8Array(32).fill(byte)) as [Uint8Array, Uint8Array];
const PRINT = fingerprint(KEY);
const KNOWN = `${formatKnownHost({ host: "localhost:9007", key: KEY, revoked: false, comment: "" })}\n`;
const SCRIPT = "tests/e2e/fixtures/trust.ts";
const DENO = [Deno.execPath(), "run", "--no-prompt", ...PROGRAMS["clients/keys"].permissions, SCRIPT] as const;

/** A client with its files in a folder. */
class Client extends TestFolder {
  readonly knownHosts = `${this.path}/netlab/known_hosts`;

  run(key: Uint8Array, ...args: string[]): Promise<Output> {
    return this.pipe("", key, ...args);
  }

  /** The same with something to read. */
  pipe(stdin: string, key: Uint8Array, ...args: string[]): Promise<Output> {
    const env = { XDG_CONFIG_HOME: this.path };
    return run("clients/keys", [key.toBase64(), ...args], { argv: [...DENO], env, stdin });
  }

  /** The same at a terminal. */
  screen(key: Uint8Array, ...args: string[]): Screen {
    return new Screen("env", `XDG_CONFIG_HOME=${this.path}`, ...DENO, key.toBase64(), ...args);
  }

  text(): Promise<string> {
    return Deno.readTextFile(this.knownHosts).catch(() => "");
  }
}

/** The lines of a screen as one text, however it breaks them. */
async function ended(screen: Screen): Promise<{ code: number; text: string }> {
  const { code, lines } = await screen.ended();
  return { code, text: lines.join("") };
}

Deno.test("trust: without a terminal a new server is refused, with what to do; accept-new remembers it", async () => {
  await using client = new Client();
  const refused = await client.run(KEY);
  assertEquals([refused.code, refused.stdout], [1, ""]);
  assertStringIncludes(
    refused.stderr,
    `verify the server localhost:9007: its key ${PRINT} is not in ${client.knownHosts}`,
  );
  assertStringIncludes(refused.stderr, `--expect-fingerprint ${PRINT}, or --trust accept-new`);
  const piped = await client.pipe("yes\n", KEY, "--trust", "ask");
  assertEquals([piped.code, piped.stdout], [1, ""]);
  assertStringIncludes(piped.stderr, `its key ${PRINT} is not in ${client.knownHosts}`);
  assertEquals((await client.run(KEY, "--expect-fingerprint", PRINT)).stdout, "trusted\n");
  assertEquals(await client.text(), "");
  const accepted = await client.run(KEY, "--trust", "accept-new");
  assertEquals([accepted.code, accepted.stdout, await client.text()], [0, "trusted\n", KNOWN]);
  assertEquals(await client.run(KEY), { code: 0, stdout: "trusted\n", stderr: "" });
});

Deno.test("trust: a changed key is refused with the file and the line, whatever the policy", async () => {
  await using client = new Client();
  await client.run(KEY, "--trust", "accept-new");
  for (const policy of ["strict", "ask", "accept-new"]) {
    const { code, stdout, stderr } = await client.run(OTHER, "--trust", policy);
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(stderr, `its key ${fingerprint(OTHER)} is not the one in ${client.knownHosts}, line 1`);
  }
  assertEquals(await client.text(), KNOWN);
});

Deno.test("trust: a pattern that needs the server's key wants it known; a pre-shared key has 32 bytes", async () => {
  await using client = new Client();
  const unknown = await client.run(KEY, "--pattern", "IK");
  assertStringIncludes(unknown.stderr, `pattern IK: the key of localhost:9007 is not in ${client.knownHosts}`);
  assertStringIncludes(unknown.stderr, "--pattern XX");
  await client.run(KEY, "--trust", "accept-new");
  assertEquals((await client.run(KEY, "--pattern", "IK")).stdout, "trusted\n");
  const both = KNOWN + formatKnownHost({ host: "localhost:9007", key: OTHER, revoked: false, comment: "" });
  await Deno.writeTextFile(client.knownHosts, both); // the server has had two keys
  const expected = ["--pattern", "IK", "--expect-fingerprint", fingerprint(OTHER)];
  assertEquals((await client.run(OTHER, ...expected)).stdout, "trusted\n");
  for (const length of [0, 16, 31, 33, 64]) {
    const file = await client.write(`psk${length}`, new Uint8Array(length).toBase64());
    const { code, stderr } = await client.run(KEY, "--psk-file", file);
    assertEquals([code, stderr.includes(`has ${length} bytes, not 32`)], [2, true], stderr);
  }
  for (const pattern of ["XXpsk3", "NNpsk0"]) {
    const { code, stderr } = await run("clients/secure_echo", ["--pattern", pattern], { env: { NETLAB_PSK: "" } });
    assertEquals([code, stderr.includes("the pre-shared key has 0 bytes, not 32")], [2, true], stderr);
    const none = await run("clients/secure_echo", ["--pattern", pattern]);
    assertEquals([none.code, none.stderr.includes(`${pattern} needs a pre-shared key`)], [2, true], none.stderr);
  }
  const keyless = ["--pattern", "NNpsk0", "--psk-file", await client.write("any", new Uint8Array(32).toBase64())];
  const { code, stderr } = await client.run(KEY, ...keyless, "--expect-fingerprint", PRINT);
  assertEquals([code, stderr.includes("--expect-fingerprint: servers have no key with NNpsk0")], [2, true], stderr);
  const good = await client.write("psk", `${new Uint8Array(32).toBase64()}\n`);
  assertEquals((await client.run(KEY, "--psk-file", good)).stdout, "trusted\n");
  await Deno.chmod(good, 0o644);
  assertStringIncludes((await client.run(KEY, "--psk-file", good)).stderr, `others may read it (chmod 600 ${good})`);
});

Deno.test("trust: an answer that comes when the server waits no longer tells the user to begin again", async () => {
  await using client = new Client();
  await client.write("known_hosts", KNOWN);
  const files = ["--identity", `${client.path}/identity.pem`, "--known-hosts", `${client.path}/known_hosts`];
  const path = "clients/secure_echo";
  const psk = ["--psk-file", await client.write("psk", new Uint8Array(32).toBase64())];
  const again = "its key is known now: run this again";
  const { now } = performance;
  for (const [args, hint] of [[[], again], [psk, `run this again with --expect-fingerprint ${PRINT}`]] as const) {
    const values = parseCommandLine([...files, ...args], { path, options: SECURE_CLIENT_OPTIONS, positionals: {} });
    const { verify } = await clientSecurity(values, { host: "localhost:9007", path });
    try {
      for (const [taken, isLate] of [[9_500, false], [9_501, true]] as const) {
        const times = [0, taken];
        performance.now = () => times.shift()!;
        const error = await verify(KEY).then(() => undefined, (error) => error);
        assertEquals(error instanceof AttemptError ? error.hint : error, isLate ? hint : undefined);
      }
    } finally {
      performance.now = now;
    }
  }
});

Deno.test("secure options: what is asked of the channel is what it gets", async () => {
  await using folder = new TestFolder();
  const both = ["--identity", `${folder.path}/key.pem`, "--padding", "fixed:256", "--max-session", "1h"];
  const wanted = { padding: { multiple: 256 }, maxSession: 3_600_000 };
  const names = (pattern: string, ...suites: string[]) =>
    suites.map((suite) => `Noise_${pattern}_25519_${suite}_SHA256`);
  for (const [cipher, suites] of [[[], ["AESGCM", "ChaChaPoly"]], [["--cipher", "chacha"], ["ChaChaPoly"]]] as const) {
    const path = "servers/secure_echo";
    const args = [...both, "--allow-any-client", "--pattern", "XK", ...cipher];
    const values = parseCommandLine(args, { path, options: SECURE_SERVER_OPTIONS, positionals: {} });
    const { padding, maxSession, protocols } = await serverSecurity(values, () => {});
    assertEquals({ padding, maxSession, protocols }, { ...wanted, protocols: names("XK", ...suites) });
  }
  for (const [cipher, suite] of [[[], "AESGCM"], [["--cipher", "chacha"], "ChaChaPoly"]] as const) {
    const path = "clients/secure_echo";
    const args = [...both, "--known-hosts", `${folder.path}/known_hosts`, ...cipher];
    const values = parseCommandLine(args, { path, options: SECURE_CLIENT_OPTIONS, positionals: {} });
    const { padding, maxSession, protocol } = await clientSecurity(values, { host: "localhost:9007", path });
    assertEquals({ padding, maxSession, protocol }, { ...wanted, protocol: names("XX", suite)[0] });
  }
});

testWith(["python3"], "trust: at a terminal the user is asked, and remembered is what gets a yes", async () => {
  await using client = new Client();
  for (const answer of ["no", "y", "", "\x04", `yes${" ".repeat(80)}no`]) {
    await using screen = client.screen(KEY);
    await screen.find(/yes or\s*no:/);
    await screen.type(`${answer}\r`);
    const { code, text } = await ended(screen);
    assertEquals([code, await client.text()], [1, ""]);
    assertStringIncludes(text, "is not the right one");
  }
  await using screen = client.screen(KEY);
  await screen.find(/yes or\s*no:/);
  await screen.type("yes\r");
  const { code, text } = await ended(screen);
  assertStringIncludes(text, PRINT);
  assertEquals([code, text.endsWith("trusted"), await client.text()], [0, true, KNOWN]);
  await using again = client.screen(KEY);
  assertEquals((await ended(again)).text, "trusted");
  await using changed = client.screen(OTHER);
  assertStringIncludes((await ended(changed)).text, "line 1: it is another server, or someone in between");
  await Deno.remove(client.knownHosts);
  const elsewhere = ["sh", "-c", 'exec "$@" 2>"$0"', `${client.path}/stderr`]; // where nobody would see the question
  await using unseen = new Screen("env", `XDG_CONFIG_HOME=${client.path}`, ...elsewhere, ...DENO, KEY.toBase64());
  assertEquals(await ended(unseen), { code: 1, text: "" });
  assertStringIncludes(await Deno.readTextFile(`${client.path}/stderr`), `its key ${PRINT} is not in `);
});

/** A folder with the files of a real server and a real client. */
class Pair extends TestFolder {
  readonly #env = { XDG_CONFIG_HOME: this.path };
  readonly knownHosts = `${this.path}/netlab/known_hosts`;

  /** Starts secure_echo with the key in the file of that name. */
  serve(key: string, ...args: string[]): Promise<RunningServer> {
    const identity = ["--identity", `${this.path}/${key}`];
    return startServer("servers/secure_echo", [...identity, ...args], { env: this.#env });
  }

  /** The client says hello. */
  ask({ port }: { port: number }, ...args: string[]): Promise<Output> {
    return run("clients/secure_echo", ["127.0.0.1", `${port}`, "-m", "hello", ...args], { env: this.#env });
  }

  /** The same at a terminal. */
  screen({ port }: { port: number }): Screen {
    const permissions = PROGRAMS["clients/secure_echo"].permissions;
    const command = [Deno.execPath(), "run", "--no-prompt", ...permissions, "clients/secure_echo.ts"];
    return new Screen("env", `XDG_CONFIG_HOME=${this.path}`, ...command, "127.0.0.1", `${port}`, "-m", "hello");
  }

  keys(...args: string[]): Promise<Output> {
    return run("clients/keys", args, { env: this.#env });
  }
}

Deno.test("secure_echo: the client remembers the server, and refuses another one in its place, before it says who it is", async () => {
  await using pair = new Pair();
  await using impostor = await pair.serve("two.pem", "--allow-any-client", "--verbose");
  {
    await using server = await pair.serve("one.pem", "--allow-any-client", "--verbose");
    const print = /SHA256:\S+/.exec(await server.logged(/our key is SHA256:/))![0];
    assertStringIncludes((await pair.ask(server)).stderr, `its key ${print} is not in ${pair.knownHosts}`);
    const { stdout, stderr } = await pair.ask(server, "--trust", "accept-new");
    assertEquals(stdout, "hello\n", stderr);
    assertEquals(await pair.ask(server), { code: 0, stdout: "hello\n", stderr: "" });
    for (const pattern of ["XX", "IK"]) {
      const { code, stderr } = await pair.ask(
        server,
        "--pattern",
        pattern,
        "--expect-fingerprint",
        `SHA256:${"A".repeat(43)}`,
      );
      assertEquals([code, stderr.includes(`its key is ${print}, not SHA256:AAA`)], [1, true], stderr);
    }
  }
  const text = await Deno.readTextFile(pair.knownHosts);
  await Deno.writeTextFile(pair.knownHosts, text.replace(/:\d+/, `:${impostor.port}`)); // it has taken the other's place
  const { code, stdout, stderr } = await pair.ask(impostor, "--trust", "accept-new");
  assertEquals([code, stdout], [1, ""]);
  assertMatch(
    stderr,
    /^secure_echo: verify the server 127\.0\.0\.1:\d+: its key SHA256:\S+ is not the one in [^\n]+\n$/,
  );
  assertStringIncludes(stderr, `${pair.knownHosts}, line 1`);
  await impostor.logged("closed: ");
  assert(!impostor.stderr.all.some((line) => line.includes("secure: ")), "the client has shown who it is");
});

/** The question, wherever the screen breaks it. */
const QUESTION = /y\s*e\s*s\s+o\s*r\s+n\s*o\s*:/;

for (const [name, args] of [["chat", []], ["jim", ["-n", "bob"]], ["files", []]] as const) {
  const serve = async (pair: Pair) => {
    const folder = { chat: [], jim: ["--db", `${pair.path}/jim.sqlite`], files: ["--root", pair.path] }[name];
    return await startServer(`servers/${name}`, ["--secure", "--allow-any-client", ...folder], {
      permissions: PROGRAMS[`servers/${name}`].secure!,
      env: { XDG_CONFIG_HOME: pair.path },
    });
  };
  const sit = (pair: Pair, { port }: RunningServer) => {
    const command = [
      Deno.execPath(),
      "run",
      "--no-prompt",
      ...PROGRAMS[`clients/${name}`].secure!,
      `clients/${name}.ts`,
    ];
    const place = ["127.0.0.1", `${port}`, "--secure"];
    return new Screen("env", `XDG_CONFIG_HOME=${pair.path}`, ...command, ...place, ...args);
  };

  testWith(["python3"], `${name} --secure: at a terminal a yes to the server's key is heard`, async () => {
    await using pair = new Pair();
    await using server = await serve(pair);
    await using screen = sit(pair, server);
    await screen.find(QUESTION);
    await screen.type("yes\r");
    await screen.find({ chat: /^to 127.0.0.1:\d+>/m, jim: /logged in as bob/, files: /^files 127.0.0.1>/m }[name]);
    await screen.type("\x04");
    const { code, terminal } = await screen.ended();
    assertEquals([code, terminal], [0, "as it was"]);
  });

  testWith(["python3"], `${name} --secure: at a terminal Ctrl-C ends the question about the server's key`, async () => {
    await using pair = new Pair();
    await using server = await serve(pair);
    await using screen = sit(pair, server);
    await screen.find(QUESTION);
    await screen.type("\x03");
    const { code, terminal } = await screen.ended();
    assertEquals([code !== 0, terminal], [true, "as it was"]);
    await assertRejects(() => Deno.lstat(pair.knownHosts), Deno.errors.NotFound);
  });
}

Deno.test("secure_echo: only whose key is authorized comes in, from the moment that it is", async () => {
  await using pair = new Pair();
  const list = await pair.write("authorized", "");
  await using server = await pair.serve("server.pem", "--authorized", list, "--verbose");
  const stranger = await pair.ask(server, "--trust", "accept-new");
  assertEquals([stranger.code, stranger.stdout], [1, ""]);
  const line = (await pair.keys("show", "--comment", "alice")).stdout;
  const print = (await pair.keys("fingerprint")).stdout.trim();
  await server.logged(`Cannot let in the client: ${print} is not authorized`);
  await Deno.writeTextFile(list, line);
  assertEquals((await pair.ask(server)).stdout, "hello\n");
  await server.logged(`secure: ${print}`);
  await Deno.writeTextFile(list, "np-x25519 AAAA\n", { append: true });
  assertEquals((await pair.ask(server)).code, 1);
  await server.logged(
    `closed: Cannot let in the client: read the authorized keys from ${list}: line 2: it is no public key: `,
  );
  await Deno.remove(list);
  assertEquals((await pair.ask(server)).code, 1);
  await server.logged(`closed: Cannot let in the client: read the authorized keys from ${list}: no such file`);
});

Deno.test("secure_echo: each pattern, with what it needs; what does not fit is refused, and says nothing", async () => {
  await using pair = new Pair();
  await pair.keys("new");
  const list = await pair.write("authorized", (await pair.keys("show")).stdout);
  const psk = await pair.write("psk", crypto.getRandomValues(new Uint8Array(32)).toBase64());
  const other = await pair.write("other", crypto.getRandomValues(new Uint8Array(32)).toBase64());
  for (
    const [pattern, server, client] of [
      ["XX", ["--authorized", list], []],
      ["XK", ["--authorized", list], []],
      ["IK", ["--authorized", list], []],
      ["NK", ["--allow-any-client"], []],
      ["XXpsk3", ["--authorized", list, "--psk-file", psk], ["--psk-file", psk]],
      ["NNpsk0", ["--psk-file", psk], ["--psk-file", psk]],
    ] as const
  ) {
    await using running = await pair.serve("server.pem", "--pattern", pattern, ...server);
    if (pattern !== "NNpsk0") {
      const pub = await Deno.readTextFile(`${pair.path}/server.pem.pub`);
      await Deno.writeTextFile(pair.knownHosts, `127.0.0.1:${running.port} ${pub}`, { append: true });
    }
    const { stdout, stderr } = await pair.ask(running, "--pattern", pattern, ...client);
    assertEquals(stdout, "hello\n", `${pattern} ${stderr}`);
    const fits = pattern === "XX" ? "XXpsk3" : "XX";
    const wrong = client.length > 0 ? ["--pattern", pattern, "--psk-file", other] : ["--pattern", fits];
    const refused = await pair.ask(running, ...(fits === "XXpsk3" ? [...wrong, "--psk-file", other] : wrong));
    assertEquals([refused.code, refused.stdout], [1, ""], pattern);
    assertMatch(refused.stderr, /^secure_echo: [^\n]+\n$/);
  }
  const names = parseKnownHosts(await Deno.readTextFile(pair.knownHosts)).map(({ host }) => host);
  assertEquals(names.length, 5); // and none for NNpsk0, which has no keys to know
});

Deno.test("secure_echo: NETLAB_PSK alone is a pre-shared key that both ends must have", async () => {
  await using pair = new Pair();
  const psk = (byte: number) => ({ XDG_CONFIG_HOME: pair.path, NETLAB_PSK: new Uint8Array(32).fill(byte).toBase64() });
  await using server = await startServer("servers/secure_echo", ["--allow-any-client"], { env: psk(1) });
  const args = ["127.0.0.1", `${server.port}`, "--trust", "accept-new", "-m", "hello"];
  for (const env of [psk(2), { XDG_CONFIG_HOME: pair.path }]) {
    const { code, stdout } = await run("clients/secure_echo", args, { env });
    assertEquals([code, stdout], [1, ""]);
  }
  await assertRejects(() => Deno.lstat(pair.knownHosts), Deno.errors.NotFound); // who has another one is not remembered
  const { stdout, stderr } = await run("clients/secure_echo", args, { env: psk(1) });
  assertEquals(stdout, "hello\n");
  assertStringIncludes(stderr, `is kept in ${pair.knownHosts}`);
  assertEquals(parseKnownHosts(await Deno.readTextFile(pair.knownHosts)).length, 1);
});

Deno.test("secure_echo --verbose says which backend it has; none asks for a permission", async () => {
  await using pair = new Pair();
  const echoes = async (name: string, ...args: string[]) => {
    await using server = await pair.serve("server.pem", "--allow-any-client", "--verbose", ...args);
    await server.logged(`${name} does the encryption`);
    for (const cipher of ["aes", "chacha"]) {
      const { stdout, stderr } = await pair.ask(
        server,
        "--trust",
        "accept-new",
        "--cipher",
        cipher,
        "--backend",
        "noble",
      );
      assertEquals(stdout, "hello\n", stderr);
    }
  };
  await echoes("portable");
  await echoes("noble", "--backend", "noble");
  const refused = await pair.ask({ port: 1 }, "--backend", "libcrypto");
  assertEquals(refused.code, 2);
  assertStringIncludes(
    refused.stderr,
    "--backend libcrypto: there is no --allow-ffi (--backend portable works everywhere)",
  );
});

testWith(["python3"], "secure_echo: at a terminal the client asks about a new server, then talks to it", async () => {
  await using pair = new Pair();
  await using server = await pair.serve("server.pem", "--allow-any-client");
  await using screen = pair.screen(server);
  await screen.find(QUESTION);
  await screen.type("yes\r");
  const { code, text } = await ended(screen);
  assertEquals([code, text.endsWith("hello")], [0, true], text);
  assertEquals(parseKnownHosts(await Deno.readTextFile(pair.knownHosts)).length, 1);
});

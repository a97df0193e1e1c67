/**
 * What DESIGN asks of every program, asked of every program with exactly its permissions.
 * @module
 */
import config from "../../deno.json" with { type: "json" };
import { programName, type ProgramPath, PROGRAMS, runCommand } from "../../lib/programs.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { programsIn, testEach } from "../each.ts";
import { TestFolder } from "../folder.ts";
import { inTime, type Output, run, type RunningServer, startServer } from "../harness.ts";

/** Where the programs of these tests keep their keys. */
const CONFIG = new TestFolder();
Deno.test.afterAll(() => CONFIG[Symbol.asyncDispose]());

/** What a program needs besides its permissions. */
const NEEDS: Partial<Record<string, { args?: readonly string[]; env?: Record<string, string> }>> = {
  "servers/hmac_auth": { env: { NETLAB_SECRET: "secret of the tests" } },
  "clients/hmac_auth": { env: { NETLAB_SECRET: "secret of the tests" } },
  "servers/diffie_hellman": { env: { NETLAB_PSK: new Uint8Array(32).toBase64() } },
  "clients/diffie_hellman": { env: { NETLAB_PSK: new Uint8Array(32).toBase64() } },
  "servers/dh_mitm": { args: ["--to", "127.0.0.1:9"] },
  "servers/rsa": { env: { XDG_CONFIG_HOME: CONFIG.path } },
  "clients/rsa": { env: { XDG_CONFIG_HOME: CONFIG.path } },
  "servers/files": { args: ["--root", CONFIG.path] },
  "servers/jim": { args: ["--db", ":memory:"] },
  "clients/jim": { args: ["--name=alice"] },
  "servers/secure_echo": { args: ["--allow-any-client"], env: { XDG_CONFIG_HOME: CONFIG.path } },
  "clients/secure_echo": { args: ["--pattern", "NNpsk0"], env: { NETLAB_PSK: new Uint8Array(32).toBase64() } },
  "servers/wiretap": { args: ["--to", "127.0.0.1:9"] },
};

/** A program with what it needs. */
class Subject {
  readonly #args: readonly string[];
  readonly #env: Record<string, string>;

  constructor(readonly path: ProgramPath) {
    ({ args: this.#args = [], env: this.#env = {} } = NEEDS[path] ?? {});
  }

  /** Runs it to its end. */
  run(args: readonly string[], permissions = PROGRAMS[this.path].permissions as readonly string[]): Promise<Output> {
    return run(this.path, [...this.#args, ...args], { env: this.#env, permissions });
  }

  /** Starts a server. */
  start(args: readonly string[]): Promise<RunningServer> {
    return startServer(this.path, [...this.#args, ...args], { env: this.#env });
  }
}

/** Whether a program has connections. */
function isStream({ path }: Subject): boolean {
  return !programName(path).startsWith("udp_");
}

const SERVERS = programsIn("servers").map((path) => new Subject(path));
const CLIENTS = programsIn("clients").filter((path) => PROGRAMS[path].port !== 0).map((path) => new Subject(path));
const TALKERS = [...SERVERS, ...CLIENTS];
const OFFLINE = programsIn("clients").filter((path) => PROGRAMS[path].port === 0).map((path) => new Subject(path));
const ALL = [...TALKERS, ...OFFLINE];

/** Asserts that a program ended with `code`, nothing on stdout and one line on stderr, and returns that line. */
function assertOneLine({ path }: Subject, code: number, output: Output): string {
  assertEquals({ code: output.code, stdout: output.stdout }, { code, stdout: "" }, output.stderr);
  assertMatch(output.stderr, new RegExp(`^${programName(path)}: [^\n]+\n$`));
  return output.stderr.trimEnd();
}

/** A port of 127.0.0.1 that another program has taken, for TCP and for UDP. */
function takePort(): Disposable & { port: number } {
  for (;;) {
    using taken = new DisposableStack();
    const { port } = taken.adopt(Deno.listen({ hostname: "127.0.0.1", port: 0 }), (tcp) => tcp.close()).addr;
    try {
      const udp = Deno.listenDatagram({ hostname: "127.0.0.1", port, transport: "udp" });
      taken.adopt(udp, (udp) => udp.close());
    } catch (error) {
      if (error instanceof Deno.errors.AddrInUse) continue; // by a test beside this one: another port
      throw error;
    }
    const both = taken.move();
    return { port, [Symbol.dispose]: () => both.dispose() };
  }
}

/** One client that says something senseless and leaves; resolves when the server has noticed. */
async function visit(server: RunningServer): Promise<void> {
  if (server.stdout.all[0]!.includes("udp://")) {
    const socket = Deno.listenDatagram({ hostname: "127.0.0.1", port: 0, transport: "udp" });
    await socket.send(new TextEncoder().encode("hello"), { ...server, transport: "udp" });
    socket.close();
    return;
  }
  using conn = await server.connect();
  try {
    await conn.write(new TextEncoder().encode("hello"));
    await conn.closeWrite();
    for (const buffer = new Uint8Array(1024); await inTime(conn.read(buffer), "the server's end") !== null;);
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  }
}

testEach(ALL, "every program: --help and -h end with its example, exit code 0", async (program) => {
  const { path } = program;
  const help = await program.run(["--help"]);
  assertEquals({ code: help.code, stderr: help.stderr }, { code: 0, stderr: "" });
  assert(help.stdout.startsWith(`${programName(path)}: ${PROGRAMS[path].idea}\n`), help.stdout);
  assert(help.stdout.endsWith(`\nexample: ${runCommand(path)} ${PROGRAMS[path].example}\n`), help.stdout);
  assertEquals(await program.run(["-h"]), help);
});

testEach(ALL, "every program: --version and -V name the program and the version", async (program) => {
  const expected = { code: 0, stdout: `${programName(program.path)} ${config.version}\n`, stderr: "" };
  for (const flag of ["--version", "-V"]) assertEquals(await program.run([flag]), expected);
});

/** Command lines that are wrong, and what is said. */
const WRONG_USAGE: Record<string, [string[], string][]> = {
  any: [
    [["--nope"], "unknown option --nope"],
    [["--debug=1"], "--debug takes no value"],
  ],
  server: [
    [["--port", "70000"], '--port: "70000" is no whole number from 0 to 65535'],
    [["--log-format", "xml"], '--log-format: "xml" is not one of text, json'],
    [["-p"], "-p needs a value: -p N"],
    [["--host", ""], '--host: "" is no address'],
    [["-a", "127.0.0.1:9001"], '--host: "127.0.0.1:9001" is no address'],
    [["--idle-timeout", "5"], '--idle-timeout: "5" is no duration'],
    [["--max-connections", "0"], '--max-connections: "0" is no whole number from 1'],
  ],
  client: [
    [["127.0.0.1:9001", "1"], 'HOST: "127.0.0.1:9001" is no address'],
    [["9001"], 'HOST: "9001" is no address'],
    [["127.0.0.1", "http"], 'PORT: "http" is no whole number'],
    [[""], 'HOST: "" is no address'],
    [["-m", "-x"], "-m needs a value: -m TEXT"],
  ],
};

testEach(ALL, "every program: wrong usage is one line that says what is right, exit code 2", async (program) => {
  const kinds = CLIENTS.includes(program) ? ["any", "client"] : SERVERS.includes(program) ? ["any", "server"] : ["any"];
  for (const [args, message] of kinds.flatMap((kind) => WRONG_USAGE[kind]!)) {
    assertStringIncludes(assertOneLine(program, 2, await program.run(args)), message);
  }
  const third = assertOneLine(program, 2, await program.run(["one", "2", "three"]));
  const isCommand = program.path === "clients/files"; // what follows HOST and PORT there
  assertStringIncludes(third, isCommand ? 'unknown command "three"' : "unexpected argument");
});

testEach(
  TALKERS,
  "every program with a port: a missing permission is one line that names the flag, exit code 1",
  async (program) => {
    const permissions = PROGRAMS[program.path].permissions.filter((flag) => flag !== "-N");
    const args = SERVERS.includes(program) ? ["--port", "0"] : ["-m", "hello"];
    const line = assertOneLine(program, 1, await program.run(args, permissions));
    assertStringIncludes(line, "--allow-net");
    assertStringIncludes(line, `try: ${runCommand(program.path)}`);
  },
);

testEach(ALL, "every program: --debug adds the stack trace of what went wrong", async (program) => {
  const { stderr } = await program.run(["--debug", "--nope"]);
  assertMatch(stderr, /^\w+: unknown option --nope .*\nUsageError: .*\n +at /);
});

testEach(SERVERS, "every server: a port in use is one line that says who is to blame, exit code 1", async (server) => {
  using taken = takePort();
  const line = assertOneLine(server, 1, await server.run(["--port", `${taken.port}`]));
  assertStringIncludes(line, `listen on 127.0.0.1:${taken.port}: address already in use (another program listens`);
  assertStringIncludes(line, `ss -lntup 'sport = :${taken.port}'`);
});

testEach(SERVERS, "every server: an address that is not ours or unknown is one line, exit code 1", async (server) => {
  for (const host of ["192.0.2.1", "nobody.invalid"]) {
    const line = assertOneLine(server, 1, await server.run(["-a", host, "-p", "0"]));
    assertStringIncludes(line, `listen on ${host}:0: `);
  }
});

testEach(SERVERS, "every server: says once where it listens, logs in JSON, ends with 0 at SIGTERM", async (server) => {
  await using running = await server.start(["--log-format", "json", "--verbose", "--idle-timeout", "1m"]);
  await visit(running);
  await visit(running);
  const { code, stdout, stderr } = await running.stop("SIGTERM");
  assertEquals(code, 0, stderr);
  const listening = stdout.split("\n").filter((line) => line.startsWith("listening on"));
  assertEquals(listening.length, 1);
  assertMatch(listening[0]!, /^listening on (tcp|udp):\/\/127\.0\.0\.1:\d+$/);
  const entries = stderr.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
  assert(entries.length > 0 || !isStream(server), "nothing is logged");
  for (const { time, level, program, message } of entries) {
    assertEquals(new Date(time).toISOString(), time);
    assertMatch(level, /^(debug|info|warn|error)$/);
    assertEquals([program, typeof message], [programName(server.path), "string"]);
  }
});

testEach(SERVERS, "every server: -q prints nothing but where it listens; ends with 0 at SIGINT", async (server) => {
  await using running = await server.start(["-q"]);
  await visit(running);
  const { code, stdout, stderr } = await running.stop("SIGINT");
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^listening on [^\n]+$/);
});

const STREAM_CLIENTS = CLIENTS.filter(isStream); // nobody refuses a datagram

testEach(STREAM_CLIENTS, "every client: a refused connection is one line with a hint, exit code 1", async (client) => {
  const line = assertOneLine(client, 1, await client.run(["127.0.0.1", "1", "-m", "hello"]));
  assertStringIncludes(line, "connect to 127.0.0.1:1: connection refused (is the server running? try: deno run ");
  assert(line.endsWith(" --port 1)"), line);
});

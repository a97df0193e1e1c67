import { answer, CHALLENGE_LENGTH, mutualMac } from "../../lib/hmac_auth.ts";
import { encodeText } from "../../lib/bytes.ts";
import { concat } from "@std/bytes";
import { readFull, TcpConnection, writeAll } from "../../lib/net/tcp.ts";
import { assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { inTime, run, type RunningServer, startServer } from "../harness.ts";

const SERVER = "servers/hmac_auth";
const CLIENT = "clients/hmac_auth";
const SECRET = "correct horse battery staple";
const secret = encodeText(SECRET);
const env = { NETLAB_SECRET: SECRET };

async function ask(server: RunningServer, args: string[], secret = SECRET) {
  return await run(CLIENT, ["127.0.0.1", `${server.port}`, ...args], { env: { NETLAB_SECRET: secret } });
}

/** Connects, reads the challenge, sends what `respond` makes of it and resolves to what the server says then. */
async function tryAnswer(
  server: RunningServer,
  respond: (challenge: Uint8Array) => Uint8Array,
  { close = true } = {},
): Promise<Uint8Array> {
  using connection = new TcpConnection(await server.connect());
  const challenge = new Uint8Array(CHALLENGE_LENGTH);
  await readFull(connection, challenge);
  await writeAll(connection, respond(challenge)).catch(() => {});
  if (close) await connection.closeWrite().catch(() => {});
  const said: Uint8Array[] = [];
  const buffer = new Uint8Array(1024);
  try {
    for (let count; (count = await inTime(connection.read(buffer), "the server's end")) !== null;) {
      said.push(buffer.slice(0, count));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  }
  return concat(said);
}

for (const form of [[], ["--mutual"], ["--digest", "sha1"]]) {
  Deno.test(`hmac_auth ${form.join(" ")}: a client with the secret is greeted and echoed`, async () => {
    await using server = await startServer(SERVER, form, { env });
    const { code, stdout, stderr } = await ask(server, [...form, "-m", "hello"]);
    assertEquals([code, stdout], [0, "welcome\nhello\n"]);
    assertMatch(stderr, form.includes("sha1") ? /^hmac_auth: --digest sha1 is for/ : /^$/);
    assertMatch(await server.printed("hello"), /^127\.0\.0\.1:\d+ hello$/);
  });
  Deno.test(`hmac_auth ${form.join(" ")}: another secret ends in silence, one log line, and exit code 1`, async () => {
    await using server = await startServer(SERVER, form, { env });
    const { code, stdout, stderr } = await ask(server, [...form, "-m", "hello"], "a guess");
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /hmac_auth: prove who we are: .*is the secret the same/);
    await server.logged(/127\.0\.0\.1:\d+: closed: Cannot verify the client: wrong answer/);
    assertEquals(server.stderr.all.filter((line) => line.includes("closed")).length, 1);
  });
}

Deno.test("hmac_auth: every kind of failure is the same silence, and a log line", async () => {
  await using server = await startServer(SERVER, [], { env });
  let earlier = new Uint8Array() as Uint8Array;
  assertEquals(await tryAnswer(server, (challenge) => earlier = answer(secret, challenge)), encodeText("welcome\n"));
  const failures: [string, (challenge: Uint8Array) => Uint8Array, RegExp][] = [
    ["replayed", () => earlier, /wrong answer/],
    ["reflected", (challenge) => challenge, /wrong answer/],
    ["one byte short", (challenge) => answer(secret, challenge).subarray(1), /closed the connection after 31/],
    ["empty", () => new Uint8Array(), /closed the connection after 0/],
    ["a megabyte", () => new Uint8Array(2 ** 20), /wrong answer/],
    ["the other digest's", (challenge) => answer(secret, challenge, "sha1"), /wrong answer/],
  ];
  for (const [name, respond] of failures) assertEquals(await tryAnswer(server, respond), new Uint8Array(), name);
  assertEquals(await tryAnswer(server, (challenge) => answer(secret, challenge)), encodeText("welcome\n"));
  const { stderr } = await server.stop();
  const lines = stderr.split("\n");
  assertEquals(lines.length, failures.length, stderr);
  failures.forEach(([name, , log], i) => assertMatch(lines[i]!, log, name));
});

Deno.test("hmac_auth: an answer that never ends or never comes is over after 10 s", async () => {
  await using server = await startServer(SERVER, [], { env });
  const silent = tryAnswer(server, () => new Uint8Array(), { close: false });
  const unfinished = tryAnswer(server, () => new Uint8Array(31), { close: false });
  assertEquals(await Promise.all([silent, unfinished]), [new Uint8Array(), new Uint8Array()]);
  await server.logged("closed: no answer within 10 s");
});

Deno.test("hmac_auth --mutual: a false server learns one proof and gets nothing more", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const client = run(CLIENT, ["127.0.0.1", `${listener.addr.port}`, "--mutual", "-m", "top secret"], { env });
  using connection = new TcpConnection(await inTime(listener.accept(), "the client"));
  listener.close();
  const proof = new Uint8Array(64);
  await writeAll(connection, new Uint8Array(32));
  await readFull(connection, proof);
  const nonce = proof.subarray(0, 32);
  assertEquals(proof.subarray(32), mutualMac(secret, "client", new Uint8Array(32), nonce));
  await writeAll(connection, proof.subarray(32)); // reflected
  assertEquals(await inTime(connection.read(new Uint8Array(1)), "the client"), null);
  const { code, stdout, stderr } = await client;
  assertEquals([code, stdout], [1, ""]);
  assertStringIncludes(stderr, "Cannot verify the server: wrong answer");
});

Deno.test("hmac_auth: the secret comes from a file that only its owner can read, or the environment", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/secret.key`;
    await Deno.writeTextFile(file, `${SECRET}\n`, { mode: 0o600 });
    await using server = await startServer(SERVER, ["--secret-file", file]);
    assertEquals((await ask(server, ["-m", "hi"])).stdout, "welcome\nhi\n");
    await Deno.chmod(file, 0o640);
    const readable = await run(SERVER, ["--secret-file", file]);
    assertEquals([readable.code, readable.stdout], [1, ""]);
    assertEquals(readable.stderr, `hmac_auth: read the secret from ${file}: others may read it (chmod 600 ${file})\n`);
    const missing = await run(SERVER, ["--secret-file", `${folder}/no.key`]);
    assertEquals(missing.code, 1);
    assertStringIncludes(
      missing.stderr,
      `(a new one, for both ends: (umask 077; openssl rand -hex 32 > ${folder}/no.key))`,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const none = await run(SERVER, []);
  assertEquals([none.code, none.stdout], [2, ""]);
  assertMatch(none.stderr, /^hmac_auth: there is no secret \(--secret-file FILE, or NETLAB_SECRET .*\)\n$/);
  const both = await run(SERVER, ["--mutual", "--digest", "sha1"], { env });
  assertEquals(both.code, 2);
});

Deno.test("hmac_auth: a secret of any bytes is used as it is, but for one line end", async () => {
  await using folder = new TestFolder();
  const random = Uint8Array.from({ length: 32 }, (_, i) => 0xff - 3 * i); // hardly anything of it is UTF-8
  const file = await folder.write("secret.key", concat([random, encodeText("\r\n")]));
  await using server = await startServer(SERVER, ["--secret-file", file]);
  assertEquals(await tryAnswer(server, (challenge) => answer(random, challenge)), encodeText("welcome\n"));
  const other = await folder.write("other.key", random.map((byte) => byte ^ 1));
  const { code, stdout } = await run(CLIENT, ["127.0.0.1", `${server.port}`, "--secret-file", other, "-m", "hello"]);
  assertEquals([code, stdout], [1, ""]);
});

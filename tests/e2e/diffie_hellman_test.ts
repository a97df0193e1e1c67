import { concat } from "@std/bytes";
import { encodeText } from "../../lib/bytes.ts";
import { agreeAsClient } from "../../lib/diffie_hellman.ts";
import { converse } from "../../lib/net/converse.ts";
import { TcpConnection, writeAll } from "../../lib/net/tcp.ts";
import { PROGRAMS } from "../../lib/programs.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { inTime, type Output, run, startServer } from "../harness.ts";

const SERVER = "servers/diffie_hellman";
const CLIENT = "clients/diffie_hellman";
const MITM = "servers/dh_mitm";
const ANONYMOUS = ["--anonymous", "insecure"];
const FINGERPRINT = /key fingerprint ((?:[0-9a-f]{4} ){8})\((\w+)\)/;
const PSK = new Uint8Array(32).fill(0xa5).toBase64();

function ask(
  server: { readonly port: number },
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Output> {
  return run(CLIENT, ["127.0.0.1", `${server.port}`, ...args], { env });
}

function fingerprint(text: string): string {
  return FINGERPRINT.exec(text)![1]!;
}

/** The options of both ends, in each mode, with files in `folder`. */
async function modes(
  folder: TestFolder,
): Promise<Record<string, { readonly server: string[]; readonly client: string[] }>> {
  const psk = await folder.write("shared psk", `${PSK}\n`);
  const [server, client] = [`${folder.path}/server.pem`, `${folder.path}/client.pem`];
  const made = await Promise.all([run(SERVER, ["--sign", server]), run(CLIENT, ["--sign", client])]);
  assertEquals(made.map(({ code }) => code), [2, 2]); // a key is made; whom to trust remains to be said
  return {
    anonymous: { server: ANONYMOUS, client: ANONYMOUS },
    psk: { server: ["--psk-file", psk], client: ["--psk-file", psk] },
    sign: {
      server: ["--sign", server, "--peer", `${client}.pub`],
      client: ["--sign", client, "--peer", `${server}.pub`],
    },
  };
}

Deno.test("diffie_hellman: in each mode both ends print the same fingerprint, and each message comes back", async (t) => {
  await using folder = new TestFolder();
  for (const [mode, { server: serverArgs, client: clientArgs }] of Object.entries(await modes(folder))) {
    await t.step(mode, async () => {
      await using server = await startServer(SERVER, serverArgs);
      const { code, stdout, stderr } = await ask(server, [...clientArgs, "-m", "hello", "-m", "wörld"]);
      assertEquals([code, stdout], [0, "hello\nwörld\n"], stderr);
      const line = await server.printed(FINGERPRINT);
      assertMatch(line, /^127\.0\.0\.1:\d+ key fingerprint .* \(ffdhe3072\)$/);
      assertEquals(fingerprint(line), fingerprint(stderr));
      assertMatch(await server.printed("wörld"), /^127\.0\.0\.1:\d+ wörld$/);
      assertEquals(stderr.includes("nobody is verified"), mode === "anonymous");
      const again = await ask(server, [...clientArgs, "-m", "again"]);
      assert(fingerprint(again.stderr) !== fingerprint(stderr), "the same key twice");
    });
  }
});

Deno.test("diffie_hellman --group: the client chooses the group, and is warned of the smallest", async () => {
  await using server = await startServer(SERVER, ANONYMOUS);
  await server.logged("nobody is verified");
  for (const group of ["x25519", "ffdhe2048", "ffdhe4096"]) {
    const { code, stdout, stderr } = await ask(server, [...ANONYMOUS, "--group", group, "-m", group]);
    assertEquals([code, stdout], [0, `${group}\n`], stderr);
    assertEquals(FINGERPRINT.exec(stderr)![2], group);
    assertEquals(stderr.includes("ffdhe3072 is better"), group === "ffdhe2048");
  }
  assertEquals((await ask(server, [...ANONYMOUS, "--group", "ffdhe1024", "-m", "x"])).code, 2);
});

Deno.test("diffie_hellman: whoever listens finds neither the message nor an identity in what passes", async () => {
  await using folder = new TestFolder();
  const { sign } = await modes(folder);
  await using server = await startServer(SERVER, sign!.server);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const asking = run(CLIENT, ["127.0.0.1", `${listener.addr.port}`, ...sign!.client, "-m", "top secret"]);
  using client = new TcpConnection(await inTime(listener.accept(), "the client"));
  listener.close();
  using target = new TcpConnection(await server.connect());
  const seen: Uint8Array[] = [];
  const relay = async (from: TcpConnection, to: TcpConnection) => {
    const buffer = new Uint8Array(1024);
    for (let count; (count = await from.read(buffer)) !== null;) {
      seen.push(buffer.slice(0, count));
      await writeAll(to, buffer.subarray(0, count));
    }
    await to.closeWrite().catch(() => {}); // it may have closed both sides
  };
  await inTime(Promise.all([relay(client, target), relay(target, client)]), "the end of both streams");
  assertEquals((await asking).stdout, "top secret\n");
  const bytes = concat(seen).toHex();
  assert(!bytes.includes(encodeText("top secret").toHex()));
  for (const name of ["server", "client"]) {
    const pem = await Deno.readTextFile(`${folder.path}/${name}.pem.pub`);
    const raw = Uint8Array.fromBase64(pem.split("\n")[1]!).subarray(-32);
    assert(!bytes.includes(raw.toHex()), name);
  }
});

Deno.test("diffie_hellman: someone in between reads the anonymous mode, and both ends notice him in the others", async (t) => {
  await using folder = new TestFolder();
  for (const [mode, { server: serverArgs, client: clientArgs }] of Object.entries(await modes(folder))) {
    await t.step(mode, async () => {
      await using server = await startServer(SERVER, serverArgs);
      await using mitm = await startServer(MITM, ["--to", `127.0.0.1:${server.port}`]);
      const { code, stdout, stderr } = await ask(mitm, [...clientArgs, "-m", "meet me at nine"]);
      if (mode === "anonymous") {
        assertEquals([code, stdout], [0, "meet me at nine\n"]);
        await mitm.printed(/^127\.0\.0\.1:\d+ client: meet me at nine$/);
        await mitm.printed(/^127\.0\.0\.1:\d+ server: meet me at nine$/);
        const seen = [await mitm.printed("the client's key"), await mitm.printed("the server's key")].map(fingerprint);
        assertEquals([fingerprint(stderr), fingerprint(await server.printed(FINGERPRINT))], seen);
        assert(seen[0] !== seen[1], "only this tells");
      } else {
        assertEquals([code, stdout], [1, ""]);
        assertMatch(stderr, /^diffie_hellman: agree on a key: Cannot verify the server: [^\n]+\n$/);
        await server.logged(/closed: Cannot verify the client: /);
        const { stdout: screen } = await server.stop();
        assertMatch(screen, /^listening on [^\n]+$/);
      }
    });
  }
});

Deno.test("diffie_hellman: another key ends in silence, one log line, and exit code 1", async () => {
  await using folder = new TestFolder();
  const { sign } = await modes(folder);
  await run(CLIENT, ["--sign", `${folder.path}/stranger.pem`]);
  const stranger = ["--sign", `${folder.path}/stranger.pem`, "--peer", `${folder.path}/server.pem.pub`];
  await using server = await startServer(SERVER, sign!.server);
  const { code, stdout, stderr } = await ask(server, [...stranger, "-m", "let me in"]);
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /wait for the reply: .* \(the server says nothing to strangers: /);
  await server.logged(/closed: Cannot verify the client: its key is not the one that is pinned$/);
  await using psk = await startServer(SERVER, [], { env: { NETLAB_PSK: PSK } });
  const guess = await ask(psk, ["-m", "let me in"], { NETLAB_PSK: new Uint8Array(32).toBase64() });
  assertEquals([guess.code, guess.stdout], [1, ""]);
  assertStringIncludes(guess.stderr, "agree on a key: Cannot verify the server: it has another secret");
  assertEquals((await ask(psk, ["-m", "hello"], { NETLAB_PSK: PSK })).stdout, "hello\n");
});

Deno.test("diffie_hellman: ends of different modes part with a hint", async () => {
  await using server = await startServer(SERVER, ANONYMOUS);
  const { code, stderr } = await ask(server, ["-m", "hello"], { NETLAB_PSK: PSK });
  assertEquals(code, 1);
  assertMatch(stderr, /^diffie_hellman: agree on a key: .* \(.*does it have our mode.*\)\n$/);
  await server.logged("closed: Cannot agree on a key: the client wants mode psk, here it is anonymous");
});

Deno.test("diffie_hellman: garbage, silence and half a hello end one connection each, the last two after 10 s", async () => {
  await using server = await startServer(SERVER, [], { env: { NETLAB_PSK: PSK } });
  const send = async (bytes: Uint8Array) => {
    using connection = new TcpConnection(await server.connect());
    await writeAll(connection, bytes);
    const end = inTime(connection.read(new Uint8Array(1)), "the server's end");
    assertEquals(await end.catch((error) => error instanceof Deno.errors.ConnectionReset ? null : error), null);
  };
  const hello = agreeAsClient({ group: "x25519", authentication: { mode: "psk", psk: new Uint8Array(32) } })
    .next(new Uint8Array()).value as { send: Uint8Array };
  const late = [send(new Uint8Array()), send(hello.send.subarray(0, 50))];
  await send(encodeText("GET / HTTP/1.1\r\n\r\n"));
  await server.logged("closed: Cannot accept hello of 18245 bytes: limit is 1024 bytes");
  await send(concat([Uint8Array.of(0, 8), encodeText("whatever")]));
  await server.logged("closed: Cannot read hello: it is not one of netlab diffie_hellman/1");
  assertEquals((await ask(server, ["-m", "hello"], { NETLAB_PSK: PSK })).stdout, "hello\n");
  await Promise.all(late);
  await server.logged("closed: no answer within 10 s");
});

Deno.test("diffie_hellman: a message that was changed ends the connection, and nothing of it is printed", async () => {
  await using server = await startServer(SERVER, ANONYMOUS);
  using connection = new TcpConnection(await server.connect());
  const session = await converse(connection, agreeAsClient({ group: "x25519", authentication: { mode: "anonymous" } }));
  const sealed = session.send.seal(encodeText("pay 10"));
  sealed[4]! ^= 1;
  await writeAll(connection, concat([Uint8Array.of(0, 0, 0, sealed.length), sealed]));
  assertEquals(await inTime(connection.read(new Uint8Array(1)), "the server's end"), null);
  await server.logged("closed: Cannot decrypt: another key, or something was changed");
  assertEquals(server.stdout.all.filter((line) => line.includes("pay")), []);
});

Deno.test("diffie_hellman: who is verified, and how, must be said, once and rightly", async (t) => {
  await using folder = new TestFolder();
  const short = await folder.write("short", new Uint8Array(31).toBase64());
  const words = await folder.write("words", "correct horse battery staple!");
  const pem = await folder.write("key.pem", "no key");
  const cases: [string[], RegExp][] = [
    [[], /^diffie_hellman: who is to be verified, and how\? \(--psk-file FILE, --sign FILE --peer FILE, or/],
    [["--anonymous"], /--anonymous needs a value: --anonymous insecure/],
    [["--anonymous", "yes"], /--anonymous: "yes" is not insecure/],
    [[...ANONYMOUS, "--psk-file", short], /exclude each other/],
    [["--peer", short, ...ANONYMOUS], /--peer goes with --sign/],
    [["--psk-file", short], /short: the pre-shared key has 31 bytes, not 32 \(a new one: openssl rand -base64 32\)/],
    [["--psk-file", words], /words: the pre-shared key is no base64/],
  ];
  for (const path of [SERVER, CLIENT] as const) {
    for (const [args, expected] of cases) {
      await t.step(`${path} ${args.join(" ")}`, async () => {
        const { code, stdout, stderr } = await run(path, args);
        assertEquals([code, stdout], [2, ""], stderr);
        assertMatch(stderr, expected);
        assertMatch(stderr, /^[^\n]+\n$/);
        assert(!stderr.includes("horse"), "the secret is told");
      });
    }
    await t.step(`${path}: a file that is no key`, async () => {
      const { code, stderr } = await run(path, ["--sign", pem, "--peer", pem]);
      assertEquals(code, 1);
      assertStringIncludes(stderr, `use ${pem}: cannot read key: it is no Ed25519 private key in PEM`);
    });
  }
});

Deno.test("diffie_hellman: a secret that others may read is refused, and a made key is private", async () => {
  await using folder = new TestFolder();
  const psk = await folder.write("psk", PSK, 0o640);
  const { code, stderr } = await run(SERVER, ["--psk-file", psk]);
  assertEquals([code, stderr], [
    1,
    `diffie_hellman: read the pre-shared key from ${psk}: others may read it (chmod 600 ${psk})\n`,
  ]);
  const key = `${folder.path}/keys/new.pem`;
  const both = await Promise.all([run(SERVER, ["--sign", key]), run(CLIENT, ["--sign", key])]); // at the same time
  for (const { code, stderr } of both) {
    assertEquals(code, 2);
    assertMatch(stderr, /--sign needs --peer FILE, the other end's public key/);
  }
  assertEquals(both.filter(({ stderr }) => stderr.includes(`made a key: ${key}; give ${key}.pub`)).length, 1);
  assertEquals((await Deno.stat(key)).mode! & 0o777, 0o600);
  assertEquals(Array.from(Deno.readDirSync(`${folder.path}/keys`), ({ name }) => name).toSorted(), [
    "new.pem",
    "new.pem.pub",
  ]);
});

Deno.test("diffie_hellman: a public key where the private one belongs, or the reverse, is refused", async () => {
  await using folder = new TestFolder();
  const key = `${folder.path}/key.pem`;
  await run(SERVER, ["--sign", key]);
  const swapped = await run(SERVER, ["--sign", key, "--peer", key]);
  assertEquals(swapped.code, 1);
  assertStringIncludes(swapped.stderr, "no Ed25519 public key in PEM");
});

Deno.test("dh_mitm: wants a server to stand before", async () => {
  const { code, stderr } = await run(MITM, []);
  assertEquals(code, 2);
  assertStringIncludes(stderr, "--to HOST:PORT is needed");
  assertEquals(PROGRAMS[MITM].permissions, ["-N"]); // it has no secrets to read
});

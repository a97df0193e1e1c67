import { encodeText } from "../../lib/bytes.ts";
import { encodeFrame } from "../../lib/framing.ts";
import { readFrames } from "../../lib/net/frames.ts";
import { TcpConnection, writeAll } from "../../lib/net/tcp.ts";
import { encryptMessage, RsaPrivateKey, signReply } from "../../lib/rsa.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { inTime, type Output, run, type RunningServer, runTool, startServer, testWith } from "../harness.ts";

const SERVER = "servers/rsa";
const CLIENT = "clients/rsa";
const [KEY, OTHER] = await Promise.all([RsaPrivateKey.generate(), RsaPrivateKey.generate()]);

/** Starts a server with a key of the tests. */
async function serve(folder: TestFolder, args: readonly string[] = [], key = KEY): Promise<RunningServer> {
  const file = await folder.write(`${key === KEY ? "key" : "other"}.pem`, key.toPem());
  return await startServer(SERVER, ["--key", file, ...args]);
}

function ask(
  port: number,
  folder: TestFolder,
  args: readonly string[],
  stdin: string | Uint8Array = "",
): Promise<Output> {
  return run(CLIENT, ["127.0.0.1", `${port}`, "--pin", `${folder.path}/server.pub`, ...args], { stdin });
}

Deno.test("rsa: the client fetches the key and pins it, the server decrypts, prints and signs a receipt", async () => {
  await using folder = new TestFolder();
  await using server = await serve(folder);
  await server.logged(`public key ${KEY.publicKey.fingerprint}`);
  const { code, stdout, stderr } = await ask(server.port, folder, ["-m", "hello", "-m", "wörld"]);
  assertEquals([code, stdout], [0, "received 5 bytes\nreceived 6 bytes\n"], stderr);
  assertStringIncludes(
    stderr,
    `first contact: the server's key is ${KEY.publicKey.fingerprint}, kept in ${folder.path}`,
  );
  assertMatch(await server.printed("hello"), /^127\.0\.0\.1:\d+ hello$/);
  const again = await ask(server.port, folder, ["-m", "again"]);
  assertEquals(again, { code: 0, stdout: "received 5 bytes\n", stderr: "" });
});

Deno.test("rsa: a message of any length up to the server's limit; beyond it one line and a hint", async () => {
  await using folder = new TestFolder();
  await using server = await serve(folder, ["-q"]);
  for (const length of [0, 318, 319, 1_000_000]) {
    const { stdout } = await ask(server.port, folder, [], "a".repeat(length) + "\n");
    assertEquals(stdout, `received ${length} bytes\n`);
  }
  const { code, stderr } = await ask(server.port, folder, [], "a".repeat(2 ** 20) + "\n");
  assertEquals(code, 1);
  assertMatch(stderr, /^rsa: exchange messages: [^\n]+\n$/);
  await server.logged(/closed: Cannot accept frame of \d+ bytes: limit is 1048576 bytes$/);
});

Deno.test("rsa: another key than the pinned one is refused, with the file's name, before anything is sent", async () => {
  await using folder = new TestFolder();
  await folder.write("server.pub", OTHER.publicKey.toPem());
  await using server = await serve(folder);
  const { code, stdout, stderr } = await ask(server.port, folder, ["-m", "top secret"]);
  assertEquals([code, stdout], [1, ""]);
  const file = `${folder.path}/server.pub`;
  assertEquals(
    stderr,
    `rsa: verify the server: its key is not the one in ${file}: it is another server, or someone in between ` +
      `(if the server really has a new key: remove ${file})\n`,
  );
  const { stdout: screen } = await server.stop();
  assert(!screen.includes("secret"));
});

Deno.test("rsa: the server's key is made once, private, and kept; two servers that start at once share it", async () => {
  await using folder = new TestFolder();
  const env = { XDG_CONFIG_HOME: folder.path };
  const start = () => startServer(SERVER, [], { env });
  const file = `${folder.path}/netlab/rsa.pem`;
  const keys: string[] = [];
  {
    await using one = await start();
    keys.push(await one.logged(/public key SHA256:/));
    await one.logged(`made a key: ${file}`);
    assertEquals([(await Deno.stat(file)).mode! & 0o777, (await Deno.stat(`${folder.path}/netlab`)).mode! & 0o777], [
      0o600,
      0o700,
    ]);
  }
  {
    await using again = await start();
    keys.push(await again.logged(/public key SHA256:/));
    assertEquals(again.stderr.all.filter((line) => line.includes("made a key")), []);
  }
  assertEquals(keys[0], keys[1]);
  await Deno.remove(file);
  const [first, second] = await Promise.all([start(), start()]);
  await using two = first;
  await using three = second;
  assertEquals(await two.logged(/public key SHA256:/), await three.logged(/public key SHA256:/));
  await Deno.chmod(file, 0o644);
  const refused = await run(SERVER, [], { env });
  assertEquals([refused.code, refused.stdout], [1, ""]);
  assertEquals(refused.stderr, `rsa: read the private key from ${file}: others may read it (chmod 600 ${file})\n`);
});

Deno.test("rsa: without a place for the key the user is told how to name one", async () => {
  for (const [path, option] of [[SERVER, "--key"], [CLIENT, "--pin"]] as const) {
    const { code, stderr } = await run(path, path === CLIENT ? ["-m", "x"] : [], {
      env: { HOME: "", XDG_CONFIG_HOME: "" },
    });
    assertEquals(code, 2);
    assertStringIncludes(stderr, `$HOME is not set (name one: ${option} FILE)`);
  }
});

Deno.test("rsa: garbage, a message for another key and a changed one end their connections; the next is served", async () => {
  await using folder = new TestFolder();
  await using server = await serve(folder);
  const send = async (bytes: Uint8Array) => {
    using connection = new TcpConnection(await server.connect());
    const frames = readFrames(connection);
    assertEquals((await frames.next()).value, KEY.publicKey.der);
    await writeAll(connection, bytes);
    const next = inTime(frames.next(), "the server's end");
    assertEquals((await next.catch(() => ({ done: true }))).done, true); // a reset, where more was sent than was read
  };
  await send(encodeText("GET / HTTP/1.1\r\n\r\n"));
  await server.logged("closed: Cannot accept frame of 1195725856 bytes");
  await send(encodeFrame(encodeText("hello")));
  await server.logged("closed: Cannot read DER: the tag is 104, not 48");
  await send(encodeFrame(encryptMessage(OTHER.publicKey, encodeText("hello"))));
  await server.logged("closed: Cannot decrypt message: it is for another key, or it was changed");
  const changed = encryptMessage(KEY.publicKey, encodeText("hello"));
  changed[changed.length - 1]! ^= 1;
  await send(encodeFrame(changed));
  assertEquals((await ask(server.port, folder, ["-m", "hello"])).stdout, "received 5 bytes\n");
  const { stderr } = await server.stop();
  assertEquals(stderr.match(/Cannot decrypt message: it is for another key, or it was changed/g)!.length, 2);
});

Deno.test("rsa: a false server is noticed: no key, a key without end, a reply that another key has signed", async () => {
  await using folder = new TestFolder();
  const meet = async (key: Uint8Array, reply: (request: Uint8Array) => Uint8Array) => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const asking = ask(listener.addr.port, folder, ["-m", "hello"]);
    using connection = new TcpConnection(await inTime(listener.accept(), "the client"));
    listener.close();
    await writeAll(connection, encodeFrame(key));
    for await (const request of readFrames(connection)) await writeAll(connection, encodeFrame(reply(request)));
    const { code, stdout, stderr } = await asking;
    assertEquals([code, stdout], [1, ""]);
    return stderr;
  };
  const receipt = encodeText("received 5 bytes");
  const never = () => receipt;
  assertStringIncludes(
    await meet(encodeText("no key"), never),
    "rsa: fetch the server's key: Cannot read key: it is no RSA key",
  );
  assertStringIncludes(await meet(new Uint8Array(16 * 1024 + 1), never), "Cannot accept frame of 16385 bytes");
  const replies: ((request: Uint8Array) => Uint8Array)[] = [
    (request) => signReply(OTHER, request, receipt),
    () => signReply(KEY, encodeText("another request"), receipt),
    () => receipt,
  ];
  for (const reply of replies) {
    assertStringIncludes(
      await meet(KEY.publicKey.der, reply),
      "rsa: exchange messages: Cannot verify the server: its signature is wrong",
    );
  }
});

Deno.test("rsa encrypt, rsa decrypt: a file survives, whatever is in it", async () => {
  await using folder = new TestFolder();
  const content = Uint8Array.from({ length: 100_000 }, (_, i) => i * i >> 3);
  const file = await folder.write("a file", content);
  const [key, pub] = [await folder.write("key.pem", KEY.toPem()), await folder.write("key.pub", KEY.publicKey.toPem())];
  assertEquals(await run(CLIENT, ["encrypt", file, "--to", pub]), { code: 0, stdout: "", stderr: "" });
  const sealed = await Deno.readFile(`${file}.cms`);
  assert(sealed.length < content.length + 1000);
  await Deno.remove(file);
  assertEquals(await run(CLIENT, ["decrypt", `${file}.cms`, "--key", key]), { code: 0, stdout: "", stderr: "" });
  assertEquals(await Deno.readFile(file), content as Uint8Array<ArrayBuffer>);
});

Deno.test("rsa decrypt: a damaged file, a cut one or one for another key leaves nothing behind", async () => {
  await using folder = new TestFolder();
  const key = await folder.write("key.pem", KEY.toPem());
  const sealed = encryptMessage(KEY.publicKey, new Uint8Array(5000));
  const damaged = sealed.slice();
  damaged[3000]! ^= 1;
  for (
    const wrong of [
      damaged,
      sealed.subarray(0, -1),
      encryptMessage(OTHER.publicKey, new Uint8Array(10)),
      new Uint8Array(),
    ]
  ) {
    const file = await folder.write("file.cms", wrong);
    const { code, stdout, stderr } = await run(CLIENT, ["decrypt", file, "--key", key]);
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /^rsa: decrypt [^\n]+: Cannot (decrypt message|read DER): [^\n]+\n$/);
    assertEquals(Array.from(Deno.readDirSync(folder.path), ({ name }) => name).toSorted(), ["file.cms", "key.pem"]);
  }
});

testWith(["root", "mount"], "rsa encrypt, rsa decrypt: a disk that is full has no part of the file", async () => {
  await using folder = new TestFolder();
  const [key, pub] = [await folder.write("key.pem", KEY.toPem()), await folder.write("key.pub", KEY.publicKey.toPem())];
  const content = new Uint8Array(2 ** 20);
  const plain = await folder.write("file", content);
  const sealed = await folder.write("file.cms", encryptMessage(KEY.publicKey, content));
  const disk = `${folder.path}/disk`;
  await Deno.mkdir(disk);
  const mounted = await runTool("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]);
  if (mounted.code !== 0) return console.log(`skipped: mount: ${mounted.stderr}`);
  try {
    for (const args of [["encrypt", plain, "--to", pub], ["decrypt", sealed, "--key", key]]) {
      const { code, stderr } = await run(CLIENT, [...args, "--output", `${disk}/out`]);
      assertEquals(code, 1);
      assertStringIncludes(stderr, `rsa: write ${disk}/out: no space left on device`);
      assertEquals(Array.from(Deno.readDirSync(disk)), []);
    }
  } finally {
    await runTool("umount", [disk]);
  }
});

Deno.test("rsa encrypt, rsa decrypt: nothing is overwritten, and what is missing or wrong is named", async () => {
  await using folder = new TestFolder();
  const key = await folder.write("key.pem", KEY.toPem());
  const file = await folder.write("file", "precious");
  const pub = await folder.write("key.pub", KEY.publicKey.toPem());
  await folder.write("file.cms", "taken");
  const cases: [string[], number, string][] = [
    [["encrypt"], 2, "encrypt needs a FILE"],
    [["encrypt", file], 2, "encrypt needs --to FILE, the recipient's public key"],
    [["decrypt", file], 2, "decrypt needs --key FILE, our private key"],
    [["decrypt", file, "--key", key], 2, "decrypt needs --output FILE where the name does not end with .cms"],
    [["encrypt", file, "--to", pub], 1, `write ${file}.cms: file exists`],
    [["encrypt", file, "--to", key], 1, "it is a private one, not to be told"],
    [["encrypt", `${file}s`, "--to", pub], 1, `read ${file}s: no such file`],
    [["decrypt", `${file}.cms`, "--key", pub], 1, "it is no RSA key"],
    [["decrypt", `${file}.cms`, "--key", key], 1, "(it should be CMS in DER, as encrypt makes it, or openssl cms"],
  ];
  for (const [args, code, message] of cases) {
    const output = await run(CLIENT, args);
    assertEquals([output.code, output.stdout], [code, ""], output.stderr);
    assertStringIncludes(output.stderr, message);
    assertMatch(output.stderr, /^[^\n]+\n$/);
  }
  assertEquals(await Deno.readTextFile(`${file}.cms`), "taken");
  assertMatch((await run(CLIENT, ["encrypt", "--help"])).stdout, /usage: .*clients\/rsa\.ts \[ACTION\] \[FILE\]/);
});

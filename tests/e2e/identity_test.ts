import { fingerprint, formatKnownHost, formatPublicKey, parsePublicKey } from "../../lib/identity.ts";
import { AttemptError } from "../../lib/net/failure.ts";
import { AuthorizedKeys, keepIdentity, knownKeys, loadIdentity, verifyServer } from "../../lib/net/identity.ts";
import { createWhole } from "../../lib/net/key_files.ts";
import { programName, type ProgramPath, runCommand } from "../../lib/programs.ts";
import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { type Output, run, runTool, testWith } from "../harness.ts";

const KEYS = "clients/keys";
const HOST = "localhost:9007";
const [KEY, OTHER] = [1, 2].map((byte) => new Uint8Array(32).fill(byte)) as [Uint8Array, Uint8Array];
const known = (key: Uint8Array, { host = HOST, revoked = false } = {}) =>
  `${formatKnownHost({ host, key, revoked, comment: "" })}\n`;

function keys(folder: TestFolder, ...args: string[]): Promise<Output> {
  return run(KEYS, args, { env: { XDG_CONFIG_HOME: `${folder.path}/config` } });
}

async function modeOf(path: string): Promise<number> {
  return (await Deno.lstat(path)).mode! & 0o777;
}

Deno.test("keys new: a private key that only its owner can read, its public half beside it, in a folder of one's own", async () => {
  await using folder = new TestFolder();
  const { code, stdout, stderr } = await keys(folder, "new", "--comment", "alice of sales");
  const file = `${folder.path}/config/netlab/identity.pem`;
  assertEquals([code, stderr], [0, `keys: made ${file} and ${file}.pub\n`]);
  const { key, comment } = parsePublicKey(stdout);
  assertEquals(comment, "alice of sales");
  assertEquals(await Deno.readTextFile(`${file}.pub`), stdout);
  assertEquals([await modeOf(file), await modeOf(`${folder.path}/config/netlab`)], [0o600, 0o700]);
  assertEquals((await loadIdentity(file)).publicKey, key);
  assertEquals(await keys(folder, "show"), {
    code: 0,
    stdout: `${formatPublicKey({ key, comment: "" })}\n`,
    stderr: "",
  });
  const print = { code: 0, stdout: `${fingerprint(key)}\n`, stderr: "" };
  assertEquals(await keys(folder, "fingerprint"), print);
  assertEquals(await keys(folder, "fingerprint", `${file}.pub`), print);
});

Deno.test("keys: a key is never overwritten; a missing action or file, or one that is no key, is one line", async () => {
  await using folder = new TestFolder();
  const taken = await folder.write("taken.pem", "precious");
  const pub = await folder.write("no.pub", "ssh-ed25519 AAAA");
  const none = `${folder.path}/none.pem`;
  for (
    const [args, code, line] of [
      [["new", taken], 1, `keep a new key in ${taken}: the file is there already (`],
      [["new", `${folder.path}/new.pub`], 2, `${folder.path}/new.pub is the name of a public key`],
      [["show", taken], 1, `use ${taken}: cannot read key: it is no X25519 private key in PEM`],
      [["show", none], 1, `${none}: no such file or directory (make one: ${runCommand(KEYS)} new ${none})`],
      [["fingerprint", none], 1, `${none}: no such file or directory (make one: ${runCommand(KEYS)} new ${none})`],
      [["fingerprint"], 1, `(make one: ${runCommand(KEYS)} new ${folder.path}/config/netlab/identity.pem)`],
      [["fingerprint", `${none}.pub`], 1, "none.pem.pub: no such file or directory\n"],
      [["fingerprint", pub], 1, "it is no public key: np-x25519 and 32 bytes in base64"],
      [[], 2, "there is no action: new, show or fingerprint"],
      [
        ["new", none, "--comment", `eve\n${formatPublicKey({ key: KEY, comment: "" })}`],
        2,
        "--comment: it is more than one line",
      ],
      [["delete"], 2, 'ACTION: "delete" is not one of new, show, fingerprint'],
    ] as const
  ) {
    const output = await keys(folder, ...args);
    assertEquals([output.code, output.stdout], [code, ""], output.stderr);
    assertMatch(output.stderr, /^keys: [^\n]+\n$/);
    assertStringIncludes(output.stderr.toLowerCase(), line.toLowerCase());
  }
  assertEquals(await Deno.readTextFile(taken), "precious");
});

Deno.test("a private key that others may read, or that is a link, is refused with what to do", async () => {
  await using folder = new TestFolder();
  const file = `${folder.path}/identity.pem`;
  await keys(folder, "new", file);
  for (const mode of [0o640, 0o604, 0o620, 0o601]) {
    await Deno.chmod(file, mode);
    const { code, stderr } = await keys(folder, "show", file);
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      `others may read it (chmod 600 ${file})`,
    );
  }
  await Deno.chmod(file, 0o600);
  await Deno.symlink(file, `${folder.path}/link.pem`);
  assertStringIncludes((await keys(folder, "show", `${folder.path}/link.pem`)).stderr, "it is no plain file");
  assertEquals((await keys(folder, "show", file)).code, 0);
});

Deno.test("keepIdentity() makes one key for all that ask at the same time, and keeps it", async () => {
  await using folder = new TestFolder();
  const file = `${folder.path}/new/identity.pem`;
  let made = 0;
  const all = await Promise.all(Array.from({ length: 8 }, () => keepIdentity(file, () => made++)));
  assertEquals([new Set(all.map(({ publicKey }) => publicKey.toHex())).size, made], [1, 1]);
  assertEquals((await keepIdentity(file, () => made++)).publicKey, all[0]!.publicKey);
  assertEquals(made, 1);
  assertEquals(parsePublicKey(await Deno.readTextFile(`${file}.pub`)).key, all[0]!.publicKey);
});

Deno.test("a server whose key or secret is out of reach says so, and not that it cannot listen", async () => {
  await using folder = new TestFolder();
  const inside = `${await folder.write("file", "no folder")}/key.pem`;
  const cases: [ProgramPath, string[]][] = [
    ["servers/secure_echo", ["--allow-any-client", "--identity", inside]],
    ["servers/rsa", ["--key", inside]],
    ["servers/diffie_hellman", ["--sign", inside, "--peer", inside]],
  ];
  for (const [path, args] of cases) {
    const { code, stderr } = await run(path, ["--port", "0", ...args]);
    assertEquals([code, stderr], [1, `${programName(path)}: look for ${inside}: not a directory\n`]);
  }
  const pub = `${folder.path}/server.pub`;
  const named = await run("servers/secure_echo", ["--port", "0", "--allow-any-client", "--identity", pub]);
  assertEquals([named.code, named.stderr.includes(`${pub} is the name of a public key`)], [2, true], named.stderr);
  const variables: [ProgramPath, string[], string][] = [
    ["servers/secure_echo", ["--allow-any-client"], "HOME"],
    ["servers/hmac_auth", [], "NETLAB_SECRET"],
    ["servers/diffie_hellman", [], "NETLAB_PSK"],
  ];
  for (const [path, args, variable] of variables) {
    const { code, stderr } = await run(path, ["--port", "0", ...args], { permissions: ["-N"] });
    assertEquals(code, 1);
    assertStringIncludes(stderr, `${programName(path)}: read $${variable}: requires env access to "${variable}", run`);
    assertStringIncludes(stderr, `(try: ${runCommand(path)})`);
  }
});

Deno.test("keys new puts FILE.pub in the place of what is there: a file that a link leads to stays as it is", async () => {
  await using folder = new TestFolder();
  const [elsewhere, file] = [await folder.write("elsewhere", "precious"), `${folder.path}/identity.pem`];
  await Deno.symlink(elsewhere, `${file}.pub`);
  const { code, stdout } = await keys(folder, "new", file);
  assertEquals([code, await Deno.readTextFile(`${file}.pub`)], [0, stdout]);
  assertEquals(await Deno.readTextFile(elsewhere), "precious");
  await Deno.mkdir(`${folder.path}/taken.pub`);
  assertEquals((await keys(folder, "new", `${folder.path}/taken`)).code, 1);
  const names = Array.from(Deno.readDirSync(folder.path), ({ name }) => name).sort();
  assertEquals(names, ["elsewhere", "identity.pem", "identity.pem.pub", "taken", "taken.pub"]);
});

testWith(["root", "mount"], "keys new leaves nothing on a disk that is full", async () => {
  await using folder = new TestFolder();
  const disk = `${folder.path}/disk`;
  await Deno.mkdir(disk);
  const mounted = await runTool("mount", ["-t", "tmpfs", "-o", "size=4k", "tmpfs", disk]);
  if (mounted.code !== 0) return console.log(`skipped: mount: ${mounted.stderr}`);
  try {
    await Deno.writeFile(`${disk}/other`, new Uint8Array(4096));
    const { code, stderr } = await keys(folder, "new", `${disk}/identity.pem`);
    assertEquals(code, 1);
    assertStringIncludes(stderr, `keys: keep a new key in ${disk}/identity.pem: no space left on device`);
    assertEquals(Array.from(Deno.readDirSync(disk), ({ name }) => name), ["other"]);
  } finally {
    await runTool("umount", [disk]);
  }
});

testWith(["openssl"], "openssl reads the private keys that we make, and writes ones that we read", async () => {
  await using folder = new TestFolder();
  const [ours, theirs] = [`${folder.path}/ours.pem`, `${folder.path}/theirs.pem`];
  const publicKey = async (file: string) => {
    const { code, stdout, stderr } = await runTool("sh", [
      "-c",
      'openssl pkey -in "$0" -pubout -outform DER | xxd -p -c 99',
      file,
    ]);
    assertEquals([code, stderr], [0, ""]);
    return stdout.trim().slice(-64);
  };
  assertEquals((await keys(folder, "new", ours)).code, 0);
  assertEquals(await publicKey(ours), (await loadIdentity(ours)).publicKey.toHex());
  assertEquals((await runTool("openssl", ["genpkey", "-algorithm", "x25519", "-out", theirs])).code, 0);
  assertEquals(await publicKey(theirs), (await loadIdentity(theirs)).publicKey.toHex());
});

Deno.test("createWhole() does not write through a link that somebody has laid in its way", async () => {
  await using folder = new TestFolder();
  const victim = await folder.write("victim", "precious");
  await Deno.symlink(victim, `${folder.path}/key.0-0-0-0-0`);
  const { randomUUID } = crypto;
  crypto.randomUUID = () => "0-0-0-0-0"; // somebody has guessed it
  try {
    await assertRejects(() => createWhole(`${folder.path}/key`, "secret"), Deno.errors.AlreadyExists);
  } finally {
    crypto.randomUUID = randomUUID;
  }
  assertEquals(await Deno.readTextFile(victim), "precious");
});

Deno.test("AuthorizedKeys: who is in the list may come in, from the moment that it is", async () => {
  await using folder = new TestFolder();
  const file = await folder.write("authorized", "# nobody yet\n");
  const authorized = new AuthorizedKeys(file);
  assertEquals(await authorized.find(KEY), undefined);
  await Deno.writeTextFile(file, `${formatPublicKey({ key: KEY, comment: "alice" })}\n`, { append: true });
  assertEquals((await authorized.find(KEY))?.comment, "alice");
  assertEquals(await authorized.find(OTHER), undefined);
  await Deno.writeTextFile(file, "np-x25519 AAAA\n", { append: true });
  await assertRejects(() => authorized.find(KEY), AttemptError, `read the authorized keys from ${file}: line 3: `);
  await Deno.remove(file);
  await assertRejects(() => authorized.find(KEY), AttemptError, "no such file");
  // Nor what may be there once, as of `--authorized <(keys show)`, or never end.
  await assertRejects(() => new AuthorizedKeys("/dev/null").find(KEY), AttemptError, "it is no plain file");
});

/** A list of servers, and what the user is asked and told. */
class Trust extends TestFolder {
  readonly file = `${this.path}/folder/known_hosts`;
  readonly said: string[] = [];

  async verify(key: Uint8Array, policy: "strict" | "ask" | "accept-new", { answer = true, expected, host = HOST }: {
    answer?: boolean;
    expected?: string;
    host?: string;
  } = {}): Promise<void> {
    const say = (line: string) => void this.said.push(line);
    const ask = (question: string) => (say(question), Promise.resolve(answer));
    const remember = await verifyServer(host, key, { file: this.file, policy, expected, ask, notice: say });
    await remember?.();
  }

  async has(text: string): Promise<void> {
    await Deno.mkdir(`${this.path}/folder`, { recursive: true });
    await Deno.writeTextFile(this.file, text);
  }

  text(): Promise<string> {
    return Deno.readTextFile(this.file);
  }
}

Deno.test("verifyServer() with accept-new remembers a new server, says so, and from then on knows it", async () => {
  await using trust = new Trust();
  await trust.verify(KEY, "accept-new");
  assertEquals(trust.said.length, 1);
  assertStringIncludes(trust.said[0]!, `${HOST} is new: its key ${fingerprint(KEY)} is kept in ${trust.file}`);
  assertEquals(await trust.text(), known(KEY));
  assertEquals(await modeOf(trust.file), 0o600);
  for (const policy of ["strict", "ask", "accept-new"] as const) await trust.verify(KEY, policy);
  await trust.verify(OTHER, "accept-new", { host: "LOCALHOST:9008" });
  assertEquals(await trust.text(), known(KEY) + known(OTHER, { host: "localhost:9008" }));
  assertEquals(await knownKeys(trust.file, "Localhost:9008"), [OTHER]);
});

Deno.test("verifyServer() with ask remembers what the user says yes to, and nothing else", async () => {
  await using trust = new Trust();
  await assertRejects(() => trust.verify(KEY, "ask", { answer: false }), AttemptError, "is not the right one");
  assertEquals(await knownKeys(trust.file, HOST), []);
  await trust.verify(KEY, "ask");
  assertStringIncludes(trust.said[1]!, `its key is ${fingerprint(KEY)}. Is it the right one?`);
  assertEquals(await trust.text(), known(KEY));
});

Deno.test("verifyServer() with strict takes no new server, and says how to", async () => {
  await using trust = new Trust();
  const error = await assertRejects(
    () => trust.verify(KEY, "strict"),
    AttemptError,
    `its key ${fingerprint(KEY)} is not in`,
  );
  assertStringIncludes(error.hint!, "--trust accept-new");
  await assertRejects(() => Deno.lstat(trust.file), Deno.errors.NotFound);
});

Deno.test("verifyServer() refuses a changed or revoked key under every policy, with the file and the line", async () => {
  await using trust = new Trust();
  const before = `# servers\n${known(KEY)}${known(OTHER, { host: "*", revoked: true })}`;
  await trust.has(before);
  for (const policy of ["strict", "ask", "accept-new"] as const) {
    const verify = (byte: number) => () => trust.verify(new Uint8Array(32).fill(byte), policy);
    await assertRejects(verify(3), AttemptError, `is not the one in ${trust.file}, line 2: it is another server`);
    await assertRejects(verify(2), AttemptError, `is revoked in ${trust.file}, line 3`);
  }
  assertEquals([trust.said, await trust.text()], [[], before]);
  assertEquals(await knownKeys(trust.file, HOST), [KEY]);
});

Deno.test("knownKeys() are those of this server that are not revoked", async () => {
  await using trust = new Trust();
  const elsewhere = known(KEY, { host: "localhost:9008" }) + known(KEY, { revoked: true, host: "localhost:9008" });
  for (const host of [HOST, "*"]) {
    await trust.has(known(OTHER) + known(KEY) + known(OTHER, { host, revoked: true }) + elsewhere);
    assertEquals(await knownKeys(trust.file, HOST), [KEY]);
  }
});

Deno.test("verifyServer() with an expected fingerprint needs no list, and writes none", async () => {
  await using trust = new Trust();
  await trust.verify(KEY, "strict", { expected: fingerprint(KEY) });
  await assertRejects(
    () => trust.verify(OTHER, "accept-new", { expected: fingerprint(KEY) }),
    AttemptError,
    `its key is ${fingerprint(OTHER)}, not ${fingerprint(KEY)}`,
  );
  await assertRejects(() => Deno.lstat(trust.file), Deno.errors.NotFound);
});

Deno.test("verifyServer() says which line of the list is wrong", async () => {
  await using trust = new Trust();
  await trust.has(`${known(KEY)}nonsense\n`);
  await assertRejects(
    () => trust.verify(KEY, "ask"),
    AttemptError,
    `read the known hosts from ${trust.file}: line 2: `,
  );
  await Deno.remove(trust.file);
  await Deno.mkdir(trust.file); // what cannot be read is not empty
  await assertRejects(() => trust.verify(KEY, "accept-new"), AttemptError, `read the known hosts from ${trust.file}: `);
});

Deno.test("known hosts: many who remember at the same time lose no line; two keys of one name are never both trusted", async () => {
  await using trust = new Trust();
  await trust.has(known(OTHER).trimEnd()); // no line end
  const hosts = Array.from({ length: 16 }, (_, i) => `host${i}:1`);
  await Promise.all(hosts.map((host) => trust.verify(KEY, "accept-new", { host })));
  assertEquals((await trust.text()).split("\n").length, 18);
  for (const host of hosts) assertEquals(await knownKeys(trust.file, host), [KEY]);
  const all = await Promise.allSettled(
    [1, 2, 3, 4].map((byte) => trust.verify(new Uint8Array(32).fill(byte), "accept-new", { host: "contested:1" })),
  );
  assertEquals(all.filter(({ status }) => status === "fulfilled").length, 1);
  assertEquals((await knownKeys(trust.file, "contested:1")).length, 1);
  const files = Array.from(Deno.readDirSync(`${trust.path}/folder`), ({ name }) => name);
  assertEquals(files.toSorted(), ["known_hosts", "known_hosts.lock"]);
});

Deno.test("known hosts: a list that is a link stays one, and is written where it leads", async () => {
  await using trust = new Trust();
  const real = await trust.write("settings", "# mine\n");
  await Deno.mkdir(`${trust.path}/folder`);
  await Deno.symlink(real, trust.file);
  await trust.verify(KEY, "accept-new");
  assertEquals(await Deno.readLink(trust.file), real);
  assertEquals(await Deno.readTextFile(real), `# mine\n${known(KEY)}`);
});

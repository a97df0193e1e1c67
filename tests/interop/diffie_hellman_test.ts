import { DER_TAG, DerReader, encodeDer } from "../../lib/der.ts";
import { DH_GROUPS, ffdhePrime } from "../../lib/dh_groups.ts";
import { Ed25519Identity, verifyEd25519 } from "../../lib/ed25519.ts";
import { ProtocolError } from "../../lib/errors.ts";
import { hkdfExpand, hkdfExtract } from "../../lib/hkdf.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { run, runTool, startServer, startTool, testWith } from "../harness.ts";
import { testWithVectors } from "../vectors.ts";

const hex = Uint8Array.fromHex;
const { bitString, integer, sequence } = DER_TAG;
const PEER = "tests/interop/peers/diffie_hellman.py";
const PSK = new Uint8Array(32).fill(0xa5).toBase64();
const FIELDS = ["ffdhe2048", "ffdhe3072", "ffdhe4096"] as const;

/** Runs openssl, which must succeed. */
async function openssl(...args: string[]): Promise<void> {
  const { code, stderr } = await runTool("openssl", args);
  assertEquals(code, 0, stderr);
}

for (const name of FIELDS) {
  testWith(["openssl"], `${name}: openssl, with our public value and its own key, has the same secret`, async () => {
    await using folder = new TestFolder();
    const file = (name: string) => `${folder.path}/${name}`;
    await openssl("genpkey", "-algorithm", "DH", "-pkeyopt", `group:${name}`, "-out", file("theirs.pem"));
    await openssl("pkey", "-in", file("theirs.pem"), "-pubout", "-outform", "DER", "-out", file("theirs.der"));
    const info = new DerReader(await Deno.readFile(file("theirs.der"))).enter(sequence);
    const algorithm = info.takeWhole(sequence);
    const theirValue = new DerReader(info.take(bitString).subarray(1)).take(integer);
    const { length, generate } = DH_GROUPS[name];
    const padded = new Uint8Array(length + 1); // an integer has a zero in front where it would be negative
    padded.set(theirValue, padded.length - theirValue.length);
    const ours = generate();
    const first = ours.publicValue.findIndex((byte) => byte !== 0); // an integer has no other zeros in front
    const sign = ours.publicValue[first]! >= 0x80 ? [Uint8Array.of(0)] : [];
    const value = encodeDer(integer, ...sign, ours.publicValue.subarray(first));
    const key = encodeDer(sequence, algorithm, encodeDer(bitString, Uint8Array.of(0), value));
    await folder.write("ours.der", key);
    const peer = ["-peerkey", file("ours.der"), "-peerform", "DER"];
    const pad = ["-pkeyopt", "dh_pad:1"];
    await openssl("pkeyutl", "-derive", "-inkey", file("theirs.pem"), ...peer, ...pad, "-out", file("secret"));
    assertEquals(ours.agree(padded.subarray(1)), new Uint8Array(await Deno.readFile(file("secret"))) as Uint8Array);
  });
}

testWith(["openssl"], "Ed25519: openssl verifies our signatures with our files, and we its own", async () => {
  await using folder = new TestFolder();
  const identity = Ed25519Identity.generate();
  const message = await folder.write("message", "who signed this?");
  const pub = await folder.write("ours.pub", identity.publicPem());
  const signature = await folder.write("signature", identity.sign(await Deno.readFile(message)));
  await openssl("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", pub, "-in", message, "-sigfile", signature);
  await openssl("genpkey", "-algorithm", "ed25519", "-out", `${folder.path}/theirs.pem`);
  const theirs = `${folder.path}/theirs.pem`;
  await openssl("pkeyutl", "-sign", "-rawin", "-inkey", theirs, "-in", message, "-out", signature);
  const { publicKey } = Ed25519Identity.fromPem(await Deno.readTextFile(theirs));
  assert(verifyEd25519(publicKey, await Deno.readFile(message), await Deno.readFile(signature)));
});

testWith(["openssl"], "diffie_hellman --sign takes the keys of openssl genpkey", async () => {
  await using folder = new TestFolder();
  for (const name of ["server", "client"].map((name) => `${folder.path}/${name}`)) {
    await openssl("genpkey", "-algorithm", "ed25519", "-out", name);
    await openssl("pkey", "-in", name, "-pubout", "-out", `${name}.pub`);
    await Deno.chmod(name, 0o600);
  }
  const signing = (own: string, peer: string) => [
    ...["--sign", `${folder.path}/${own}`],
    ...["--peer", `${folder.path}/${peer}.pub`],
  ];
  await using server = await startServer("servers/diffie_hellman", signing("server", "client"));
  const where = ["127.0.0.1", `${server.port}`];
  const { stdout } = await run("clients/diffie_hellman", [...where, ...signing("client", "server"), "-m", "hello"]);
  assertEquals(stdout, "hello\n");
});

testWith(
  ["python3"],
  "diffie_hellman: a Python client that was written from the protocol's page agrees and is answered",
  async () => {
    await using server = await startServer("servers/diffie_hellman", [], { env: { NETLAB_PSK: PSK } });
    const { code, stdout, stderr } = await runTool("python3", [PEER, "client", `${server.port}`]);
    assertEquals(code, 0, stderr);
    const [line, ...texts] = stdout.trim().split("\n");
    assertEquals(texts, ["hello", "from Python"]);
    const printed = await server.printed(/key fingerprint .* \(ffdhe2048\)/);
    assertEquals(line, `fingerprint ${/fingerprint (.*) \(/.exec(printed)![1]!.replaceAll(" ", "")}`);
  },
);

testWith(["python3"], "diffie_hellman: a Python server of the same kind agrees with our client", async () => {
  await using python = startTool("python3", [PEER, "server"]);
  const port = await python.printed(/^\d+$/);
  const args = ["127.0.0.1", port, "--group", "ffdhe2048", "-m", "hello"];
  const { code, stdout, stderr } = await run("clients/diffie_hellman", args, { env: { NETLAB_PSK: PSK } });
  assertEquals([code, stdout], [0, "hello\n"], stderr);
  const line = await python.printed("fingerprint");
  assertEquals(line, `fingerprint ${/fingerprint (.*) \(/.exec(stderr)![1]!.replaceAll(" ", "")}`);
  await python.ended();
});

// --- Public vectors ------------------------------------------------------------------------------------------------

/** The vectors of Project Wycheproof, as far as they are used here. */
interface Wycheproof<Group, Test> {
  readonly testGroups: readonly (Group & { readonly tests: readonly (Test & Verdict)[] })[];
}
interface Verdict {
  readonly tcId: number;
  readonly flags: readonly string[];
  readonly result: "valid" | "invalid" | "acceptable";
}

testWithVectors(["ffdhe_groups.json"], "the finite fields are those of RFC 7919", (content) => {
  const { groups } = content as {
    groups: Record<string, { bits: number; X: number; p: string; minExponentBits: number }>;
  };
  for (const name of FIELDS) {
    const { bits, X, p } = groups[name]!;
    assertEquals(ffdhePrime(bits, BigInt(X)).toString(16), p);
    const value = DH_GROUPS[name].generate().publicValue;
    const square = DH_GROUPS[name].generate().agree(value); // takes it: it is in the subgroup of this very prime
    assertEquals([value.length, square.length], [bits / 8, bits / 8]);
    const notInField = hex(BigInt(`0x${p}`).toString(16));
    assertThrows(() => DH_GROUPS[name].generate().agree(notInField), ProtocolError, "out of range");
  }
});

testWithVectors(["wycheproof_x25519_test.json"], "X25519: all of Wycheproof, small orders refused", (content) => {
  const { testGroups } = content as Wycheproof<object, { public: string; private: string; shared: string }>;
  const cases = testGroups.flatMap(({ tests }) => tests);
  assertEquals(cases.length, 518);
  for (const test of cases) {
    const agree = () => DH_GROUPS.x25519.generate(() => hex(test.private)).agree(hex(test.public)).toHex();
    if (test.flags.includes("ZeroSharedSecret")) assertThrows(agree, ProtocolError, "it is in a small subgroup");
    else assertEquals(agree(), test.shared, `${test.tcId}`);
  }
});

testWithVectors(["wycheproof_ed25519_test.json"], "Ed25519: all of Wycheproof", (content) => {
  type Group = { readonly publicKey: { readonly pk: string } };
  const { testGroups } = content as Wycheproof<Group, { msg: string; sig: string }>;
  assertEquals(testGroups.flatMap(({ tests }) => tests).length, 151);
  for (const { publicKey, tests } of testGroups) {
    for (const { tcId, msg, sig, result } of tests) {
      assertEquals(verifyEd25519(hex(publicKey.pk), hex(msg), hex(sig)), result === "valid", `${tcId}`);
    }
  }
});

testWithVectors(["wycheproof_hkdf_sha256_test.json"], "HKDF-SHA256: all of Wycheproof", (content) => {
  type Test = { ikm: string; salt: string; info: string; size: number; okm: string };
  const cases = (content as Wycheproof<object, Test>).testGroups.flatMap(({ tests }) => tests);
  assertEquals(cases.length, 86);
  for (const test of cases) {
    const derive = () => hkdfExpand(hkdfExtract(hex(test.salt), hex(test.ikm)), hex(test.info), test.size).toHex();
    if (test.result === "valid") assertEquals(derive(), test.okm, `${test.tcId}`);
    else assertThrows(derive, RangeError);
  }
});

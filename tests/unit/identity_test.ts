import fc from "fast-check";
import { concat } from "@std/bytes";
import { UsageError } from "../../lib/errors.ts";
import {
  decideTrust,
  findKey,
  fingerprint,
  formatKnownHost,
  formatPrivateKey,
  formatPublicKey,
  type KnownHost,
  parseAuthorizedKeys,
  parseKnownHosts,
  parsePrivateKey,
  parsePublicKey,
  type TrustPolicy,
} from "../../lib/identity.ts";
import { x25519 } from "../../lib/noise_primitives.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../assert.ts";

const [ONE, TWO, THREE] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte)) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
];
const POLICIES: TrustPolicy[] = ["strict", "ask", "accept-new"];
const line = (key: Uint8Array, comment = "") => formatPublicKey({ key, comment });

/** A private key of `algorithm`, by the last byte of its object identifier (RFC 8410 §3), in PEM. */
function pemOf(algorithm: number, privateKey: Uint8Array): string {
  const head = Uint8Array.fromHex("302e020100300506032b656e04220420");
  head[11] = algorithm;
  return `-----BEGIN PRIVATE KEY-----\n${concat([head, privateKey]).toBase64()}\n-----END PRIVATE KEY-----\n`;
}

/** Bob's key of RFC 7748 §6.1. */
const BOB = Uint8Array.fromHex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");

Deno.test("parsePrivateKey() takes the PEM of RFC 8410, here Bob's key of RFC 7748 §6.1", () => {
  assertEquals(
    parsePrivateKey(pemOf(0x6e, BOB)).publicKey.toHex(),
    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
  );
});

Deno.test("parsePrivateKey() gives back what formatPrivateKey() made, and refuses all that is no X25519 private key", () => {
  const identity = x25519.generate();
  const pem = formatPrivateKey(identity);
  assertMatch(pem, /^-----BEGIN PRIVATE KEY-----\n[\w+/=]{64}\n-----END PRIVATE KEY-----\n$/);
  assertEquals(parsePrivateKey(pem).publicKey, identity.publicKey);
  for (
    const wrong of ["", "secret", line(ONE), pem.slice(0, 60), pemOf(0x70, ONE), pem.replaceAll("PRIVATE", "PUBLIC")]
  ) {
    assertThrows(() => parsePrivateKey(wrong), TypeError, "no X25519 private key");
  }
});

Deno.test("parsePublicKey() gives back any key and comment, and refuses what is none", () => {
  const words = fc.array(fc.stringMatching(/^[^\s]+$/u), { maxLength: 3 });
  fc.assert(fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), words, (key, words) => {
    const comment = words.join(" ");
    assertEquals(parsePublicKey(`  ${line(key, comment)}\r`), { key: new Uint8Array(key), comment });
  }));
  const base64 = ONE.toBase64();
  for (
    const wrong of [
      "",
      "np-x25519",
      base64,
      `ssh-ed25519 ${base64}`,
      `np-x25519 ${base64.slice(1)}`,
      `np-x25519 ${base64.slice(0, -1)}`,
      `np-x25519 ${ONE.subarray(1).toBase64()}`,
      `np-x25519 ${concat([ONE, ONE]).toBase64()}`,
      `np-x25519 ${"*".repeat(44)}`,
    ]
  ) {
    assertThrows(() => parsePublicKey(wrong), UsageError);
  }
});

Deno.test("fingerprint() is the SHA-256 of the type and the key, in base64 without padding", () => {
  assertEquals(fingerprint(new Uint8Array(32)), "SHA256:4B+xLggwiQTq9bwdWVPid0W/9V+RXaXHbfSx2ktV20I");
  assertEquals(new Set([ONE, TWO, THREE].map(fingerprint)).size, 3);
});

Deno.test("parseAuthorizedKeys() leaves out empty lines and remarks, counts them, and names a wrong one", () => {
  const list = parseAuthorizedKeys(`# ours\n\n${line(ONE, "alice of sales")}\r\n  # left:\n\t${line(TWO)}`);
  assertEquals(list, [
    { line: 3, key: ONE, comment: "alice of sales" },
    { line: 5, key: TWO, comment: "" },
  ]);
  assertEquals(findKey(list, TWO)?.line, 5);
  assertEquals(findKey(list, THREE), undefined);
  assertEquals(parseAuthorizedKeys(""), []);
  assertThrows(() => parseAuthorizedKeys(`${line(ONE)}\nnp-x25519 AAAA`), UsageError, "line 2: it is no public key");
});

Deno.test("parseKnownHosts() gives back what formatKnownHost() made, and names a wrong line", () => {
  const hosts: Omit<KnownHost, "line">[] = [
    { host: "example.org:9007", revoked: false, key: ONE, comment: "" },
    { host: "[::1]:9007", revoked: true, key: TWO, comment: "two words" },
    { host: "*", revoked: true, key: THREE, comment: "" },
  ];
  const text = hosts.map(formatKnownHost).join("\n");
  assertEquals(parseKnownHosts(text), hosts.map((host, i) => ({ line: i + 1, ...host })));
  assertEquals(parseKnownHosts(`Example.ORG:1\t${line(ONE)}`)[0]!.host, "example.org:1");
  assertEquals(parseKnownHosts(`[::FFFF:127.0.0.1]:01 ${line(ONE)}`)[0]!.host, "127.0.0.1:1"); // as a client calls it
  const noHosts = [
    "example.org",
    "**",
    "",
    "a:0",
    "a:65536",
    "a:x",
    ":1",
    "::1:1",
    "[a]:1",
    "a:1,b:1",
    "[::1",
    "[::1]",
  ];
  const wrongs = noHosts.flatMap((host) => [`${host} ${line(ONE)}`, `@revoked ${host} ${line(ONE)}`]);
  for (const wrong of [...wrongs, `* ${line(ONE)}`, `@unknown a:1 ${line(ONE)}`, "@revoked"]) {
    assertThrows(() => parseKnownHosts(`#\n${wrong}`), UsageError, "line 2: it ");
  }
  assertThrows(() => parseKnownHosts(`a:1 ${line(ONE)}\nb:2 np-x25519`), UsageError, "line 2: ");
});

Deno.test("a line that is wrong is named, and not shown: it may be a secret in the wrong place", () => {
  const secret = new Uint8Array(32).fill(0xa5).toBase64();
  for (const read of [parsePublicKey, parseAuthorizedKeys, parseKnownHosts]) {
    for (const text of [secret, `np-x25519 ${secret}A`, `a:1 np-x25519 ${secret}A`, `a:1 ${secret}`]) {
      const error = assertThrows(() => read(text), UsageError);
      assert(!error.message.includes(secret), error.message);
    }
  }
});

/** What is decided about `key` of `host` under each policy, with a list that knows two servers. */
function decisions(host: string, key: Uint8Array, expected?: string): string[] {
  const text = `a:1 ${line(ONE)}\n@revoked b:1 ${line(THREE)}\nb:1 ${line(TWO)}\nb:1 ${line(ONE)}\n@revoked * ${
    line(new Uint8Array(32))
  }\nb:1 ${line(new Uint8Array(32))}\n@revoked c:1 ${line(TWO)}`;
  return POLICIES.map((policy) => {
    const outcome = decideTrust({ knownHosts: parseKnownHosts(text), host, key, policy, expected });
    return "line" in outcome ? `${outcome.decision} ${outcome.line}` : outcome.decision;
  });
}

Deno.test("decideTrust() asks the policy about a new server only", () => {
  assertEquals(decisions("new:1", ONE), ["unknown", "ask", "remember"]);
  assertEquals(decisions("a:2", ONE), ["unknown", "ask", "remember"]);
  assertEquals(decisions("a:1", ONE), ["trusted", "trusted", "trusted"]);
  assertEquals(decisions("A:1", ONE), ["trusted", "trusted", "trusted"]);
});

Deno.test("decideTrust() trusts any key that a server is known by, and refuses others and revoked ones under every policy", () => {
  assertEquals(decisions("b:1", ONE), ["trusted", "trusted", "trusted"]);
  assertEquals(decisions("b:1", TWO), ["trusted", "trusted", "trusted"]);
  assertEquals(new Set(decisions("a:1", TWO)), new Set(["changed 1"]));
  assertEquals(new Set(decisions("b:1", new Uint8Array(32).fill(9))), new Set(["changed 3"]));
  assertEquals(new Set(decisions("b:1", THREE)), new Set(["revoked 2"]));
  assertEquals(decisions("a:1", THREE), ["changed 1", "changed 1", "changed 1"]);
  assertEquals(new Set(decisions("b:1", new Uint8Array(32))), new Set(["revoked 5"])); // though it is listed too
  assertEquals(decisions("c:1", ONE), ["unknown", "ask", "remember"]);
});

Deno.test("decideTrust() takes an expected fingerprint in place of the list, but not of a revoked key", () => {
  assertEquals(new Set(decisions("new:1", ONE, fingerprint(ONE))), new Set(["trusted"]));
  assertEquals(new Set(decisions("a:1", TWO, fingerprint(TWO))), new Set(["trusted"]));
  assertEquals(new Set(decisions("a:1", ONE, fingerprint(TWO))), new Set(["unexpected"]));
  assertEquals(new Set(decisions("b:1", THREE, fingerprint(THREE))), new Set(["revoked 2"]));
});

import { concat } from "@std/bytes";
import { encodeText } from "../../lib/bytes.ts";
import { AuthenticationError } from "../../lib/errors.ts";
import { decryptOaep, encryptOaep, RsaPrivateKey, RsaPublicKey, signPss, verifyPss } from "../../lib/rsa.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { run, runTool, testWith } from "../harness.ts";
import { testWithVectors } from "../vectors.ts";

const CLIENT = "clients/rsa";
const OAEP = ["rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256"];
const PSS = ["rsa_padding_mode:pss", "rsa_pss_saltlen:32", "rsa_mgf1_md:sha256"];
const content = concat([
  encodeText("a file of lines\nand bytes "),
  Uint8Array.from({ length: 70_000 }, (_, i) => i * i >> 5),
]);

/** A folder with a key pair that openssl has made, the certificate that it wants of recipients, and a file. */
class Keys extends TestFolder {
  readonly key = `${this.path}/key.pem`;
  readonly pub = `${this.path}/key.pub`;
  readonly certificate = `${this.path}/certificate.pem`;
  readonly file = `${this.path}/file`;

  static async make(): Promise<Keys> {
    const keys = new Keys();
    await keys.openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072", "-out", keys.key);
    await keys.openssl("pkey", "-in", keys.key, "-pubout", "-out", keys.pub);
    await keys.openssl("req", "-x509", "-key", keys.key, "-subj", "/CN=netlab", "-out", keys.certificate);
    await Deno.chmod(keys.key, 0o600);
    await keys.write("file", content);
    return keys;
  }

  /** Runs openssl, which must succeed. */
  async openssl(...args: string[]): Promise<void> {
    const { code, stderr } = await runTool("openssl", args);
    assertEquals(code, 0, stderr);
  }

  async privateKey(): Promise<RsaPrivateKey> {
    return RsaPrivateKey.parse(await Deno.readTextFile(this.key));
  }
}

function pkeyopts(flag: string, options: readonly string[]): string[] {
  return options.flatMap((option) => [flag, option]);
}

testWith(["openssl"], "rsa encrypt: openssl cms decrypts the file with its key", async () => {
  await using keys = await Keys.make();
  const { code, stderr } = await run(CLIENT, ["encrypt", keys.file, "--to", keys.pub]);
  assertEquals(code, 0, stderr);
  const [sealed, opened] = [`${keys.file}.cms`, `${keys.file}.opened`];
  await keys.openssl("cms", "-decrypt", "-binary", "-inform", "DER", "-inkey", keys.key, "-in", sealed, "-out", opened);
  assertEquals(await Deno.readFile(opened), content as Uint8Array<ArrayBuffer>);
});

for (const [naming, flags] of [["a certificate", []], ["a key identifier", ["-keyid"]]] as const) {
  testWith(["openssl"], `rsa decrypt: opens what openssl cms has encrypted for ${naming}`, async () => {
    await using keys = await Keys.make();
    const [sealed, opened] = [`${keys.file}.cms`, `${keys.file}.opened`];
    await keys.openssl(
      ...["cms", "-encrypt", "-binary", "-aes-256-gcm", "-outform", "DER", "-in", keys.file, "-out", sealed],
      ...[...flags, "-recip", keys.certificate, ...pkeyopts("-keyopt", OAEP)],
    );
    const { code, stderr } = await run(CLIENT, ["decrypt", sealed, "--key", keys.key, "--output", opened]);
    assertEquals(code, 0, stderr);
    assertEquals(await Deno.readFile(opened), content as Uint8Array<ArrayBuffer>);
  });
}

testWith(["openssl"], "rsa decrypt: says so when openssl has used what is not accepted", async () => {
  await using keys = await Keys.make();
  const cases: [string[], string][] = [
    [["-aes-256-gcm"], "the key's algorithm is one that is not supported"], // PKCS #1 v1.5
    [["-aes-256-cbc", ...pkeyopts("-keyopt", OAEP)], "the kind of message is one that is not supported"],
    [["-aes-128-gcm", ...pkeyopts("-keyopt", OAEP)], "the cipher is one that is not supported"],
    [["-aes-256-gcm", ...pkeyopts("-keyopt", OAEP), "-stream"], "a length is wrong"],
    [["-aes-256-gcm", ...pkeyopts("-keyopt", OAEP), "-recip", keys.certificate], "it is for several recipients"],
  ];
  for (const [options, message] of cases) {
    const sealed = `${keys.file}.cms`;
    const [cipher, ...rest] = options;
    const recipient = ["-recip", keys.certificate, ...rest.filter((option) => option !== "-stream")];
    const stream = rest.includes("-stream") ? ["-stream"] : [];
    await keys.openssl(
      ...["cms", "-encrypt", "-binary", cipher!, ...stream, "-outform", "DER", "-in", keys.file, "-out", sealed],
      ...recipient,
    );
    const { code, stderr } = await run(CLIENT, [
      "decrypt",
      sealed,
      "--key",
      keys.key,
      "--output",
      `${keys.file}.opened`,
    ]);
    assertEquals(code, 1);
    assert(stderr.includes(message), stderr);
  }
});

testWith(["openssl"], "RSA-OAEP: openssl pkeyutl decrypts ours, and we its own", async () => {
  await using keys = await Keys.make();
  const key = await keys.privateKey();
  const [sealed, opened] = [`${keys.path}/sealed`, `${keys.path}/opened`];
  await keys.write("sealed", encryptOaep(key.publicKey, encodeText("318 bytes at most")));
  const options = pkeyopts("-pkeyopt", OAEP);
  await keys.openssl("pkeyutl", "-decrypt", "-inkey", keys.key, ...options, "-in", sealed, "-out", opened);
  assertEquals(await Deno.readTextFile(opened), "318 bytes at most");
  await keys.openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", keys.pub, ...options, "-in", opened, "-out", sealed);
  assertEquals(decryptOaep(key, await Deno.readFile(sealed)), encodeText("318 bytes at most") as Uint8Array);
});

testWith(["openssl"], "RSA-PSS: openssl dgst verifies ours, and we its own", async () => {
  await using keys = await Keys.make();
  const key = await keys.privateKey();
  const signature = await keys.write("signature", signPss(key, content));
  const options = pkeyopts("-sigopt", PSS);
  await keys.openssl("dgst", "-sha256", "-verify", keys.pub, "-signature", signature, ...options, keys.file);
  await keys.openssl("dgst", "-sha256", "-sign", keys.key, ...options, "-out", signature, keys.file);
  assert(verifyPss(key.publicKey, content, await Deno.readFile(signature)));
});

testWith(["openssl"], "rsa: openssl reads the key that the server makes, and agrees on its fingerprint", async () => {
  await using folder = new TestFolder();
  const made = await RsaPrivateKey.generate();
  const key = await folder.write("key.pem", made.toPem());
  const { code, stdout } = await runTool("openssl", ["rsa", "-in", key, "-check", "-noout"]);
  assertEquals([code, stdout], [0, "RSA key ok\n"]);
  const der = `openssl rsa -in '${key}' -pubout -outform DER`;
  const digest = await runTool("sh", ["-c", `${der} | openssl dgst -sha256 -binary | openssl base64`]);
  assertEquals(`${made.publicKey.fingerprint}=\n`, `SHA256:${digest.stdout}`);
});

// --- Public vectors ------------------------------------------------------------------------------------------------

interface Wycheproof<Group, Test> {
  readonly testGroups: readonly (Group & { readonly tests: readonly (Test & { tcId: number; result: string })[] })[];
}

testWithVectors(
  ["wycheproof_rsa_oaep_3072_sha256_mgf1sha256_test.json"],
  "RSA-OAEP: all of Wycheproof; other labels than none are refused",
  (content) => {
    type Test = { msg: string; ct: string; label: string };
    const { testGroups } = content as Wycheproof<{ privateKeyPem: string }, Test>;
    assertEquals(testGroups.flatMap(({ tests }) => tests).length, 37);
    for (const { privateKeyPem, tests } of testGroups) {
      const key = RsaPrivateKey.parse(privateKeyPem);
      for (const { tcId, msg, ct, label, result } of tests) {
        const decrypt = () => decryptOaep(key, Uint8Array.fromHex(ct)).toHex();
        if (result === "valid" && label === "") assertEquals(decrypt(), msg, `${tcId}`);
        else assertThrows(decrypt, AuthenticationError);
      }
    }
  },
);

testWithVectors(["wycheproof_rsa_pss_3072_sha256_mgf1_32_test.json"], "RSA-PSS: all of Wycheproof", (content) => {
  const { testGroups } = content as Wycheproof<{ publicKeyPem: string }, { msg: string; sig: string }>;
  assertEquals(testGroups.flatMap(({ tests }) => tests).length, 108);
  for (const { publicKeyPem, tests } of testGroups) {
    const key = RsaPublicKey.parse(publicKeyPem);
    for (const { tcId, msg, sig, result } of tests) {
      assertEquals(verifyPss(key, Uint8Array.fromHex(msg), Uint8Array.fromHex(sig)), result === "valid", `${tcId}`);
    }
  }
});

import { nobleBackend } from "../../lib/ciphers_noble.ts";
import { portableBackend } from "../../lib/ciphers_portable.ts";
import { BACKEND_NAMES, chooseBackend } from "../../lib/net/ciphers.ts";
import { openLibcrypto } from "../../lib/net/libcrypto.ts";
import { PROGRAMS } from "../../lib/programs.ts";
import type { CipherSuite } from "../../lib/record_cipher.ts";
import type { NonceBackend } from "../../lib/record_nonce.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { runWycheproof, testBackend } from "../backends.ts";
import { TestFolder } from "../folder.ts";
import { type Output, run, runTool, startServer, testWith } from "../harness.ts";
import { testWithVectors } from "../vectors.ts";

const libcrypto = openLibcrypto();
const BACKENDS: NonceBackend[] = [nobleBackend, portableBackend, ...(typeof libcrypto === "string" ? [] : [libcrypto])];
const VECTORS: [CipherSuite, string, number][] = [
  ["AESGCM", "wycheproof_aes_gcm_test.json", 48],
  ["ChaChaPoly", "wycheproof_chacha20_poly1305_test.json", 45],
];

testBackend("libcrypto", libcrypto);

for (const [suite, file, count] of VECTORS) {
  for (const backend of BACKENDS) {
    testWithVectors([file], `${backend.name}, ${suite}: Wycheproof`, async (content) => {
      assertEquals(await runWycheproof(backend, suite, content), count);
    });
  }
}

Deno.test("chooseBackend(): auto is libcrypto where it may and can be used", async () => {
  const names = await Promise.all(BACKEND_NAMES.filter((name) => name !== "libcrypto").map(chooseBackend));
  const auto = typeof libcrypto === "string" ? "portable" : "libcrypto";
  assertEquals(names.map(({ name }) => name), [auto, "portable", "noble"]);
});

/** Runs code that has imported all of the backends, without any permission but those given. */
function evaluate(
  code: string,
  { permissions = [], env = {} }: { permissions?: string[]; env?: Record<string, string> } = {},
): Promise<Output> {
  const imports = ["ciphers", "libcrypto"].map((name) => import.meta.resolve(`../../lib/net/${name}.ts`));
  const script = `import { chooseBackend } from "${imports[0]}"; import { openLibcrypto } from "${
    imports[1]
  }"; ${code}`;
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  return runTool("env", [...variables, Deno.execPath(), "run", ...permissions, "--ext=ts", "-"], script);
}

testWith(["gcc"], "libcrypto: a library of an unknown version is refused, and not used", async () => {
  await using folder = new TestFolder();
  const functions = ["EVP_aes_256_gcm", "EVP_chacha20_poly1305", "EVP_CIPHER_CTX_new", "EVP_CIPHER_CTX_free"].concat(
    ["EVP_CIPHER_CTX_ctrl", "EVP_CipherInit_ex", "EVP_CipherUpdate", "EVP_CipherFinal_ex"],
  ).map((name) => `void *${name}(void) { return 0; }`);
  const source = `unsigned long OpenSSL_version_num(void) { return 0x40000000; } ${functions.join(" ")}`;
  const args = ["-shared", "-fPIC", "-x", "c", "-o", `${folder.path}/libcrypto.so.3`, "-"];
  assertEquals((await runTool("gcc", args, source)).code, 0);
  const code = 'console.log(openLibcrypto()); console.log((await chooseBackend("auto")).name)';
  const { stdout } = await evaluate(code, { env: { LD_LIBRARY_PATH: folder.path }, permissions: ["--allow-ffi"] });
  assertEquals(stdout, "libcrypto.so.3 has the version number 0x40000000, not one of 3.x\nportable\n");
});

Deno.test({
  name: "libcrypto: one that the machine's OpenSSL configuration restricts is not used",
  ignore: typeof libcrypto === "string",
  fn: async () => {
    await using folder = new TestFolder();
    const config =
      "openssl_conf = init\n[init]\nalg_section = algorithms\n[algorithms]\ndefault_properties = fips=yes\n";
    const env = { OPENSSL_CONF: await folder.write("openssl.cnf", config) };
    const code = 'console.log(openLibcrypto()); console.log((await chooseBackend("auto")).name)';
    const { stdout } = await evaluate(code, { env, permissions: ["--allow-ffi"] });
    assertMatch(stdout, /^\S*libcrypto\S* does not have both ciphers: .*\nportable\n$/);
  },
});

Deno.test("chooseBackend(): without --allow-ffi it is portable, nobody is asked, and libcrypto is refused with a reason", async () => {
  // Not with --no-prompt: nothing may ask.
  const auto = await evaluate('console.log((await chooseBackend("auto")).name)');
  assertEquals(auto, { code: 0, stdout: "portable\n", stderr: "" });
  const { stdout } = await evaluate('await chooseBackend("libcrypto").catch((error) => console.log(`${error}`))');
  assertEquals(stdout, "UsageError: --backend libcrypto: there is no --allow-ffi\n");
});

const PLACE = `/usr/lib/${Deno.build.arch}-linux-gnu/libcrypto.so.3`;

testWith([PLACE], "libcrypto: --allow-ffi may name the one library that is loaded", async () => {
  const { stdout } = await evaluate('console.log((await chooseBackend("libcrypto")).name)', {
    permissions: [`--allow-ffi=${PLACE}`],
  });
  assertEquals(stdout, "libcrypto\n");
});

Deno.test({
  name: "libcrypto: 100,000 ciphers leave no memory behind",
  ignore: typeof libcrypto === "string",
  fn: async () => {
    const code = `
      const libcrypto = openLibcrypto();
      const key = new Uint8Array(32);
      const record = new Uint8Array(100);
      const make = (count) => {
        for (let i = 0; i < count; i++) {
          const cipher = libcrypto.cipher(i % 2 === 0 ? "AESGCM" : "ChaChaPoly", key);
          cipher.seal(0, record);
          cipher.close();
        }
        return Deno.memoryUsage().rss;
      };
      const before = make(5000);
      console.log(make(100_000) - before);`;
    const { stdout, stderr } = await evaluate(code, { permissions: ["--allow-ffi"] });
    const growth = Number(stdout);
    assert(growth < 16 * 2 ** 20, `it grew by ${growth} bytes ${stderr}`); // a context is about 1 KiB
  },
});

Deno.test({
  name: "secure_echo with --allow-ffi: libcrypto does the encryption, and other backends understand it",
  ignore: typeof libcrypto === "string",
  fn: async () => {
    await using folder = new TestFolder();
    const env = { XDG_CONFIG_HOME: folder.path };
    const permissions = (
      path: "servers/secure_echo" | "clients/secure_echo",
    ) => [...PROGRAMS[path].permissions, "--allow-ffi"];
    await using server = await startServer("servers/secure_echo", ["-q", "--verbose", "--allow-any-client"], {
      permissions: permissions("servers/secure_echo"),
      env,
    });
    await server.logged("libcrypto does the encryption");
    const message = "x".repeat(200_000);
    for (const backend of ["auto", "portable", "noble"]) {
      for (const cipher of ["aes", "chacha"]) {
        const args = ["127.0.0.1", `${server.port}`, "--trust", "accept-new", "--backend", backend, "--cipher", cipher];
        const options = { permissions: permissions("clients/secure_echo"), env, stdin: `${message}\nhello\n` };
        const { stdout, stderr } = await run("clients/secure_echo", args, options);
        assertEquals(stdout === `${message}\nhello\n`, true, `${backend} ${cipher} ${stderr}`);
      }
    }
  },
});

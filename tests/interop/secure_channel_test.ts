import { portableBackend } from "../../lib/ciphers_portable.ts";
import { fingerprint } from "../../lib/identity.ts";
import { loadIdentity } from "../../lib/net/identity.ts";
import { connectSecure } from "../../lib/net/secure.ts";
import { TcpConnection } from "../../lib/net/tcp.ts";
import { x25519 } from "../../lib/noise_primitives.ts";
import { REKEY_INTERVAL } from "../../lib/secure_records.ts";
import { assert, assertEquals } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { inTime, run, runTool, startServer, startTool, testWith } from "../harness.ts";

const PEER = "tests/interop/peers/secure_channel.py";
/** What the peer's AES needs besides Python. */
const PYTHON_LIBCRYPTO = "import ctypes.util, sys; sys.exit(not ctypes.util.find_library('crypto'))";

/** A test with the Python peer and one of its ciphers. */
async function testPeer(suite: "AESGCM" | "ChaChaPoly", name: string, fn: () => Promise<void>): Promise<void> {
  if (suite === "ChaChaPoly") return testWith(["python3"], `${name}, ${suite}`, fn);
  const python = new Deno.Command("python3", { args: ["-c", PYTHON_LIBCRYPTO], stdout: "null", stderr: "null" });
  const hasLibcrypto = await python.output().then(({ success }) => success, () => false);
  const reason = hasLibcrypto ? "" : " (skipped: there is no python3 with libcrypto)";
  Deno.test({ name: `${name}, ${suite}${reason}`, ignore: !hasLibcrypto, fn });
}

for (const suite of ["AESGCM", "ChaChaPoly"] as const) {
  await testPeer(
    suite,
    "secure_echo: a Python client that was written from the documentation is let in and echoed",
    async () => {
      await using folder = new TestFolder();
      const env = { XDG_CONFIG_HOME: folder.path };
      for (const padding of ["none", "padme", "fixed:256"]) {
        const args = ["--allow-any-client", "-v", "--padding", padding];
        await using server = await startServer("servers/secure_echo", args, { env });
        const { code, stdout, stderr } = await runTool("python3", [PEER, "client", `${server.port}`, suite]);
        assertEquals(code, 0, stderr);
        const [hash, key, ...rest] = stdout.split("\n");
        const identity = await loadIdentity(`${folder.path}/netlab/server_identity.pem`);
        assertEquals(key, `server ${fingerprint(identity.publicKey)}`);
        assert(/^hash [0-9a-f]{64}$/.test(hash!), hash);
        assertEquals(rest, ["hello", "from Python", "closed", ""]);
        await server.printed(/ from Python$/);
        await server.logged(/:\d+: closed$/);
      }
    },
  );

  await testPeer(
    suite,
    "secure_echo: our client talks to a Python server that was written from the documentation",
    async () => {
      await using folder = new TestFolder();
      const env = { XDG_CONFIG_HOME: folder.path };
      await using python = startTool("python3", [PEER, "server"]);
      const port = /:(\d+)$/.exec(await python.printed("listening"))![1]!;
      const cipher = suite === "AESGCM" ? "aes" : "chacha";
      const args = ["127.0.0.1", port, "--trust", "accept-new", "--cipher", cipher, "-m", "hello", "-m", "to Python"];
      const { code, stdout, stderr } = await run("clients/secure_echo", args, { env });
      assertEquals([code, stdout], [0, "hello\nto Python\n"], stderr);
      const identity = await loadIdentity(`${folder.path}/netlab/identity.pem`);
      assertEquals(await python.printed(/^client/), `client ${fingerprint(identity.publicKey)}`);
      assertEquals((await python.ended()).code, 0);
      await python.printed("closed");
    },
  );
}

await testPeer("AESGCM", "a channel with a Python server goes on where both directions change their keys", async () => {
  await using python = startTool("python3", [PEER, "server"]);
  const port = Number(/:(\d+)$/.exec(await python.printed("listening"))![1]!);
  const client = await connectSecure(
    new TcpConnection(await Deno.connect({ hostname: "127.0.0.1", port })),
    {
      backend: portableBackend,
      padding: "none",
      maxSession: 0,
      identity: x25519.generate(),
      protocol: "Noise_XX_25519_AESGCM_SHA256",
      verify: () => Promise.resolve(undefined),
    },
    { application: "echo/1" },
  );
  const records = REKEY_INTERVAL + 3; // the server answers each by two
  const sending = (async () => {
    for (let i = 0; i < records; i++) {
      await client.write(Uint8Array.of(i));
      await client.flush(); // a record by itself
    }
    await client.closeWrite();
  })();
  const reading = (async () => {
    const buffer = new Uint8Array(1000);
    let received = 0;
    for (let count; (count = await client.read(buffer)) !== null;) {
      for (const byte of buffer.subarray(0, count)) assertEquals(byte, received++ % 256);
    }
    return received;
  })();
  const [received] = await inTime(Promise.all([reading, sending]), "all echoes");
  assertEquals(received, records);
  await client.finish();
  assertEquals((await python.ended()).code, 0);
});

import { loadIdentity } from "../../lib/net/identity.ts";
import { assert, assertEquals } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { run, runTool, startServer, startTool, testWith } from "../harness.ts";

const PEER = "tests/interop/peers/secure_channel.py";

testWith(
  ["python3"],
  "secure_echo: a Python client that was written from the documentation is let in and echoed",
  async () => {
    await using folder = new TestFolder();
    const env = { XDG_CONFIG_HOME: folder.path };
    for (const padding of ["none", "padme", "fixed:256"]) {
      await using server = await startServer(
        "servers/secure_echo",
        ["--allow-any-client", "-v", "--padding", padding],
        {
          env,
        },
      );
      const { code, stdout, stderr } = await runTool("python3", [PEER, "client", `${server.port}`]);
      assertEquals(code, 0, stderr);
      const [hash, key, ...rest] = stdout.split("\n");
      const identity = await loadIdentity(`${folder.path}/netlab/server_identity.pem`);
      assertEquals(key, `server ${identity.publicKey.toHex()}`);
      assert(/^hash [0-9a-f]{64}$/.test(hash!), hash);
      assertEquals(rest, ["hello", "from Python", "closed", ""]);
      await server.printed(/ from Python$/);
      await server.logged(/:\d+: closed$/);
    }
  },
);

testWith(
  ["python3"],
  "secure_echo: our client talks to a Python server that was written from the documentation",
  async () => {
    await using folder = new TestFolder();
    const env = { XDG_CONFIG_HOME: folder.path };
    await using python = startTool("python3", [PEER, "server"]);
    const port = /:(\d+)$/.exec(await python.printed("listening"))![1]!;
    const args = ["127.0.0.1", port, "--trust", "accept-new", "--cipher", "chacha", "-m", "hello", "-m", "to Python"];
    const { code, stdout, stderr } = await run("clients/secure_echo", args, { env });
    assertEquals([code, stdout], [0, "hello\nto Python\n"], stderr);
    const identity = await loadIdentity(`${folder.path}/netlab/identity.pem`);
    assertEquals(await python.printed(/^client/), `client ${identity.publicKey.toHex()}`);
    assertEquals((await python.ended()).code, 0);
    await python.printed("closed");
  },
);

import { assertEquals } from "../assert.ts";
import { run, runTool, startServer, startTool, testWith } from "../harness.ts";

const env = { NETLAB_SECRET: "shared" };
const PEER = "tests/interop/peers/hmac_auth.py";

for (const digest of ["hmac-sha256", "sha1"]) {
  testWith(["python3"], `hmac_auth --digest ${digest}: a Python client of the course's kind is greeted`, async () => {
    await using server = await startServer("servers/hmac_auth", ["--digest", digest], { env });
    assertEquals(
      (await runTool("python3", [PEER, "client", `${server.port}`, digest])).stdout,
      "welcome\nhello\n",
    );
  });
  testWith(
    ["python3"],
    `hmac_auth --digest ${digest}: a Python server of the course's kind accepts our client`,
    async () => {
      const python = startTool("python3", [PEER, "server", "0", digest]);
      const port = await python.printed(/^\d+$/);
      const { code, stdout } = await run("clients/hmac_auth", ["127.0.0.1", port, "--digest", digest, "-m", "hi"], {
        env,
      });
      assertEquals([code, stdout], [0, "welcome\nhi\n"]);
      assertEquals((await python.ended()).code, 0);
    },
  );
}

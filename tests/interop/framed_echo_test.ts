import { assertEquals } from "../assert.ts";
import { run, RunningProgram, runTool, startServer, testWith } from "../harness.ts";

const PEER = "tests/interop/peers/framed_echo.py";
/** Longer than one recv(1024), with characters of 1 to 4 bytes. */
const TEXTS = ["hello", "ö€😀".repeat(1000), "x"];

testWith(["python3"], "framed_echo --endian little: a Python client of the course's kind is echoed", async () => {
  await using server = await startServer("servers/framed_echo", ["--endian", "little"]);
  const client = await runTool("python3", [PEER, "client", `${server.port}`, ...TEXTS]);
  assertEquals(client, { code: 0, stdout: TEXTS.map((text) => `${text}\n`).join(""), stderr: "" });
});

testWith(
  ["python3"],
  "framed_echo --endian little: a Python server of the course's kind serves our client",
  async () => {
    await using server = new RunningProgram(
      new Deno.Command("python3", { args: [PEER, "server", "0"], stdin: "piped", stdout: "piped", stderr: "piped" })
        .spawn(),
    );
    const port = await server.printed(/^\d+$/);
    const args = ["127.0.0.1", port, "--endian", "little", ...TEXTS.flatMap((text) => ["-m", text])];
    const client = await run("clients/framed_echo", args);
    assertEquals(client, { code: 0, stdout: TEXTS.map((text) => `${text}\n`).join(""), stderr: "" });
    assertEquals((await server.ended()).code, 0);
  },
);

import { assertEquals, assertMatch } from "../assert.ts";
import { run, runTool, startServer, startTool, testWith } from "../harness.ts";

const SERVER = "servers/udp_echo";
const CLIENT = "clients/udp_echo";
const PEER = "tests/interop/peers/udp_echo.py";
const TEXTS = ["hello", "world", ""];

testWith(["nc"], "udp_echo: nc -u gets back what it sends", async () => {
  await using server = await startServer(SERVER);
  const nc = await runTool("nc", ["-u", "-w1", "127.0.0.1", `${server.port}`], "hello\n");
  assertEquals(nc, { code: 0, stdout: "hello\n", stderr: "" });
  assertMatch(await server.printed("hello"), /^127\.0\.0\.1:\d+ hello$/);
});

testWith(["python3"], "udp_echo: a Python client of the course's kind is echoed", async () => {
  await using server = await startServer(SERVER);
  const client = await runTool("python3", [PEER, "client", `${server.port}`, ...TEXTS]);
  assertEquals(client, { code: 0, stdout: "hello\nworld\n\n", stderr: "" });
});

testWith(["python3"], "udp_echo: a Python server of the course's kind, in upper case, serves our client", async () => {
  await using server = startTool("python3", [PEER, "server", "0", `${TEXTS.length}`]);
  const port = await server.printed(/^\d+$/);
  const args = ["127.0.0.1", port, "--timeout", "1m", ...TEXTS.flatMap((text) => ["-m", text])];
  const client = await run(CLIENT, args);
  assertEquals(client, { code: 0, stdout: "HELLO\nWORLD\n\n", stderr: "" });
  assertEquals(await server.ended(), { code: 0, stdout: [port, ...TEXTS].join("\n"), stderr: "" });
});

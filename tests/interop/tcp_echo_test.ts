import { assertEquals, assertMatch } from "../assert.ts";
import { run, runTool, startServer, startTool, testWith } from "../harness.ts";

const SERVER = "servers/tcp_echo";
const CLIENT = "clients/tcp_echo";
const PEER = "tests/interop/peers/tcp_echo.py";

testWith(["nc"], "tcp_echo: nc gets back what it sends", async () => {
  await using server = await startServer(SERVER);
  const sent = "one\ntwo\x00\x1b\n";
  assertEquals(await runTool("nc", ["-N", "127.0.0.1", `${server.port}`], sent), { code: 0, stdout: sent, stderr: "" });
});

testWith(["telnet"], "tcp_echo: telnet gets back each line", async () => {
  await using server = await startServer(SERVER);
  await using telnet = startTool("telnet", ["127.0.0.1", `${server.port}`]);
  await telnet.printed("Escape character");
  await telnet.type("hello\n");
  assertEquals((await telnet.printed("hello")).trimEnd(), "hello");
  assertMatch(await server.printed("hello"), /^127\.0\.0\.1:\d+ hello$/);
  await telnet.stop();
});

testWith(["nmap"], "tcp_echo: a port scan finds it open and does it no harm", async () => {
  await using server = await startServer(SERVER);
  const { stdout } = await runTool("nmap", ["-sT", "-Pn", "-n", "-p", `${server.port}`, "127.0.0.1"]);
  assertMatch(stdout, new RegExp(`^${server.port}/tcp +open`, "m"));
  assertEquals((await run(CLIENT, ["127.0.0.1", `${server.port}`, "-m", "hello"])).stdout, "hello\n");
});

testWith(
  ["python3"],
  "tcp_echo --greet --upper: a Python client of the course's kind is greeted and answered",
  async () => {
    await using server = await startServer(SERVER, ["--greet", "welcome", "--upper"]);
    const client = await runTool("python3", [PEER, "client", `${server.port}`, "--greet", "hello", "wörld"]);
    assertEquals(client, { code: 0, stdout: "welcome\nHELLO\nWÖRLD\n", stderr: "" });
  },
);

testWith(["python3"], "tcp_echo: a Python client of the course's kind gets its echo", async () => {
  await using server = await startServer(SERVER);
  const client = await runTool("python3", [PEER, "client", `${server.port}`, "hello", "quit"]);
  assertEquals(client, { code: 0, stdout: "hello\nquit\n", stderr: "" });
});

testWith(["python3"], "tcp_echo client: a Python server of the course's kind greets and answers it", async () => {
  await using python = startTool("python3", [PEER, "server", "0", "--greet"]);
  const port = await python.printed(/^\d+$/);
  const client = await run(CLIENT, ["127.0.0.1", port, "--greet", "-m", "one", "-m", "two"]);
  assertEquals(client, { code: 0, stdout: "ONE\nTWO\n", stderr: "tcp_echo: greeting: welcome\n" });
  assertEquals((await python.ended()).stdout, `${port}\none\ntwo`);
});

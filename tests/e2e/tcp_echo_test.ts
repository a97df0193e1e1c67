import { assertEquals, assertMatch } from "../assert.ts";
import { run, startServer } from "../harness.ts";

const SERVER = "servers/tcp_echo";
const CLIENT = "clients/tcp_echo";

Deno.test("tcp_echo: the client prints the echo of each message; the server prints each message", async () => {
  await using server = await startServer(SERVER);
  const client = await run(CLIENT, ["127.0.0.1", `${server.port}`, "-m", "hello", "-m", "wörld"]);
  assertEquals(client, { code: 0, stdout: "hello\nwörld\n", stderr: "" });
  assertMatch(await server.printed("hello"), /^127\.0\.0\.1:\d+ hello$/);
  assertMatch(await server.printed("wörld"), /^127\.0\.0\.1:\d+ wörld$/);
});

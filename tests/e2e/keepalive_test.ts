import { KEEP_ALIVE, keepAlive } from "../../lib/net/keepalive.ts";
import { assertEquals, assertStringIncludes } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { run, runTool, startServer, testWith } from "../harness.ts";
import { PROGRAMS } from "../../lib/programs.ts";
import { FileServer } from "./files_wire.ts";

Deno.test({
  name: "keepAlive: without the permission for FFI the system's own times are used",
  permissions: { ffi: false, net: "inherit" },
}, async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [client, server] = await Promise.all([
    Deno.connect({ port: listener.addr.port, hostname: "127.0.0.1" }),
    listener.accept(),
  ]);
  using _ = server;
  assertEquals(keepAlive(client), undefined);
  client.close();
  assertEquals(keepAlive(client), undefined); // harmless
});

Deno.test("keepAlive: with it the system confirms the exact times, over IPv4 and IPv6", async () => {
  const program = `
    import { keepAlive } from "./lib/net/keepalive.ts";
    for (const hostname of ["127.0.0.1", "::1", "::"]) {
      const listener = Deno.listen({ hostname, port: 0 });
      const to = { port: listener.addr.port, hostname: hostname === "::" ? "127.0.0.1" : hostname };
      const [client, server] = await Promise.all([Deno.connect(to), listener.accept()]);
      console.log(JSON.stringify([keepAlive(client), keepAlive(server)]));
      client.close();
      server.close();
      listener.close();
    }`;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-net", "--allow-ffi", "--ext=ts", "-"],
    cwd: new URL("../..", import.meta.url),
    stdin: "piped",
    stdout: "piped",
  });
  await using process = command.spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(program));
  await writer.close();
  const lines = new TextDecoder().decode((await process.output()).stdout).trim().split("\n");
  assertEquals(lines.map((line) => JSON.parse(line)), Array(3).fill([KEEP_ALIVE, KEEP_ALIVE]));
});

Deno.test("clients/files: --verbose tells what the keepalive of the connection is", async () => {
  await using server = await FileServer.start();
  await using folder = new TestFolder();
  const args = [server.process.hostname, `${server.process.port}`, "-v", "time"];
  const env = { XDG_CONFIG_HOME: folder.path };
  const plain = await run("clients/files", args, { env });
  assertEquals(plain.code, 0, plain.stderr);
  assertStringIncludes(plain.stderr, "keepalive: the system's own times");
  const exact = await run("clients/files", args, {
    env,
    permissions: [...PROGRAMS["clients/files"].permissions, "--allow-ffi"],
  });
  assertStringIncludes(
    exact.stderr,
    "first probe after 10 s, then each 5 s, dead after 3; unacknowledged data: 25000 ms",
  );
});

testWith(["ss"], "servers/jim: keepalive is on for each connection, with exact times if the server may", async () => {
  const permissions = PROGRAMS["servers/jim"].permissions;
  for (
    const [more, said] of [[[], "keepalive: the system's own times"], [
      ["--allow-ffi"],
      "first probe after 10 s",
    ]] as const
  ) {
    const args = ["--db", ":memory:", "--verbose"];
    await using server = await startServer("servers/jim", args, { permissions: [...permissions, ...more] });
    using _ = await server.connect();
    await server.logged(said);
    const { stdout } = await runTool("ss", ["-Htno", "state", "established", `( sport = :${server.port} )`]);
    assertStringIncludes(stdout, "timer:(keepalive,");
  }
});

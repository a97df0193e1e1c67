import { assertEquals, assertStringIncludes } from "../assert.ts";
import { run, runTool, startServer, startTool, testWith } from "../harness.ts";
import { Screen } from "../screen.ts";

const PEER = "tests/interop/peers/chat_peer.py";

for (const [transport, name] of [["tcp", "chat"], ["udp", "udp_chat"]] as const) {
  testWith(["python3"], `${name} --raw: a Python client of the course's kind talks with our operator`, async () => {
    await using server = await startServer(`servers/${name}`, ["--raw"]);
    await server.type("one\nzwö\nthree\n");
    const { code, stdout } = await runTool("python3", [PEER, "client", transport, `${server.port}`], "1\n2\n3\nq\n");
    assertEquals([code, stdout], [0, "one\nzwö\nthree\n"]);
    await server.logged("said goodbye");
    await server.printed(/ 3$/);
    assertEquals(server.stdout.all.slice(1).map((line) => line.split(" ")[1]), ["1", "2", "3"]);
  });

  testWith(["python3"], `${name} --raw: our client talks with a Python operator of the course's kind`, async () => {
    for (const [answers, client] of [["one\nzwö\n", ""], ["one\nzwö\nq\n", "3\n"]] as const) {
      const python = startTool("python3", [PEER, "server", transport, "0"]);
      const port = await python.printed(/^\d+$/);
      await python.type(answers);
      const { code, stdout } = await run(`clients/${name}`, ["127.0.0.1", port, "--raw"], { stdin: `1\n2\n${client}` });
      assertEquals([code, stdout], [0, "one\nzwö\n"]);
      assertEquals((await python.ended()).code, 0);
      await python.process.stdin.close();
    }
  });
}

testWith(["nc"], "chat: nc gets its answer, whether it closes its side at once (-N) or stays", async () => {
  await using server = await startServer("servers/chat");
  await server.type("hello to you\nand you\nq\n");
  const { stdout } = await runTool("nc", ["-N", "127.0.0.1", `${server.port}`], "hello\n");
  assertEquals(stdout, "hello to you\n");
  const nc = startTool("nc", ["127.0.0.1", `${server.port}`]);
  await nc.type("hello again\n");
  await nc.printed("and you");
  await nc.type("bye\n");
  await nc.printed("q"); // it sees that the server has closed, and stays until its own input ends
  await nc.process.stdin.close();
  assertEquals((await nc.ended()).stdout, "and you\nq");
});

testWith(["nc"], "chat: our client talks with nc -l", async () => {
  const nc = startTool("nc", ["-v", "-l", "127.0.0.1", "0"]);
  const port = (await nc.logged("Listening on")).split(" ").at(-1)!;
  await nc.type("hello to you\n");
  const { code, stdout } = await run("clients/chat", ["127.0.0.1", port, "-m", "hello"]);
  assertEquals([code, stdout], [0, "hello to you\n"]);
  await nc.process.stdin.close();
  assertEquals((await nc.ended()).stdout, "hello\nq");
});

testWith(["nc"], "udp_chat: nc -u gets its answer", async () => {
  await using server = await startServer("servers/udp_chat");
  const nc = startTool("nc", ["-u", "127.0.0.1", `${server.port}`]);
  await nc.type("hello\n");
  await server.printed("hello");
  await server.type("hello to you\n");
  await nc.printed("hello to you");
  await nc.type("q\n");
  await server.logged("said goodbye");
  nc.process.kill();
  await nc.ended();
  await nc.process.stdin.close().catch(() => {});
});

testWith(["telnet", "python3"], "chat: telnet talks line by line, and its Ctrl-C ends the talk", async () => {
  await using server = await startServer("servers/chat");
  await using telnet = new Screen("telnet", "127.0.0.1", `${server.port}`);
  await telnet.find(/Escape character/);
  await telnet.type("hello\r");
  await server.printed(/ hello$/);
  await server.type("wörld\n");
  await telnet.shows("hello", "wörld");
  await telnet.type("\x03");
  await server.logged("said goodbye");
  assertStringIncludes((await telnet.ended()).lines.join("\n"), "wörld");
  await server.type("hi\n");
  assertEquals((await run("clients/chat", ["127.0.0.1", `${server.port}`, "-m", "next"])).stdout, "hi\n");
});

testWith(
  ["python3"],
  "chat: a client that resets is one line in the log; after the operator's goodbye it is none",
  async () => {
    await using server = await startServer("servers/chat");
    const talkAndReset = `
import socket, struct, sys
text = sys.stdin.readline()
sock = socket.create_connection(("127.0.0.1", ${server.port}))
sock.sendall(text.encode())
sys.stdin.read() if text == "without one\\n" else sock.recv(16)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))`;
    const faults = () => server.stderr.all.filter((line) => line.includes("closed"));
    for (const text of ["after a goodbye", "without one"]) {
      const python = startTool("python3", ["-c", talkAndReset]);
      await python.type(`${text}\n`);
      await server.printed(text);
      if (text === "after a goodbye") await server.type("q\n");
      await python.process.stdin.close();
      assertEquals((await python.ended()).code, 0);
      if (text === "without one") await server.logged("closed: connection reset");
      else assertEquals(faults(), []);
    }
    await server.type("hi\n");
    assertEquals((await run("clients/chat", ["127.0.0.1", `${server.port}`, "-m", "next"])).stdout, "hi\n");
    assertEquals(faults().length, 1);
  },
);

import { decodeText, encodeText } from "../../lib/bytes.ts";
import { MAX_DATAGRAM } from "../../lib/datagram.ts";
import { reason } from "../../lib/net/failure.ts";
import type { ProgramPath } from "../../lib/programs.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import {
  finish,
  inTime,
  type Output,
  ROOT,
  run,
  type RunningServer,
  type RunOptions,
  spawnProgram,
  start,
  startServer,
} from "../harness.ts";
import { testWithCables } from "../netns.ts";

const SERVER = "servers/udp_echo";
const CLIENT = "clients/udp_echo";
/** For a client whose replies all come, however late on a machine that is busy. */
const PATIENT = ["--timeout", "1m"];
const DOC = await Deno.readTextFile(`${ROOT}docs/protocols/udp_echo.md`);

/** A datagram that has come, and the way to answer it. */
interface Request {
  readonly datagram: Uint8Array;
  readonly from: Deno.NetAddr;
  reply(datagram?: Uint8Array | string): Promise<void>;
}

/** A UDP socket of the test. */
class Socket implements Disposable {
  readonly #socket: Deno.DatagramConn;
  readonly #buffer = new Uint8Array(MAX_DATAGRAM);

  constructor(hostname = "127.0.0.1") {
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  }

  get port(): number {
    return (this.#socket.addr as Deno.NetAddr).port;
  }

  async send(message: Uint8Array | string, port: number): Promise<void> {
    const datagram = typeof message === "string" ? encodeText(message) : message;
    await this.#socket.send(datagram, { transport: "udp", hostname: "127.0.0.1", port });
  }

  /** The next datagram. Its reply is an echo unless another one is given. */
  async receive(): Promise<Request> {
    const [bytes, address] = await inTime(this.#socket.receive(this.#buffer), "a datagram");
    const [datagram, from] = [bytes.slice(), address as Deno.NetAddr];
    return { datagram, from, reply: (message = datagram) => this.send(message, from.port) };
  }

  /** Sends and resolves to the next datagram that comes. */
  async ask(message: Uint8Array | string, { port }: RunningServer): Promise<Uint8Array> {
    await this.send(message, port);
    return (await this.receive()).datagram;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** What a patient client leaves. */
function ask(
  { hostname, port }: { readonly hostname: string; readonly port: number },
  args: readonly string[],
  options?: RunOptions & { stdin?: string },
): Promise<Output> {
  return run(CLIENT, [hostname, `${port}`, ...PATIENT, ...args], options);
}

/** Lets a client find all that is sent at once: of what it hears long after its last answer it tells nothing. */
type AtOnce = (...sends: (() => Promise<void>)[]) => Promise<void>;

/** What the client leaves when it talks to a server of this test, whose port it calls 9001. */
async function talk(
  args: readonly string[],
  serve: (socket: Socket, atOnce: AtOnce) => Promise<void>,
): Promise<Output> {
  using socket = new Socket();
  const patience = args.includes("--timeout") ? [] : PATIENT;
  const client = spawnProgram(CLIENT, ["127.0.0.1", `${socket.port}`, ...patience, ...args]);
  const atOnce = async (...sends: (() => Promise<void>)[]) => {
    client.kill("SIGSTOP");
    for (const send of sends) await send();
    client.kill("SIGCONT");
  };
  const [output] = await Promise.all([finish(client, ""), serve(socket, atOnce)]);
  const stderr = output.stderr.replaceAll(`127.0.0.1:${socket.port}`, "127.0.0.1:9001");
  return { ...output, stderr: stderr.replace(` --port ${socket.port})`, ")") };
}

/** What the protocol's page shows below a command of the client. */
function shown(args: string): string {
  const [, lines] = DOC.split(`$ deno run -N clients/udp_echo.ts ${args}\n`);
  return lines!.slice(0, lines!.search(/^(\$|```)/m));
}

// --- The programs together -------------------------------------------------------------------------------------------

Deno.test("udp_echo: the client prints the echo of each message; the server prints each message", async () => {
  await using server = await startServer(SERVER);
  const client = await ask(server, ["-m", "hello", "-m", "", "-m", "wörld\n"]);
  assertEquals(client, { code: 0, stdout: "hello\n\nwörld\n\n", stderr: "" });
  assertMatch(await server.printed("hello"), /^127\.0\.0\.1:\d+ hello$/);
  assertMatch(await server.printed("wörld"), /^127\.0\.0\.1:\d+ wörld$/);
});

Deno.test("udp_echo: without -m the client sends each line of stdin", async () => {
  await using server = await startServer(SERVER);
  const client = await ask(server, [], { stdin: "one\n\ntwo\xff" });
  assertEquals(client, { code: 0, stdout: "one\n\ntwo\xff\n", stderr: "" });
});

Deno.test("udp_echo: datagrams of 0, 1 and 65507 bytes come back whole", async () => {
  await using server = await startServer(SERVER);
  for (const size of [0, 1, MAX_DATAGRAM]) {
    const message = "x".repeat(size);
    const client = await ask(server, ["-m", message]);
    assertEquals(client, { code: 0, stdout: `${message}\n`, stderr: "" });
    const { code, stdout } = await ask(server, ["--count", "3", "--rate", "20", "--size", `${size}`]);
    assertEquals(code, 0);
    assertMatch(stdout, /^sent 3, received 3, lost 0 \(0%\), duplicated 0, reordered 0, rtt [^\n]+ ms\n$/);
  }
});

Deno.test("udp_echo: 65508 bytes are refused before anything is sent, exit code 2", async () => {
  const why = "65508 bytes do not fit a datagram: 65507 is the most (IPv4: 65535 less headers of 20 and 8 bytes)";
  const help = "(see deno run -N clients/udp_echo.ts --help)";
  using socket = new Socket();
  const refused = async (args: string[], label: string, stdin = "") => {
    const client = await ask({ hostname: "127.0.0.1", port: socket.port }, args, { stdin });
    assertEquals(client, { code: 2, stdout: "", stderr: `udp_echo: ${label}${why} ${help}\n` });
  };
  await refused(["-m", "x".repeat(65_508)], "");
  await refused([], "", "x".repeat(65_508));
  await refused(["--count", "1", "--size", "65508"], "--size: ");
  await socket.send("the first", socket.port);
  assertEquals(decodeText((await socket.receive()).datagram), "the first");
});

Deno.test("udp_echo: --count, --rate, --size and -m that do not go together are refused, exit code 2", async () => {
  for (const args of [["--rate", "5"], ["--size", "5"], ["--count", "5", "-m", "x"], ["--count", "0"]]) {
    const { code, stdout, stderr } = await run(CLIENT, args);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr, /^udp_echo: --(count|rate)[^\n]+\n$/);
  }
});

function whyNoIpv6(): string | undefined {
  try {
    new Socket("::1")[Symbol.dispose]();
    return undefined;
  } catch (error) {
    return reason(error);
  }
}

const noIpv6 = whyNoIpv6();
const skipped = noIpv6 === undefined ? "" : ` (skipped: no IPv6 here: ${noIpv6})`;
Deno.test({ name: `udp_echo: -a ::1 is IPv6, -a :: both${skipped}`, ignore: noIpv6 !== undefined }, async () => {
  for (
    const [listen, hosts] of [["::1", ["::1", "0::1", "[::1]"]], ["::", ["::", "::1", "127.0.0.1", "127.1"]]] as const
  ) {
    await using server = await startServer(SERVER, ["-a", listen]);
    assertEquals(server.stdout.all[0], `listening on udp://[${listen}]:${server.port}`);
    for (const host of hosts) {
      const client = await ask({ hostname: host, port: server.port }, ["-m", host]);
      assertEquals(client, { code: 0, stdout: `${host}\n`, stderr: "" });
    }
    assertMatch(await server.printed(/ ::1$/), /^\[::1\]:\d+ ::1$/);
    if (listen === "::") assertMatch(await server.printed(/ 127\.0\.0\.1$/), /^127\.0\.0\.1:\d+ 127\.0\.0\.1$/);
  }
});

Deno.test("udp_echo: the client takes the address of a server that listens on every one", async () => {
  await using server = await startServer(SERVER, ["-a", "0.0.0.0"]);
  const client = await ask({ hostname: "0.0.0.0", port: server.port }, ["-m", "hello"]);
  assertEquals(client, { code: 0, stdout: "hello\n", stderr: "" });
});

testWithCables("udp_echo: the client takes a link-local address with its zone", async () => {
  const setUp = "ip link set lo up && ip link add eth7 type veth && ip link set eth7 up && " +
    "ip address add fe80::7/64 dev eth7 nodad";
  const command = (path: ProgramPath) => [Deno.execPath(), "run", "-N", `${path}.ts`];
  const argv = ["unshare", "--net", "sh", "-c", `${setUp} && exec "$@"`, "sh", ...command(SERVER)] as const;
  await using server = await startServer(SERVER, ["-a", "::"], { argv });
  const namespace = `--net=/proc/${server.process.pid}/ns/net`;
  const target = { hostname: "fe80::7%eth7", port: server.port };
  const client = await ask(target, ["-m", "hello"], { argv: ["nsenter", namespace, ...command(CLIENT)] });
  assertEquals(client, { code: 0, stdout: "hello\n", stderr: "" });
  assertMatch(await server.printed("hello"), /^\[fe80::.*\]:\d+ hello$/);
});

Deno.test("udp_echo: the client finds a server by its name", async () => {
  await using server = await startServer(SERVER);
  const client = await ask({ hostname: "localhost", port: server.port }, ["-m", "hello"]);
  assertEquals(client, { code: 0, stdout: "hello\n", stderr: "" });
  const unknown = await run(CLIENT, ["nobody.invalid", "-m", "hello"]);
  assertEquals([unknown.code, unknown.stdout], [1, ""]);
  assertMatch(
    unknown.stderr,
    /^udp_echo: find nobody\.invalid: failed to lookup address information: [\w ]+ \(HOST comes first; .*\)\n$/,
  );
});

Deno.test("udp_echo: outside a checkout and without --unstable-net, one line names the flag, exit code 1", async () => {
  const permissions = ["--no-config", "--import-map=deno.json", "-N"];
  const stderr = "udp_echo: open a UDP socket: Deno.listenDatagram is turned off (add the flag --unstable-net)\n";
  for (const path of [SERVER, CLIENT] as const) {
    assertEquals(await run(path, [], { permissions, stdin: "hello" }), { code: 1, stdout: "", stderr });
  }
});

// --- The server ------------------------------------------------------------------------------------------------------

Deno.test("udp_echo: the server shows garbage escaped and echoes it as it came", async () => {
  await using server = await startServer(SERVER);
  using socket = new Socket();
  for (
    const garbage of [Uint8Array.of(0x1b, 0x5b, 0x32, 0x4a, 0xff, 0x00, 0xd0), Uint8Array.of(0xd0), new Uint8Array()]
  ) {
    assertEquals(await socket.ask(garbage, server), garbage);
  }
  const peer = `127.0.0.1:${socket.port}`;
  await socket.ask("end", server);
  await server.printed(`${peer} end`);
  assertEquals(server.stdout.all.slice(1, 4), [`${peer} \\x1b[2J\\xff\\x00\\xd0`, `${peer} \\xd0`, `${peer} `]);
});

Deno.test("udp_echo: the server echoes what has piled up in the order of its arrival", async () => {
  await using server = await startServer(SERVER, ["-q"]);
  using socket = new Socket();
  const pile = Array.from({ length: 100 }, (_, i) => `${i}`);
  server.process.kill("SIGSTOP");
  for (const message of pile) await socket.send(message, server.port);
  server.process.kill("SIGCONT");
  const echoes = [];
  while (echoes.length < pile.length) echoes.push(decodeText((await socket.receive()).datagram));
  assertEquals(echoes, pile);
});

Deno.test("udp_echo: 1000 datagrams of 50 peers come back each to its own sender", async () => {
  await using server = await startServer(SERVER);
  await Promise.all(Array.from({ length: 50 }, async (_, peer) => {
    using socket = new Socket();
    for (let i = 0; i < 20; i++) {
      assertEquals(decodeText(await socket.ask(`${peer}.${i}`, server)), `${peer}.${i}`);
    }
  }));
  using socket = new Socket();
  await socket.ask("end", server);
  await server.printed(/ end$/);
  assertEquals(server.stdout.all.length, 1 + 1000 + 1);
});

Deno.test("udp_echo: peers that are gone before the echo do the server no harm", async () => {
  await using server = await startServer(SERVER);
  for (let i = 0; i < 100; i++) {
    using socket = new Socket();
    await socket.send(`gone ${i}`, server.port);
  }
  using socket = new Socket();
  assertEquals(decodeText(await socket.ask("hello", server)), "hello");
});

Deno.test("udp_echo: the server ends at SIGTERM in the middle of a flood", async () => {
  await using server = await startServer(SERVER, ["-q"]);
  using socket = new Socket();
  let flooding = true;
  const flood = (async () => {
    for (let i = 0; flooding; i++) {
      await socket.send("flood", server.port);
      if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  await socket.receive();
  assertEquals((await server.stop()).code, 0);
  flooding = false;
  await flood;
});

// --- The client and a server that loses, delays, doubles and reorders -----------------------------------------------------

Deno.test("udp_echo: the client asks again for a reply that is lost, and says so", async () => {
  const { code, stdout, stderr } = await talk(["-m", "hello", "--timeout", "2s"], async (socket) => {
    await socket.receive();
    await socket.receive();
    await (await socket.receive()).reply(); // so long may this test be late
  });
  const expected = shown("-m hello --timeout 500ms").replaceAll("500 ms", "2 s");
  assertEquals([code, stderr + stdout], [0, expected]);
});

Deno.test("udp_echo: after the last try one line says so, and how to start the server; exit code 1", async () => {
  const args = "-m hello --timeout 50ms --retries 1";
  const { code, stdout, stderr } = await talk(args.split(" "), async (socket) => {
    await socket.receive();
    await socket.receive();
  });
  assertEquals([code, stderr + stdout], [1, shown(args)]);
});

Deno.test("udp_echo: late and doubled replies are told apart, also after the last answer", async () => {
  const output = await talk(["-m", "hello", "--timeout", "2s"], async (socket, atOnce) => {
    await socket.receive();
    const { reply } = await socket.receive();
    await atOnce(reply, reply, reply);
  });
  const stderr = [
    "udp_echo: 127.0.0.1:9001: reply lost: none within 2 s, asked again (try 2 of 4)\n",
    "udp_echo: 127.0.0.1:9001: late reply: hello\n",
    "udp_echo: 127.0.0.1:9001: doubled reply: hello\n",
  ].join("");
  assertEquals(output, { code: 0, stdout: "hello\n", stderr });
});

Deno.test("udp_echo: a doubled reply is not taken for the answer to the next message", async () => {
  const output = await talk(["-m", "one", "-m", "two"], async (socket) => {
    const one = await socket.receive();
    await one.reply();
    const two = await socket.receive();
    await one.reply();
    await two.reply();
  });
  assertEquals(output, { code: 0, stdout: "one\ntwo\n", stderr: "udp_echo: 127.0.0.1:9001: doubled reply: one\n" });
});

Deno.test("udp_echo: a notice shows a reply escaped and not longer than a line", async () => {
  const output = await talk(["-m", "x"], async (socket, atOnce) => {
    const { reply } = await socket.receive();
    await atOnce(reply, () => reply(`\x1b[2J${"y".repeat(1000)}`));
  });
  const shown = `\\x1b[2J${"y".repeat(36)}`;
  assertEquals(output, { code: 0, stdout: "x\n", stderr: `udp_echo: 127.0.0.1:9001: unexpected reply: ${shown}\n` });
});

Deno.test("udp_echo: a reply from another address is ignored with a notice", async () => {
  using stranger = new Socket();
  const output = await talk(["-m", "hello"], async (socket) => {
    const { from, reply } = await socket.receive();
    await stranger.send("forged", from.port);
    await reply();
  });
  const ignored = `udp_echo: 127.0.0.1:${stranger.port}: ignored: the server is 127.0.0.1:9001\n`;
  assertEquals(output, { code: 0, stdout: "hello\n", stderr: ignored });
});

Deno.test("udp_echo: the client prints the reply of a server that changes messages", async () => {
  const output = await talk(["-m", "hello"], async (socket) => await (await socket.receive()).reply("HELLO"));
  assertEquals(output, { code: 0, stdout: "HELLO\n", stderr: "" });
});

// --- Statistics --------------------------------------------------------------------------------------------------------

Deno.test("udp_echo --count: what the server loses, doubles and reorders is what the line says", async () => {
  const args = "--count 100";
  const { code, stdout, stderr } = await talk([...args.split(" "), "--timeout", "3s"], async (socket) => {
    for (let held: Request | undefined, number = 0; number < 100; number++) {
      const request = await socket.receive();
      const fate = number % 10;
      if (fate === 5) await request.reply();
      if (fate !== 3 && fate !== 7) await request.reply();
      await held?.reply();
      held = fate === 7 ? request : undefined;
    }
  });
  const [counts, times] = stdout.split(" rtt ");
  assertEquals([code, counts, stderr], [0, shown(args).split(" rtt ")[0], ""]);
  assertMatch(times!, /^min\/median\/p99\/max \d+\.\d{3}\/\d+\.\d{3}\/\d+\.\d{3}\/\d+\.\d{3} ms\n$/);
});

Deno.test("udp_echo --count: the last echo is waited for, and its doubles; what is no echo is counted apart", async () => {
  const { code, stdout, stderr } = await talk(["--count", "2", "--timeout", "1h"], async (socket, atOnce) => {
    await (await socket.receive()).reply();
    const { reply } = await socket.receive();
    await atOnce(() => reply("what?"), ...Array(20).fill(reply));
  });
  assertMatch(stdout, /^sent 2, received 2, lost 0 \(0%\), duplicated 19, reordered 0, /);
  assertEquals([code, stderr], [0, "udp_echo: 127.0.0.1:9001: datagrams that are no echoes: 1\n"]);
});

Deno.test("udp_echo --count: nothing comes back: the line, why, and exit code 1", async () => {
  const output = await talk(["--count", "3", "--timeout", "50ms"], async (socket) => {
    for (let number = 0; number < 3; number++) await socket.receive();
  });
  assertEquals(output, {
    code: 1,
    stdout: "sent 3, received 0, lost 3 (100%), duplicated 0, reordered 0, rtt min/median/p99/max -\n",
    stderr: "udp_echo: ask 127.0.0.1:9001: no echo of 3 datagrams " +
      "(is the server running? try: deno run -N servers/udp_echo.ts)\n",
  });
});

Deno.test("udp_echo --count: Ctrl-C prints the line so far, exit code 0", async () => {
  using socket = new Socket();
  const args = ["127.0.0.1", `${socket.port}`, "--count", "1000000", "--timeout", "1h"];
  await using client = start(CLIENT, args);
  for (let number = 0; number < 10; number++) await (await socket.receive()).reply();
  for (let number = 10; number < 200; number++) await socket.receive();
  const { code, stdout, stderr } = await client.stop("SIGINT");
  const [, sent, received] = /^sent (\d+), received (\d+), lost \d+ [^\n]+ ms$/.exec(stdout)!;
  assertEquals([code, received, stderr], [0, "10", ""]);
  assert(Number(sent) >= 200 && Number(sent) < 1_000_000, stdout);
});

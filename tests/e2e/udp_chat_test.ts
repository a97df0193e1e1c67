import { concat } from "@std/bytes";
import { formatAddress } from "../../lib/address.ts";
import { decodeText, encodeText } from "../../lib/bytes.ts";
import { MAX_DATAGRAM } from "../../lib/datagram.ts";
import { reason } from "../../lib/net/failure.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { inTime, run, type RunningServer, start, startServer } from "../harness.ts";

const SERVER = "servers/udp_chat";
const CLIENT = "clients/udp_chat";

/** A plain socket that talks with the server. */
class Socket implements Disposable {
  readonly #socket: Deno.DatagramConn;
  readonly #server: Deno.NetAddr;
  /** What the server calls it. */
  readonly name: string;

  constructor({ hostname, port }: RunningServer, own = "127.0.0.1") {
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname: own, port: 0 });
    this.#server = { transport: "udp", hostname, port };
    this.name = formatAddress(this.#socket.addr as Deno.NetAddr);
  }

  send(datagram: string | Uint8Array): Promise<number> {
    return this.#socket.send(typeof datagram === "string" ? encodeText(datagram) : datagram, this.#server);
  }

  async receive(): Promise<string> {
    const [datagram] = await inTime(this.#socket.receive(), "a datagram");
    return decodeText(datagram);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

function say(server: RunningServer, stdin: string, ...args: string[]) {
  return run(CLIENT, ["127.0.0.1", `${server.port}`, ...args], { stdin });
}

Deno.test("udp_chat: client and operator talk by turns; q of either side ends the talk", async () => {
  await using server = await startServer(SERVER);
  await server.type("1\n2\n");
  assertEquals(await say(server, "one\r\ntwö"), { code: 0, stdout: "1\n2\n", stderr: "" });
  assertMatch(await server.printed("twö"), /^127\.0\.0\.1:\d+ twö$/);
  await server.logged("said goodbye");
  const client = start(CLIENT, ["localhost", `${server.port}`]);
  await client.type("three\n");
  await server.printed("three");
  await server.type("q\n");
  const { code, stdout, stderr } = await client.ended();
  assertEquals([code, stdout, stderr], [0, "", `udp_chat: 127.0.0.1:${server.port} said goodbye`]);
});

Deno.test("udp_chat: the operator answers whoever wrote last, and the screen shows who that is", async () => {
  await using server = await startServer(SERVER);
  using first = new Socket(server);
  using second = new Socket(server);
  await first.send("hello from the first");
  await server.printed(`${first.name} hello from the first`);
  await second.send("hello from the second\n");
  await server.printed(`${second.name} hello from the second`);
  await server.type("to the second\n");
  assertEquals(await second.receive(), "to the second\n");
  await first.send("and me?");
  await server.printed(`${first.name} and me?`);
  await server.type("to the first\n");
  assertEquals(await first.receive(), "to the first\n");
  await server.logged(`${second.name}: is here`);
});

Deno.test("udp_chat: another one's goodbye does not end the talk", async () => {
  await using server = await startServer(SERVER);
  using first = new Socket(server);
  using second = new Socket(server);
  await first.send("hello");
  await server.printed(`${first.name} hello`);
  await second.send("q");
  await server.type("hi\n");
  assertEquals(await first.receive(), "hi\n");
});

Deno.test("udp_chat: a datagram is its lines, its end ends the last one; an empty one is an empty line", async () => {
  await using server = await startServer(SERVER);
  using client = new Socket(server);
  await client.send("one\ntwo\r\nthree");
  await client.send(new Uint8Array());
  await client.send("end");
  await server.printed("end");
  assertEquals(server.stdout.all.slice(1), ["one", "two", "three", "", "end"].map((text) => `${client.name} ${text}`));
});

Deno.test("udp_chat --raw: one datagram is one message, and nothing is appended", async () => {
  await using server = await startServer(SERVER, ["--raw"]);
  using client = new Socket(server);
  await client.send("one\ntwo\n");
  await server.printed("one\\ntwo");
  await server.type("hi\n");
  assertEquals(await client.receive(), "hi");
});

Deno.test("udp_chat: escapes, bidi controls and invalid UTF-8 are shown and not obeyed", async () => {
  await using server = await startServer(SERVER);
  using client = new Socket(server);
  await client.send(concat([encodeText("\x1b[31m\u202e"), Uint8Array.of(0xff, 0xc3)]));
  assertStringIncludes(await server.printed("31m"), `${client.name} \\x1b[31m\\u202e\\xff\\xc3`);
});

Deno.test("udp_chat: the longest datagram arrives whole; a longer one is refused before sending", async () => {
  await using server = await startServer(SERVER);
  await server.type("hi\n");
  const longest = "x".repeat(MAX_DATAGRAM - 1);
  assertEquals((await say(server, longest)).stdout, "hi\n");
  assert((await server.printed("xxx")).endsWith(` ${longest}`));
  const { code, stderr } = await say(server, `${longest}x`);
  const refusal = "udp_chat: send a line: a message of 65508 bytes is too long: limit is 65507 bytes\n";
  assertEquals([code, stderr], [1, refusal]);
});

/** A datagram longer than a line may be: over IPv6 there are 20 bytes more than over IPv4. */
const OVERLONG = new Uint8Array(MAX_DATAGRAM + 13).fill(0x78);

function whyNoIpv6(): string | undefined {
  try {
    Deno.listenDatagram({ transport: "udp", hostname: "::1", port: 0 }).close();
    return undefined;
  } catch (error) {
    return reason(error);
  }
}

const noIpv6 = whyNoIpv6();
const skipped = noIpv6 === undefined ? "" : ` (skipped: no IPv6 here: ${noIpv6})`;
Deno.test({
  name: `udp_chat: a line that is too long is refused, and its sender is heard again${skipped}`,
  ignore: noIpv6 !== undefined,
}, async () => {
  await using server = await startServer(SERVER, ["-a", "::1"]);
  using client = new Socket(server, "::1");
  await client.send(OVERLONG);
  await server.logged("Cannot accept a line: limit is 65507 bytes");
  await client.send("hello\n");
  await server.printed(`${client.name} hello`);
  await server.type("hi\n");
  assertEquals(await client.receive(), "hi\n");
});

Deno.test("udp_chat: Ctrl-C on either side says goodbye to the other", async () => {
  await using server = await startServer(SERVER);
  const [leaving, left] = [
    start(CLIENT, ["127.0.0.1", `${server.port}`]),
    start(CLIENT, ["127.0.0.1", `${server.port}`]),
  ];
  await leaving.type("one\n");
  await server.printed("one");
  assertEquals((await leaving.stop("SIGINT")).code, 0);
  await server.logged("said goodbye");
  await left.type("two\n");
  await server.printed("two");
  assertEquals((await server.stop("SIGINT")).code, 0);
  assertEquals((await left.ended()).stderr, `udp_chat: 127.0.0.1:${server.port} said goodbye`);
});

Deno.test("udp_chat: a pipe gives up when nobody answers in time, and says goodbye", async () => {
  await using server = await startServer(SERVER);
  const { code, stdout, stderr } = await say(server, "", "-m", "hello", "--timeout", "100ms");
  assertEquals([code, stdout, stderr], [1, "", "udp_chat: wait for an answer: no answer within 100 ms\n"]);
  await server.logged("said goodbye");
});

Deno.test("udp_chat: the client hears its server and no stranger", async () => {
  await using server = await startServer(SERVER);
  const client = start(CLIENT, ["127.0.0.1", `${server.port}`]);
  await client.type("hello\n");
  const [name] = (await server.printed("hello")).split(" ");
  using stranger = new Socket({ hostname: "127.0.0.1", port: Number(name!.split(":")[1]) } as RunningServer);
  await stranger.send("psst\n");
  await client.logged(`${stranger.name}: ignored`);
  await server.type("hi\nq\n");
  await client.printed("hi");
  await client.type("bye\n");
  assertEquals((await client.ended()).stdout, "hi");
});

/**
 * The person in front of the files client: the prompt, Tab, how a transfer goes, and the question when it is stuck.
 * @module
 */
import { Dialer, type Link, LinkLostError } from "../../lib/net/files/link.ts";
import { connectTcp, type TcpConnection } from "../../lib/net/tcp.ts";
import { assertEquals, assertMatch, assertRejects } from "../assert.ts";
import { inTime, testWith } from "../harness.ts";
import { Screen } from "../screen.ts";
import { type Fault, FaultProxy } from "./fault_proxy.ts";
import { Client } from "./files_ways.ts";
import { FileServer, noise } from "./files_wire.ts";
import type { Target } from "./hostile.ts";

const MIB = 2 ** 20;

/** The client on a screen. */
function open(client: Client, { hostname, port }: Target, ...args: string[]): Screen {
  return Screen.run("clients/files", hostname, `${port}`, ...args, "--owner", client.path("owner"));
}

testWith(["python3"], "clients/files: the prompt completes commands and names, and knows its history", async () => {
  await using server = await FileServer.start();
  await using client = new Client();
  await server.folder.write("photograph", "hello");
  await using screen = open(client, server.process);
  await screen.shows("files 127.0.0.1>");
  await screen.type("ec");
  await screen.shows("files 127.0.0.1> ec");
  await screen.type("\t");
  await screen.shows("files 127.0.0.1> echo");
  await screen.type("hi\r");
  await screen.shows("files 127.0.0.1> echo hi", "hi", "files 127.0.0.1>");
  await screen.type("stat pho");
  await screen.type("\t");
  await screen.shows("files 127.0.0.1> stat photograph");
  await screen.type("\r");
  await screen.shows("photograph: complete, 5 bytes", "files 127.0.0.1>");
  await screen.type("\x1b[A\x1b[A\r");
  await screen.shows("files 127.0.0.1> echo hi", "hi", "files 127.0.0.1>");
  await screen.type("nope\r");
  await screen.find(/unknown command "nope"/);
  await screen.type("quit\r");
  const { code, terminal } = await screen.ended();
  assertEquals([code, terminal], [0, "as it was"]);
});

testWith(["python3"], "clients/files: Tab completes in the middle of keys that come at once", async () => {
  await using server = await FileServer.start();
  await using client = new Client();
  await server.folder.write("photograph", "hello");
  await client.folder.write("two words", "12");
  await using screen = open(client, server.process);
  await screen.shows("files 127.0.0.1>");
  await screen.type("sta\tpho\t\rec\thi\r");
  await screen.find(/photograph: complete, 5 bytes[^]*^hi$/m);
  await screen.type(`put "${client.path("two\t")} up\r`);
  await screen.find(/up: 2 bytes in/);
  await screen.type("stat u\t\r");
  await screen.find(/up: complete, 2 bytes/);
  await screen.type("quit\r");
  assertEquals((await screen.ended()).code, 0);
  assertEquals(server.files(), ["photograph", "up"]);
});

const NAME_OF_PARTIAL = /^\.a\.[0-9a-f]{16}\.part$/;
/** What may be answered while how many more connections fail, and what becomes of it. */
const ANSWERS: { keys: string; cuts: number; code: number; shows: RegExp; leaves: RegExp | undefined }[] = [
  // what is no answer is asked again
  { keys: "x\rr\r", cuts: 1, code: 0, shows: /iscard\? .*trying again 1\/5.*resumed from 0, 7 breaks/, leaves: /^a$/ },
  { keys: "k\r", cuts: 1, code: 75, shows: /a: kept at \d/, leaves: NAME_OF_PARTIAL },
  { keys: "d\r", cuts: 0, code: 1, shows: /given up, nothing is kept/, leaves: undefined },
  { keys: "d\r", cuts: 1, code: 1, shows: /given up, but what has come is still there/, leaves: NAME_OF_PARTIAL },
];

testWith(
  ["python3"],
  "clients/files: when the tries are used up the user is asked: retry, keep or discard",
  async () => {
    await Promise.all(ANSWERS.map(async ({ keys, cuts, code, shows, leaves }) => {
      await using server = await FileServer.start();
      await using client = new Client();
      const path = await client.folder.write("a", noise(6 * MIB));
      const early: Fault = { side: "server", after: 10, kind: "cut" };
      using proxy = new FaultProxy(() => server.process, [
        { side: "client", after: 3 * MIB, kind: "cut" },
        ...Array(5 + cuts).fill(early),
      ]);
      await using screen = open(client, proxy, "put", path);
      await screen.find(/trying again 5\/5/);
      await screen.find(/\[d\]iscard\?$/);
      await screen.rests(300); // longer than from one drawing of the progress to the next
      await screen.find(/\[d\]iscard\?$/);
      await screen.type(keys);
      const { code: actual, lines, terminal } = await screen.ended();
      assertEquals([actual, terminal], [code, "as it was"]);
      assertMatch(lines.join(""), shows);
      const [left] = server.files();
      if (leaves === undefined) assertEquals(left, undefined);
      else assertMatch(left!, leaves);
    }));
  },
);

testWith(["python3"], "clients/files: how a transfer goes is a line that ends with it; keys stay whole", async () => {
  await using server = await FileServer.start("--rate", "4MiB");
  await using client = new Client();
  const path = await client.folder.write("a", noise(10 * MIB));
  const freeze: Fault = { side: "client", after: 8 * MIB, kind: "freeze" };
  using proxy = new FaultProxy(() => server.process, [freeze]);
  await using screen = open(client, proxy);
  await screen.shows("files 127.0.0.1>");
  await screen.type(`put "${path}"\r`);
  await screen.find(/^a +\d+ % \d\/10 MiB {2}\d+\.\d MB\/s {2}ETA 0:0\d/m);
  await screen.type("hi");
  await screen.find(/ETA 0:0\d hi$/);
  await screen.find(/^a +\d+ % \d\/10 MiB {2}stalled hi$/m);
  await screen.type("\x03");
  const { code, lines, terminal } = await screen.ended();
  assertEquals([code, terminal], [75, "as it was"]);
  assertMatch(lines.join("\n"), /\/a"\nfiles: a: interrupted at \d+\.\d % [^]*\nre\)\nhi$/); // no trace of the line
});

testWith(
  ["python3"],
  "clients/files: a command without the prompt shows how it goes, and leaves its result",
  async () => {
    await using server = await FileServer.start("--rate", "4MiB");
    await using client = new Client();
    await server.folder.write("a", noise(6 * MIB));
    await using screen = open(client, server.process, "get", "a", client.path("b"));
    await screen.find(/^a +\d+ % \d\/6 MiB {2}\d+\.\d MB\/s {2}ETA 0:0\d$/);
    const { code, lines } = await screen.ended();
    assertEquals(code, 0);
    assertMatch(lines.join(""), /^a: 6291456 bytes in [^%]*sha256=[0-9a-f]{64}$/);
  },
);

testWith(["python3"], "clients/files: how a transfer goes is shown to its end, also after Ctrl-D", async () => {
  await using server = await FileServer.start("--rate", "4MiB");
  await using client = new Client();
  const path = await client.folder.write("a", noise(10 * MIB));
  await using screen = open(client, server.process);
  await screen.shows("files 127.0.0.1>");
  await screen.type(`put "${path}"\r`);
  await screen.find(/^a +\d+ % \d+\/10 MiB/m);
  await screen.type("\x04");
  await screen.find(/^a +\d+ % [5-9]\/10 MiB/m);
  const { code, lines, terminal } = await screen.ended();
  assertEquals([code, terminal], [0, "as it was"]);
  assertMatch(lines.join(""), /\/a"a: 10485760 bytes in [^%]*$/);
});

testWith(["python3"], "clients/files: how a transfer goes is shown for a command of -m as well", async () => {
  await using server = await FileServer.start("--rate", "4MiB");
  await using client = new Client();
  await server.folder.write("a", noise(6 * MIB));
  await using screen = open(client, server.process, "-m", `get a "${client.path("b")}"`, "-m", "echo done");
  await screen.find(/^a +\d+ % \d\/6 MiB/);
  const { code, lines } = await screen.ended();
  assertEquals(code, 0);
  assertMatch(lines.join(""), /^a: 6291456 bytes in [^%]*done$/);
});

testWith(
  ["python3"],
  "clients/files: the prompt finds out that the link is dead, the next command makes a new one",
  async () => {
    await using server = await FileServer.start();
    await using client = new Client();
    const beats = "NOOP\r\n".repeat(2);
    using proxy = new FaultProxy(() => server.process, [{ side: "client", after: beats.length, kind: "freeze" }]);
    await using screen = open(client, proxy, "--timeout", "1s");
    await screen.shows("files 127.0.0.1>");
    await screen.type("ech");
    await screen.find(/^files: link lost: [^]*\nfiles 127\.0\.0\.1> ech$/m);
    assertEquals(proxy.connections, 1);
    await screen.type("o back\r");
    await screen.find(/^back$/m);
    assertEquals(proxy.connections, 2);
    await screen.type("quit\r");
    assertEquals((await screen.ended()).code, 0);
  },
);

testWith(
  ["python3"],
  "clients/files: Tab during a transfer says nothing to the server, whose bytes those would be",
  async () => {
    await using server = await FileServer.start("--rate", "8MiB");
    await using client = new Client();
    const content = noise(24 * MIB); // more than what the system holds of what was sent
    const path = await client.folder.write("a", content);
    await using screen = open(client, server.process);
    await screen.shows("files 127.0.0.1>");
    await screen.type(`put "${path}"\r`);
    await screen.find(/ETA 0:0\d$/);
    await screen.type("stat \t");
    await screen.find(/^a: 25165824 bytes in/m);
    await screen.type("a\r");
    await screen.find(/^a: complete, 25165824 bytes$/m);
    await screen.type("quit\r");
    const { code, lines } = await screen.ended();
    assertEquals([code, lines.filter((line) => /trying again|breaks/.test(line))], [0, []]);
    assertEquals(server.read("a"), content);
  },
);

Deno.test("Dialer: a talk, a question and a heartbeat at the same time have the link one after the other", async () => {
  await using server = await FileServer.start();
  const { hostname, port } = server.process;
  const connect = () => connectTcp({ hostname, port, timeout: 0 });
  const { signal } = new AbortController();
  await using dialer = new Dialer({ hostname, connect, timeout: 0, signal, explain: () => {} });
  const say = (link: { ask: Link["ask"] }, text: string) => link.ask({ verb: "ECHO", text });
  const talk = dialer.talk(async (link) => [await say(link, "1"), await say(link, "2")]);
  const [[one, two], three] = await Promise.all([talk, say(dialer, "3"), dialer.beat(0)]);
  assertEquals([one!.text, two!.text, three.text], ["1", "2", "3"]);
});

Deno.test("Dialer: an interruption does not wait for a server that does not answer; who answers later is let go", async () => {
  await using server = await FileServer.start();
  const { hostname, port } = server.process;
  const connected = Promise.withResolvers<TcpConnection>();
  const stop = new AbortController();
  const { signal } = stop;
  await using dialer = new Dialer({
    hostname,
    connect: () => connected.promise,
    timeout: 0,
    signal,
    explain: () => {},
  });
  const link = dialer.get();
  stop.abort();
  await inTime(assertRejects(() => link, LinkLostError, "interrupted"), "the interruption");
  const late = await connectTcp({ hostname, port, timeout: 0 });
  connected.resolve(late);
  await inTime(late.closed, "its end");
});

testWith(
  ["python3"],
  "clients/files: what is typed before the question is no answer to it, but the next command",
  async () => {
    await using server = await FileServer.start("--quota", "1MiB");
    await using client = new Client();
    const path = await client.folder.write("a", noise(2 * MIB));
    await using screen = open(client, server.process);
    await screen.shows("files 127.0.0.1>");
    await screen.type(`put "${path}"\rrm-partial a\r`);
    await screen.find(/^files: a: stopped at 0 %: [^]*\[d\]iscard\?$/m);
    await screen.type("kx\r"); // no answer either
    await screen.find(/\[d\]iscard\? kx[^]*\[d\]iscard\?$/);
    await screen.type("k\r");
    await screen.find(/\[d\]iscard\? k\nfiles: a: kept at 0 % [^]*nothing has\ncome of a\n/);
    await screen.type("quit\r");
    assertEquals((await screen.ended()).code, 0);
  },
);

testWith(["python3"], "clients/files: at a terminal, too, the first of -m that fails is the end", async () => {
  await using server = await FileServer.start();
  await using client = new Client();
  await using screen = open(client, server.process, "-m", "stat nope", "-m", "echo two");
  const { code, lines } = await screen.ended();
  assertEquals([code, lines], [1, ["files: the server says: 550 no such file", ": nope"]]);
});

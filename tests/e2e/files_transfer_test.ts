/**
 * Transfers that break: the client repairs them by itself, and what it stores is whole or not there.
 * @module
 */
import { decodeText, encodeText } from "../../lib/bytes.ts";
import { FOLLOWS, SENT } from "../../lib/files/replies.ts";
import { writeAll } from "../../lib/net/tcp.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { inTime, startServer } from "../harness.ts";
import { type Fault, FaultProxy } from "./fault_proxy.ts";
import { arrived, Client, prepare, readArrived, testEach, WAYS } from "./files_ways.ts";
import { FileServer, noise, sha256 } from "./files_wire.ts";

const MIB = 2 ** 20;

testEach(WAYS, "files: cut at every sixteenth of 64 MiB, one run of the client repairs all of it", async (way) => {
  const content = noise(64 * MIB);
  await using server = await FileServer.start();
  await using client = new Client();
  const args = await prepare(way, content, client, server);
  const cut: Fault = { side: way.side, after: 4 * MIB, kind: "cut" };
  using proxy = new FaultProxy(() => server.process, Array(16).fill(cut));
  const { code, stdout, stderr } = await client.run(proxy, ...args);
  assertEquals(code, 0, stderr);
  assertEquals(sha256(readArrived(way, client, server)), sha256(content));
  assertEquals(arrived(way, client, server), ["a"]);
  assertStringIncludes(stdout, sha256(content));
  const breaks = Number(/resumed from 0, (\d+) breaks/.exec(stdout)![1]);
  assert(breaks >= 15, stdout);
  assertEquals(stderr.match(/link lost at [\d.]+ %: .*, trying again 1\/5/g)?.length, breaks, stderr);
});

testEach(WAYS, "files: a link that says nothing any more is found by the time-out", async (way) => {
  const content = noise(8 * MIB);
  await using server = await FileServer.start();
  await using client = new Client();
  const args = await prepare(way, content, client, server);
  using proxy = new FaultProxy(() => server.process, [{ side: way.side, after: 3 * MIB, kind: "freeze" }]);
  const { code, stderr } = await client.run(proxy, ...args, "--timeout", "1s");
  assertEquals(code, 0, stderr);
  assertStringIncludes(stderr, "no byte has moved for 1 s, trying again 1/5");
  assertEquals(readArrived(way, client, server), content);
});

testEach(WAYS, "files: Ctrl-C keeps what has come, says how to go on, exit code 75", async (way) => {
  const content = noise(8 * MIB);
  await using server = await FileServer.start();
  await using client = new Client();
  const args = await prepare(way, content, client, server);
  const reached = Promise.withResolvers<void>();
  const fault: Fault = { side: way.side, after: 3 * MIB, kind: "freeze", happened: () => reached.resolve() };
  using proxy = new FaultProxy(() => server.process, [fault]);
  const program = client.start(proxy, ...args);
  await inTime(reached.promise, "the fault");
  const { code, stderr } = await program.stop("SIGINT");
  assertEquals(code, 75, stderr);
  assertMatch(stderr, /a: interrupted at [\d.]+ % \(run the same command again: it goes on from there\)/);
  const { stdout } = await client.run(proxy, ...args);
  assertMatch(stdout, /resumed from [1-9]\d*, 0 breaks/);
  assertEquals(readArrived(way, client, server), content);
});

testEach(WAYS, "files: five tries without progress, then it is kept: exit code 75", async (way) => {
  const content = noise(4 * MIB);
  await using server = await FileServer.start();
  await using client = new Client();
  const args = await prepare(way, content, client, server);
  const early: Fault = { side: "server", after: 10, kind: "cut" };
  const first: Fault = { side: way.side, after: 2 * MIB, kind: "cut" };
  using proxy = new FaultProxy(() => server.process, [first, ...Array(20).fill(early)]);
  const { code, stderr } = await client.run(proxy, ...args);
  assertEquals(code, 75, stderr);
  assertEquals(stderr.match(/trying again (\d)\/5/g)?.at(-1), "trying again 5/5");
  assertStringIncludes(stderr, "a: kept at ");
});

testEach(WAYS, "files: 0 bytes, and without hashing", async (way) => {
  await using server = await FileServer.start();
  await using client = new Client();
  for (const [content, ...options] of [[new Uint8Array()], [noise(3 * MIB), "--no-verify", "--overwrite"]] as const) {
    const args = await prepare(way, content, client, server);
    const { code, stdout, stderr } = await client.run(server.process, ...args, ...options);
    assertEquals(code, 0, stderr);
    assertEquals(readArrived(way, client, server), content);
    assertStringIncludes(stdout, options.length > 0 ? "not verified" : `sha256=${sha256(content)}`);
  }
});

Deno.test("files: a download goes on beyond 4 GiB", async () => {
  await using server = await FileServer.start();
  await using client = new Client();
  const size = 5 * 2 ** 30;
  const source = await server.folder.write("a", "");
  Deno.truncateSync(source, size);
  const mtime = Deno.statSync(source).mtime!.getTime();
  const partial = await client.folder.write(client.partial("a").slice(client.path("").length), "");
  Deno.truncateSync(partial, size - 3);
  await Deno.writeTextFile(`${partial}.json`, JSON.stringify({ size, mtime }));
  const { code, stdout, stderr } = await client.run(server.process, "get", "a", client.path("a"), "--no-verify");
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, `resumed from ${size - 3}`);
  assertEquals(Deno.statSync(client.path("a")).size, size);
});

testEach(WAYS, "files: without hashing a transfer goes on where it broke off", async (way) => {
  const content = noise(12 * MIB);
  await using server = await FileServer.start();
  await using client = new Client();
  const args = await prepare(way, content, client, server);
  using proxy = new FaultProxy(() => server.process, [{ side: way.side, after: 5 * MIB, kind: "cut" }]);
  const { code, stdout, stderr } = await client.run(proxy, ...args, "--no-verify");
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, "1 break,");
  assertEquals(readArrived(way, client, server), content);
});

testEach(
  WAYS,
  "files: a source that is another one after the break is never mixed, of the same size too",
  async (way) => {
    const [before, after] = [noise(24 * MIB), noise(24 * MIB, 2)]; // more than the sockets hold: no end before the cut
    for (const verify of way.name === "put" ? [true] : [true, false]) {
      await using server = await FileServer.start();
      await using client = new Client();
      const args = await prepare(way, before, client, server);
      const folder = way.name === "put" ? client.folder : server.folder;
      const change = async () => {
        using file = await Deno.open(`${folder.path}/a`, { write: true }); // it is never shorter
        await writeAll(file, after);
      };
      const fault: Fault = { side: way.side, after: 3 * MIB, kind: "cut", happened: change };
      using proxy = new FaultProxy(() => server.process, [fault]);
      const { code, stdout, stderr } = await client.run(proxy, ...args, ...(verify ? [] : ["--no-verify"]));
      assertEquals(code, 0, stderr);
      assertStringIncludes(stderr, "it begins anew");
      assertEquals(readArrived(way, client, server), after);
      assertStringIncludes(stdout, verify ? sha256(after) : "not verified");
    }
  },
);

const HASHING = [{ name: "both ends hash", options: [] }, { name: "nobody hashes", options: ["--no-verify"] }];
testEach(HASHING, "files: a source that changes while it is sent is not stored", async ({ options }) => {
  await using server = await FileServer.start();
  await using client = new Client();
  const path = await client.folder.write("a", noise(24 * MIB));
  const happened = async () => {
    using file = await Deno.open(path, { write: true });
    await writeAll(file, noise(24 * MIB, 2));
  };
  using proxy = new FaultProxy(() => server.process, [{ side: "client", after: 3 * MIB, kind: "pause", happened }]);
  const { code, stderr } = await client.run(proxy, "put", path, ...options);
  assertEquals(code, 1, stderr);
  assertStringIncludes(stderr, "it has changed while it was sent: nothing is stored");
  await server.process.logged("a: broken off at ");
  assertEquals(server.files().includes("a"), false);
});

/** What may have happened to what was kept of a download. */
const DAMAGES: { name: string; damage: (partial: string) => void; anew: boolean }[] = [
  { name: "nothing", damage: () => {}, anew: false },
  { name: "a byte flipped", damage: (partial) => flip(partial), anew: true },
  {
    name: "too long",
    damage: (partial) => Deno.writeFileSync(partial, new Uint8Array(9 * MIB), { append: true }),
    anew: true,
  },
  { name: "empty", damage: (partial) => Deno.truncateSync(partial), anew: false },
  { name: "no record", damage: (partial) => Deno.removeSync(`${partial}.json`), anew: false },
  { name: "a damaged record", damage: (partial) => Deno.writeTextFileSync(`${partial}.json`, "{"), anew: false },
];

function flip(path: string): void {
  const bytes = Deno.readFileSync(path);
  bytes[1000]! ^= 1;
  Deno.writeFileSync(path, bytes);
}

testEach(DAMAGES, "files: what was kept of a download is proved before it is used", async ({ damage, anew }) => {
  const content = noise(6 * MIB);
  await using server = await FileServer.start();
  await using client = new Client();
  await server.folder.write("a", content);
  const reached = Promise.withResolvers<void>();
  const fault: Fault = { side: "server", after: 4 * MIB, kind: "freeze", happened: () => reached.resolve() };
  using proxy = new FaultProxy(() => server.process, [fault]);
  const args = ["get", "a", client.path("a")];
  const program = client.start(proxy, ...args);
  await inTime(reached.promise, "the fault");
  assertEquals((await program.stop("SIGINT")).code, 75);
  damage(client.partial("a"));
  const { code, stdout, stderr } = await client.run(proxy, ...args);
  assertEquals(code, 0, stderr);
  assertEquals(stderr.includes("it begins anew"), anew, stderr);
  assertEquals(client.read("a"), content);
  assertEquals(client.files(), ["a"]);
  assertStringIncludes(stdout, sha256(content));
});

/** What may stand where a file is to be. */
const PLANTED: { name: string; plant: (path: string, client: Client) => void }[] = [
  { name: "a link", plant: (path, client) => Deno.symlinkSync(client.path("victim"), path) },
  { name: "a pipe", plant: (path) => new Deno.Command("mkfifo", { args: [path] }).outputSync() },
  { name: "a folder", plant: (path) => Deno.mkdirSync(path) },
];

testEach(
  PLANTED,
  "files: what is no plain file is never written, in place of the file or of the partial",
  async ({ plant }) => {
    await using server = await FileServer.start();
    await using client = new Client();
    await server.folder.write("a", noise(MIB));
    await client.folder.write("victim", "untouched");
    for (
      const [place, ...options] of [[client.path("a"), "--overwrite"], [client.path("a")], [
        client.partial("a"),
      ]] as const
    ) {
      plant(place, client);
      const { code, stderr } = await client.run(server.process, "get", "a", client.path("a"), ...options);
      assertEquals(code, 1, stderr);
      assertStringIncludes(stderr, "no plain file");
      assertEquals(new TextDecoder().decode(client.read("victim")), "untouched");
      Deno.removeSync(place, { recursive: true });
      const put = async () => {
        plant(place, client);
        return await client.run(server.process, "put", place, "b");
      };
      if (plant !== PLANTED[0]!.plant) assertStringIncludes((await put()).stderr, "no plain file");
      else assertEquals((await put()).code, 0); // what a link leads to may be sent
      Deno.removeSync(place, { recursive: true });
      await Deno.remove(`${server.folder.path}/b`).catch(() => {});
    }
  },
);

Deno.test("files: a file that is there: the same one is a success, another one stays as it is", async () => {
  await using server = await FileServer.start();
  await using client = new Client();
  const content = noise(MIB);
  for (const way of WAYS) {
    const args = await prepare(way, content, client, server);
    assertEquals((await client.run(server.process, ...args)).code, 0);
    const again = await client.run(server.process, ...args);
    assertEquals(again.code, 0, again.stderr);
    assertStringIncludes(again.stdout, "is there already");
    const other = noise(MIB, 3);
    await prepare(way, other, client, server);
    const refused = await client.run(server.process, ...args);
    assertEquals(refused.code, 1, refused.stdout);
    assertMatch(refused.stderr, way.name === "put" ? /555 a exists/ : /--overwrite replaces it/);
    assertEquals(readArrived(way, client, server), content);
    assertEquals((await client.run(server.process, ...args, "--overwrite")).code, 0);
    assertEquals(readArrived(way, client, server), other);
    for (const folder of [server.folder, client.folder]) await Deno.remove(`${folder.path}/a`);
  }
});

Deno.test("files: two downloads to one place: the second is refused, the first is whole", async () => {
  await using server = await FileServer.start();
  await using client = new Client();
  await server.folder.write("a", noise(4 * MIB));
  const reached = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const happened = () => {
    reached.resolve();
    return go.promise;
  };
  using proxy = new FaultProxy(() => server.process, [{ side: "server", after: 2 * MIB, kind: "cut", happened }]);
  const args = ["get", "a", client.path("a")];
  const first = client.start(proxy, ...args);
  await inTime(reached.promise, "the fault");
  const second = await client.run(server.process, ...args);
  assertEquals(second.code, 1);
  assertStringIncludes(second.stderr, "another download of it is under way");
  go.resolve();
  const { code, stderr } = await first.ended();
  await first.stop();
  assertEquals(code, 0, stderr);
  assertEquals(client.read("a"), noise(4 * MIB));
});

Deno.test("files: rm-partial leaves alone a download that is under way, and removes one that is not", async () => {
  await using server = await FileServer.start();
  await using client = new Client();
  await server.folder.write("a", noise(4 * MIB));
  const remove = () => client.run(server.process, "rm-partial", "a", client.path("a"));
  const happened = async () => {
    const { code, stderr } = await remove();
    assertEquals([code, stderr.includes("another download of it is under way")], [1, true], stderr);
  };
  using proxy = new FaultProxy(() => server.process, [{ side: "server", after: 2 * MIB, kind: "pause", happened }]);
  const { code, stderr } = await client.run(proxy, "get", "a", client.path("a"));
  assertEquals([code, stderr, client.files()], [0, "", ["a"]]);
  await Deno.writeFile(client.partial("b", "a"), noise(3));
  const { stdout } = await client.run(server.process, "rm-partial", "a", client.path("b"));
  assertEquals([stdout, client.files()], ["a: removed here\n", ["a"]]);
});

Deno.test("files: an upload that a newer run of the same user takes over stops and is not fought for", async () => {
  await using server = await FileServer.start();
  await using client = new Client();
  const content = noise(8 * MIB);
  const path = await client.folder.write("a", content);
  const reached = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const happened = () => {
    reached.resolve();
    return go.promise;
  };
  // the server's word still comes through: only what the client sends is held back
  using proxy = new FaultProxy(() => server.process, [{ side: "client", after: 3 * MIB, kind: "freeze", happened }]);
  const first = client.start(proxy, "put", path);
  await inTime(reached.promise, "the fault");
  const second = await client.run(server.process, "put", path);
  assertEquals(second.code, 0, second.stderr);
  go.resolve();
  const { code, stderr } = await first.ended();
  await first.stop();
  assertEquals(code, 1, stderr);
  assertStringIncludes(stderr, "taken over");
  assertEquals(server.read("a"), content);
});

Deno.test("files: who looks with stat how far an upload of his own is does not end it", async () => {
  await using server = await FileServer.start();
  await using client = new Client();
  const path = await client.folder.write("a", noise(4 * MIB));
  const happened = async () => {
    const { stderr } = await client.run(server.process, "stat", "a");
    assertEquals(stderr, "files: the server says: 550 no such file: a\n"); // nothing of it is durable yet
  };
  using proxy = new FaultProxy(() => server.process, [{ side: "client", after: 2 * MIB, kind: "pause", happened }]);
  const { code, stderr } = await client.run(proxy, "put", path);
  assertEquals([code, stderr, proxy.connections], [0, "", 1]);
});

Deno.test("files: a server whose folder is that of a download leaves alone what has come of it", async () => {
  await using server = await FileServer.start();
  await using client = new Client();
  const content = noise(4 * MIB);
  await server.folder.write("a", content);
  const happened = async () => {
    await using _ = await startServer("servers/files", ["--root", client.folder.path]);
  };
  using proxy = new FaultProxy(() => server.process, [{ side: "server", after: 2 * MIB, kind: "pause", happened }]);
  const { code, stderr } = await client.run(proxy, "get", "a", client.path("a"));
  assertEquals([code, stderr], [0, ""]);
  assertEquals(client.read("a"), content);
});

Deno.test("files: an upload whose last reply was lost is a success, without hashing too", async () => {
  await using server = await FileServer.start();
  await using client = new Client();
  let said = "";
  for (const options of [[], ["--no-verify"]]) {
    said = "";
    const [a, b] = [await client.folder.write("a", noise(1000)), await client.folder.write("b", noise(1000))];
    using whole = new FaultProxy(() => server.process, [], (_, side, bytes) => {
      if (side === "server") said += decodeText(bytes);
    });
    assertEquals((await client.run(whole, "put", a, ...options)).code, 0);
    const after = said.indexOf("226 ") + 1;
    using proxy = new FaultProxy(() => server.process, [{ side: "server", after, kind: "cut" }]);
    const { code, stdout, stderr } = await client.run(proxy, "put", b, ...options);
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, "trying again 1/5");
    assertStringIncludes(stdout, "b: is there already: 1000 bytes");
    for (const name of ["a", "b"]) await Deno.remove(`${server.folder.path}/${name}`);
  }
});

Deno.test("files: what does not have the server's digest is not kept", async () => {
  await using client = new Client();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serve = async () => {
    using connection = await inTime(listener.accept(), "the client");
    await writeAll(connection, encodeText("220 hello\r\n"));
    await inTime(connection.read(new Uint8Array(1000)), "the client");
    const head = FOLLOWS.format({ count: 5, offset: 0, size: 5, sha256: undefined, mtime: 1, name: "a" });
    const end = SENT.format({ count: 5, sha256: "0".repeat(64) });
    await writeAll(connection, encodeText(`150 ${head}\r\nhello226 ${end}\r\n`));
    await inTime(connection.read(new Uint8Array(1000)), "the client");
  };
  const target = { hostname: "127.0.0.1", port: listener.addr.port };
  const [{ code, stderr }] = await Promise.all([client.run(target, "get", "a", client.path("a")), serve()]);
  assertEquals([code, client.files()], [1, []]);
  assertStringIncludes(stderr, "its SHA-256 is not the server's");
});

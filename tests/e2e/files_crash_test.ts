/**
 * Either end is killed in the middle of transfers (SIGKILL: it cannot put anything in order), and started again: what was
 * acknowledged is there, and what is stored is whole.
 * @module
 */
import { decodeText } from "../../lib/bytes.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import { inTime, type RunningServer, startServer } from "../harness.ts";
import { type Fault, FaultProxy } from "./fault_proxy.ts";
import { arrived, Client, prepare, readArrived, testEach, WAYS } from "./files_ways.ts";
import { FileServer, noise, sha256 } from "./files_wire.ts";

const MIB = 2 ** 20;
const KILLS = 20;

/** Numbers from 0 up to 1, the same every time. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1103515245 + 12345) % 2 ** 31) / 2 ** 31;
}

/** Starts the server again on the same folder; the proxy knows its new port, which nobody can have taken meanwhile. */
async function restart(server: RunningServer, root: string): Promise<RunningServer> {
  await server.stop("SIGKILL");
  return await startServer("servers/files", ["--root", root]);
}

/** All numbers that stand after `pattern` at the beginning of a line. */
function numbersAfter(pattern: string, text: string): number[] {
  return Array.from(text.matchAll(new RegExp(`^${pattern}(\\d+)`, "gm")), ([, number]) => Number(number));
}

Deno.test("files: uploads outlive 20 kills of the server: what it called durable is there after each", async () => {
  const random = seeded(7);
  const [files, size] = [10, 192 * MIB]; // 64 MiB become durable at a time: no upload is through after two kills
  const acknowledged: number[] = [];
  for (let file = 0; file < files; file++) {
    await using server = await FileServer.start();
    await using client = new Client();
    const path = await client.folder.write("a", noise(size, file + 1));
    let current = server.process;
    const happened = async () => void (current = await restart(current, server.folder.path));
    const faults = Array.from({ length: KILLS / files }, (): Fault => {
      return { side: "client", after: Math.floor((40 + 80 * random()) * MIB), kind: "cut", happened };
    });
    const said: string[] = [];
    const watch = (connection: number, side: Fault["side"], bytes: Uint8Array) => {
      if (side === "server") said[connection - 1] = (said[connection - 1] ?? "") + decodeText(bytes);
    };
    using proxy = new FaultProxy(() => current, faults, watch);
    const { code, stdout, stderr } = await client.run(proxy, "put", path).finally(() => current.stop());
    assertEquals(code, 0, stderr);
    assertStringIncludes(stdout, `resumed from 0, ${faults.length} breaks`);
    let durable = 0; // as far as the client knows
    for (const lines of said) {
      const [offset = 0] = numbersAfter("350 partial ", lines);
      assert(offset >= durable, `${durable} bytes were called durable, and ${offset} are there`);
      const seen = numbersAfter("110 ", lines);
      acknowledged.push(...seen);
      durable = Math.max(offset, ...seen);
    }
    assertEquals(server.files(), ["a"]);
    assertEquals(sha256(server.read("a")), sha256(noise(size, file + 1)));
  }
  assert(acknowledged.filter((bytes) => bytes > 0).length >= KILLS / 2, `${acknowledged}`);
});

Deno.test("files: downloads outlive 20 kills of the server: each byte that has come is used", async () => {
  const random = seeded(11);
  const [files, size] = [4, 64 * MIB];
  for (let file = 0; file < files; file++) {
    await using server = await FileServer.start();
    await using client = new Client();
    await server.folder.write("a", noise(size, file + 1));
    let current = server.process;
    const happened = async () => void (current = await restart(current, server.folder.path));
    const faults = Array.from({ length: KILLS / files }, (): Fault => {
      return { side: "server", after: Math.floor(12 * MIB * random()), kind: "cut", happened };
    });
    const tries: { asked: string; head: string; passed: number }[] = [];
    const watch = (connection: number, side: Fault["side"], bytes: Uint8Array) => {
      const one = tries[connection - 1] ??= { asked: "", head: "", passed: 0 };
      if (side === "client") return void (one.asked += decodeText(bytes));
      one.passed += bytes.length;
      if (one.head.length < 1000) one.head += String.fromCharCode(...bytes.subarray(0, 1000)); // of lines, then the body
    };
    using proxy = new FaultProxy(() => current, faults, watch);
    const run = client.run(proxy, "get", "a", client.path("a"));
    const { code, stdout, stderr } = await run.finally(() => current.stop());
    assertEquals(code, 0, stderr);
    assertStringIncludes(stdout, `resumed from 0, ${faults.length} breaks`);
    assertEquals(sha256(client.read("a")), sha256(noise(size, file + 1)));
    assertEquals(client.files(), ["a"]);
    let have = 0;
    for (const { asked, head, passed } of tries) {
      const [offset = 0] = numbersAfter("DOWNLOAD a ", asked);
      if (asked.includes("DOWNLOAD")) assertEquals(offset, have);
      const lines = /^220 [^]*?^150 .*\r\n/m.exec(head)?.[0].length;
      if (lines !== undefined) have = offset + passed - lines;
    }
  }
});

/** A file of a folder, which is to become longer than it is now. */
class Growth implements Disposable {
  readonly #path: string;
  readonly #size: number;
  readonly #changes: Deno.FsWatcher;

  constructor(folder: string, path: string) {
    this.#changes = Deno.watchFs(folder);
    this.#path = path;
    this.#size = this.#length();
  }

  #length(): number {
    try {
      return Deno.statSync(this.#path).size;
    } catch {
      return 0; // it is not there yet
    }
  }

  async seen(): Promise<void> {
    if (this.#length() > this.#size) return;
    for await (const _ of this.#changes) if (this.#length() > this.#size) return;
  }

  [Symbol.dispose](): void {
    this.#changes.close();
  }
}

testEach(WAYS, "files: the client is killed at 20 places, each next one goes on from there", async (way) => {
  const random = seeded(12345);
  const content = noise(32 * MIB);
  await using server = await FileServer.start();
  await using client = new Client();
  const args = await prepare(way, content, client, server);
  let offset = 0; // of the last try
  let talk = "";
  const watch = (_connection: number, side: Fault["side"], bytes: Uint8Array) => {
    if (side !== way.side) talk += decodeText(bytes);
  };
  const checkOffset = () => {
    const [next = 0] = numbersAfter(way.name === "put" ? "350 partial " : "DOWNLOAD a ", talk);
    assert(next >= offset, `${offset} bytes had come, then there were ${next}`);
    offset = next;
    talk = "";
  };
  for (let i = 0; i < KILLS; i++) {
    const reached = Promise.withResolvers<void>();
    const dead = Promise.withResolvers<void>();
    const happened = () => {
      reached.resolve();
      return dead.promise;
    };
    const after = Math.floor((0.1 + random()) * MIB);
    using proxy = new FaultProxy(() => server.process, [{ side: way.side, after, kind: "cut", happened }], watch);
    using partial = new Growth(client.folder.path, client.partial("a"));
    const program = client.start(proxy, ...args);
    await inTime(reached.promise, "the fault");
    if (way.name === "get") await inTime(partial.seen(), "bytes on the disk"); // until then it has lost nothing
    await program.stop("SIGKILL");
    dead.resolve();
    assert(!arrived(way, client, server).includes("a"), "it is there before it is whole");
    checkOffset();
  }
  assert(offset > 0, "nothing has come");
  using proxy = new FaultProxy(() => server.process, [], watch);
  const { code, stdout, stderr } = await client.run(proxy, ...args);
  assertEquals(code, 0, stderr);
  checkOffset();
  assertStringIncludes(stdout, `resumed from ${offset}, 0 breaks`);
  assertEquals(readArrived(way, client, server), content);
  assertEquals(arrived(way, client, server), ["a"]);
});

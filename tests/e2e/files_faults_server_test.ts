/**
 * The file server when things go wrong: two at once, planted files, damage, a full disk, its own death, slow clients.
 * @module
 */
import { concat } from "@std/bytes";
import { encodeText } from "../../lib/bytes.ts";
import { partialName } from "../../lib/files/partial.ts";
import { COMPLETE, PARTIAL, STORED } from "../../lib/files/replies.ts";
import { Folder } from "../../lib/net/files/folder.ts";
import { Peer } from "../../lib/net/files/peer.ts";
import { serveFiles } from "../../lib/net/files/serve.ts";
import { FileService } from "../../lib/net/files/service.ts";
import { Turns } from "../../lib/net/files/turns.ts";
import { Watch } from "../../lib/net/files/watch.ts";
import { Log } from "../../lib/net/log.ts";
import { PROGRAMS } from "../../lib/programs.ts";
import { serveTcp, type SocketConnection } from "../../lib/net/tcp.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { inTime, PATIENCE_MS, runTool, startServer, testWith } from "../harness.ts";
import { FileServer, noise, sha256, Wire } from "./files_wire.ts";

const CONTENT = noise(300_000);
const HALF = 150_000;
const DIGEST = sha256(CONTENT);
const MIB = 2 ** 20;

/** Uploads a half, then breaks off; resolves when the half is put down. */
async function breakOff(server: FileServer, line: string, content = CONTENT, count = HALF): Promise<void> {
  using wire = await server.connect();
  assertEquals((await wire.ask(`${line} WAIT QUIET`)).code, 150);
  await wire.send(content.subarray(0, count));
  await wire.connection.closeWrite();
  await wire.ended();
}

/** Goes on with what STAT finds; resolves to where that was. */
async function goOn(wire: Wire, name = "a", content = CONTENT, options = ""): Promise<number> {
  const { code, text } = await wire.ask(`STAT ${name} ${content.length}${options}`);
  const offset = code === 350 ? PARTIAL.parse(text).offset : 0;
  const prefix = code === 350 ? ` PREFIX=${PARTIAL.parse(text).prefix}` : "";
  const ready = await wire.ask(
    `UPLOAD ${name} ${content.length} ${offset}${prefix}${options} SHA256=${sha256(content)} WAIT`,
  );
  assertEquals(ready.code, 150, ready.text);
  await wire.send(content.subarray(offset));
  assertEquals(STORED.parse((await wire.reply()).text), { size: content.length, sha256: sha256(content) });
  return offset;
}

// --- Two at once --------------------------------------------------------------------------------------------------------

Deno.test("files: two uploads of one name: the second is 450 and in step, the first is stored", async () => {
  await using server = await FileServer.start();
  using first = await server.connect();
  using second = await server.connect();
  for (const token of ["", " TOKEN=first"]) {
    assertEquals((await first.ask(`UPLOAD a ${CONTENT.length}${token} WAIT OVERWRITE`)).code, 150);
    for (const other of ["", " TOKEN=second"]) {
      const { code, text } = await second.ask(`UPLOAD A 5${other} WAIT`); // one name with a, on some systems
      assertEquals([code, text.startsWith("another connection uploads it since 20")], [450, true], text);
      await second.assertInStep();
    }
    await first.send(CONTENT);
    assertEquals((await first.reply()).code, 226);
    assertEquals(server.read("a"), CONTENT);
  }
});

Deno.test("files: the same token on a new connection takes over: the old one is told and closed, nothing is lost", async () => {
  await using server = await FileServer.start();
  for (const how of ["STAT", "UPLOAD"]) {
    using old = await server.connect();
    assertEquals((await old.ask(`UPLOAD ${how} ${CONTENT.length} TOKEN=mine WAIT`)).code, 150);
    await old.send(CONTENT.subarray(0, HALF));
    using taker = await server.connect();
    if (how === "STAT") {
      const offset = await goOn(taker, how, CONTENT, " TOKEN=mine");
      assert(offset > 0 && offset <= HALF, `${offset}`);
    } else {
      await taker.ask(`UPLOAD ${how} ${CONTENT.length} TOKEN=mine WAIT`);
      await taker.send(CONTENT);
      assertEquals((await taker.reply()).code, 226);
    }
    const { code, text } = await old.reply();
    assertEquals([code, text], [426, "taken over by a new connection of the same upload"]);
    await old.ended();
    assertEquals(server.read(how), CONTENT);
  }
});

Deno.test("files: a connection that dies in the middle of an upload frees its name at once", async () => {
  await using server = await FileServer.start();
  await breakOff(server, `UPLOAD a ${CONTENT.length}`);
  using wire = await server.connect();
  assertEquals(await goOn(wire), HALF);
});

Deno.test("files: of an upload that breaks off before its first byte nothing is left", async () => {
  await using server = await FileServer.start();
  await breakOff(server, `UPLOAD a ${CONTENT.length}`, CONTENT, 0);
  assertEquals(server.files(), []);
});

Deno.test("files: cut at every sixteenth, an upload goes on to the same file", async () => {
  await using server = await FileServer.start();
  let offset = 0;
  for (let part = 1; part < 16; part++) {
    using wire = await server.connect();
    assertEquals((await wire.ask(`UPLOAD a ${CONTENT.length} ${offset} TOKEN=t WAIT QUIET`)).code, 150);
    await wire.send(CONTENT.subarray(offset, offset = Math.floor(part * CONTENT.length / 16)));
    await wire.connection.closeWrite();
    await wire.ended();
  }
  using wire = await server.connect();
  assertEquals(await goOn(wire, "a", CONTENT, " TOKEN=t"), offset);
  assertEquals(server.read("a"), CONTENT);
});

// --- Planted files ------------------------------------------------------------------------------------------------------

/** What somebody may put into the folder in place of a file. */
const PLANTS: Record<string, (path: string, outside: string) => Promise<unknown>> = {
  symlink: (path, outside) => Deno.symlink(outside, path),
  dangling: (path) => Deno.symlink("/nonexistent", path),
  "hard link": (path, outside) => Deno.link(outside, path),
  FIFO: (path) => runTool("mkfifo", [path]),
  directory: (path) => Deno.mkdir(path),
};

testWith(
  ["mkfifo"],
  "files: what is no plain file, in place of a file or a partial, is 550 and never touched",
  async () => {
    await using server = await FileServer.start();
    await using elsewhere = new TestFolder();
    const outside = await elsewhere.write("outside", "outside");
    using wire = await server.connect();
    for (const [what, plant] of Object.entries(PLANTS)) {
      const path = `${server.folder.path}/final`;
      await plant(path, outside);
      for (
        const line of [
          "STAT final",
          "DOWNLOAD final",
          "HASH final 0",
          "UPLOAD final 7 WAIT",
          "UPLOAD final 7 WAIT OVERWRITE",
        ]
      ) {
        assertEquals((await wire.ask(line)).code, 550, `${what}: ${line}`);
      }
      assertEquals((await wire.ask("LIST")).text, "0 files");
      await Deno.remove(path);
      const partial = `${server.folder.path}/${partialName({ name: "part", size: 7 })}`;
      await plant(partial, outside);
      for (const line of ["STAT part 7", "UPLOAD part 7 WAIT", "UPLOAD part 7 3 WAIT"]) {
        assertEquals((await wire.ask(line)).code, 550, `${what}: ${line}`);
      }
      await Deno.remove(partial);
      for (const ending of [".json", ".json.new"]) {
        await plant(`${partial}${ending}`, outside);
        const { code } = await wire.ask("UPLOAD part 7 WAIT OVERWRITE");
        assertEquals(code, 150, `${what}${ending}`);
        await wire.send("content");
        assertEquals((await wire.reply()).code, 226);
      }
      await Deno.remove(`${server.folder.path}/part`);
    }
    assertEquals(await Deno.readTextFile(outside), "outside");
    assertEquals(server.files(), []);
  },
);

Deno.test("files: a file that appears while it is uploaded is not replaced: 555", async () => {
  await using server = await FileServer.start();
  using wire = await server.connect();
  assertEquals((await wire.ask("UPLOAD a 3 WAIT")).code, 150);
  await server.folder.write("a", "mine");
  await wire.send("abc");
  assertEquals((await wire.reply()).code, 555);
  await wire.assertInStep();
  assertEquals(new TextDecoder().decode(server.read("a")), "mine");
});

// --- Damage -------------------------------------------------------------------------------------------------------------

const PARTIAL_FILE = partialName({ name: "a", size: CONTENT.length });

/** What may happen to a partial, and whether what is left can be gone on with. */
const DAMAGES: readonly (readonly [string, (path: string) => void, number])[] = [
  ["nothing", () => {}, HALF],
  ["a flipped byte", (path) => flip(path, 70_000), 0],
  ["a flipped last byte", (path) => flip(path, HALF - 1), 0],
  ["no record", (path) => Deno.removeSync(`${path}.json`), 0],
  ["a damaged record", (path) => Deno.writeFileSync(`${path}.json`, new Uint8Array(1024)), 0],
  ["a record cut short", (path) => Deno.truncateSync(`${path}.json`, 40), 0],
  ["bytes that are missing", (path) => Deno.truncateSync(path, HALF - 1), 0],
  ["bytes after the record", (path) => Deno.writeFileSync(path, noise(CONTENT.length, 7), { append: true }), HALF],
];

/** Changes a byte, and with it the time of the last change: that of a system advances in steps of some milliseconds. */
function flip(path: string, at: number): void {
  using file = Deno.openSync(path, { read: true, write: true });
  const changed = () => file.statSync().mtime!.getTime();
  const before = changed();
  const byte = new Uint8Array(1);
  file.seekSync(at, Deno.SeekMode.Start);
  file.readSync(byte);
  byte[0]! ^= 1;
  do {
    file.seekSync(at, Deno.SeekMode.Start);
    file.writeSync(byte);
  } while (changed() === before);
}

for (const [what, damage, expected] of DAMAGES) {
  Deno.test(`files: ${what}: what is trusted of a partial is ${expected} bytes, before and after a restart`, async () => {
    await using server = await FileServer.start();
    for (const restart of [false, true]) {
      await breakOff(server, `UPLOAD a ${CONTENT.length}`);
      damage(`${server.folder.path}/${PARTIAL_FILE}`);
      if (restart) await server.process.stop();
      await using again = restart ? await startServer("servers/files", ["--root", server.folder.path]) : undefined;
      using wire = await Wire.to(again ?? server.process);
      if (expected === 0) {
        const { code } = await wire.ask(`UPLOAD a ${CONTENT.length} ${HALF} WAIT`); // without STAT
        assertEquals(code, 554);
        await wire.assertInStep();
      }
      assertEquals(await goOn(wire), expected);
      assertEquals(server.read("a"), CONTENT);
      assertEquals(server.files(), ["a"]);
      Deno.removeSync(`${server.folder.path}/a`);
    }
  });
}

Deno.test("files: a source that is another one now is found before a byte is written", async () => {
  await using server = await FileServer.start();
  await breakOff(server, `UPLOAD a ${CONTENT.length}`);
  const changed = CONTENT.slice();
  changed[5]! ^= 1;
  using wire = await server.connect();
  const prefix = sha256(changed.subarray(0, HALF));
  assertEquals((await wire.ask(`UPLOAD a ${CONTENT.length} ${HALF} PREFIX=${prefix} WAIT`)).code, 556);
  assertEquals(await goOn(wire), HALF); // the partial is as it was
});

Deno.test("files: a partial that nobody hashed goes on with and without a digest", async () => {
  await using server = await FileServer.start();
  for (const nohash of [" NOHASH", ""]) {
    await breakOff(server, `UPLOAD a ${CONTENT.length} NOHASH`);
    using wire = await server.connect();
    const { offset, prefix } = PARTIAL.parse((await wire.ask(`STAT a ${CONTENT.length} NOHASH`)).text);
    assertEquals([offset, prefix], [HALF, undefined]);
    assertEquals((await wire.ask(`UPLOAD a ${CONTENT.length} ${HALF} WAIT${nohash}`)).code, 150);
    await wire.send(CONTENT.subarray(HALF));
    const { sha256 } = STORED.parse((await wire.reply()).text);
    assertEquals(sha256, nohash === "" ? DIGEST : undefined);
    assertEquals(server.read("a"), CONTENT);
    Deno.removeSync(`${server.folder.path}/a`);
  }
});

Deno.test("files: a partial that nobody hashed and that has lost bytes is none", async () => {
  await using server = await FileServer.start();
  await breakOff(server, `UPLOAD a ${CONTENT.length} NOHASH`);
  Deno.truncateSync(`${server.folder.path}/${PARTIAL_FILE}`, HALF - 1);
  using wire = await server.connect();
  assertEquals((await wire.ask("LIST PARTIAL")).text, "0 partials");
  assertEquals((await wire.ask(`STAT a ${CONTENT.length} NOHASH`)).code, 550);
  assertEquals((await wire.ask(`UPLOAD a ${CONTENT.length} ${HALF} NOHASH WAIT`)).code, 554);
});

// --- Its own end --------------------------------------------------------------------------------------------------------

Deno.test("files: kill -9 in the middle of an upload: what was reported durable is there after a restart", async () => {
  await using server = await FileServer.start();
  const content = noise(100 * MIB);
  using wire = await server.connect();
  assertEquals((await wire.ask(`UPLOAD a ${content.length} TOKEN=t WAIT`)).code, 150);
  await wire.send(content.subarray(0, 65 * MIB));
  let durable = 0;
  while (durable < 64 * MIB) {
    const { code, text } = await wire.line();
    assertEquals(code, 110);
    durable = Number(text.split(" ")[0]);
  }
  const { code } = await server.process.stop("SIGKILL");
  assertEquals(code, 137);
  assert(!server.files().includes("a"));
  await using again = await startServer("servers/files", ["--root", server.folder.path]);
  using next = await Wire.to(again);
  assertEquals(await goOn(next, "a", content, " TOKEN=t"), durable);
  assertEquals(sha256(server.read("a")), sha256(content));
});

Deno.test("files: kill -9 while bytes are made durable and more come: the record never claims more than there is", async () => {
  const content = noise(80 * MIB);
  for (const sent of [65, 70, 79]) {
    await using server = await FileServer.start();
    using wire = await server.connect();
    assertEquals((await wire.ask(`UPLOAD a ${content.length} TOKEN=t WAIT`)).code, 150);
    await wire.send(content.subarray(0, sent * MIB));
    await server.process.stop("SIGKILL"); // wherever it is
    await using again = await startServer("servers/files", ["--root", server.folder.path]);
    using next = await Wire.to(again);
    assert([0, 64].includes(Math.floor(await goOn(next, "a", content, " TOKEN=t") / MIB)));
    assertEquals(sha256(server.read("a")), sha256(content));
  }
});

Deno.test("files: bytes that cannot be made durable end the upload while more come: 451, what was recorded stays", async () => {
  await using server = await FileServer.start();
  const content = noise(160 * MIB);
  const partial = `${server.folder.path}/${partialName({ name: "a", size: content.length })}`;
  using wire = await server.connect();
  assertEquals((await wire.ask(`UPLOAD a ${content.length} WAIT`)).code, 150);
  await wire.send(content.subarray(0, 65 * MIB));
  let durable = 0;
  while (durable < 64 * MIB) durable = Number((await wire.line()).text.split(" ")[0]);
  await Deno.remove(`${partial}.json.new`);
  await Deno.mkdir(`${partial}.json.new`); // no next record
  await wire.send(content.subarray(65 * MIB, 159 * MIB)).catch(() => {}); // then it is silent
  const { code, text } = await wire.reply();
  assertEquals(code, 451, text);
  await wire.ended();
  assertEquals(server.files().includes("a"), false);
  await Deno.remove(`${partial}.json.new`);
  using next = await server.connect();
  assertEquals(await goOn(next, "a", content), durable);
  assertEquals(sha256(server.read("a")), sha256(content));
});

Deno.test("files: a partial that is taken away during the upload is noticed: 451, nothing is stored", async () => {
  await using server = await FileServer.start();
  const content = noise(80 * MIB);
  using wire = await server.connect();
  assertEquals((await wire.ask(`UPLOAD a ${content.length} WAIT`)).code, 150);
  await wire.send(content.subarray(0, MIB));
  const partial = partialName({ name: "a", size: content.length });
  await Deno.rename(`${server.folder.path}/${partial}`, `${server.folder.path}/taken`);
  await server.folder.write(partial, "another one");
  await wire.send(content.subarray(MIB)).catch(() => {});
  const { code, text } = await wire.reply();
  assertEquals([code, text.includes("taken the partial away")], [451, true], text);
  await wire.ended();
  assertEquals(server.files().includes("a"), false);
});

Deno.test("files: SIGTERM in the middle of transfers: what has come is kept, who waits is told 421, exit code 0", async () => {
  await using server = await FileServer.start();
  await server.folder.write("big", noise(40 * MIB));
  using idle = await server.connect();
  using uploader = await server.connect();
  assertEquals((await uploader.ask(`UPLOAD a ${CONTENT.length} WAIT`)).code, 150);
  await uploader.send(CONTENT.subarray(0, HALF));
  using downloader = await server.connect();
  assertEquals((await downloader.ask("DOWNLOAD big")).code, 150);
  const stopped = server.process.stop();
  assertEquals(await idle.reply(), { code: 421, text: "the server stops", lines: [] });
  assertEquals(sha256(await downloader.body(40 * MIB)), sha256(noise(40 * MIB)));
  assertEquals((await downloader.reply()).code, 226);
  const { code, stderr } = await stopped;
  assertEquals(code, 0, stderr);
  await using again = await startServer("servers/files", ["--root", server.folder.path]);
  using wire = await Wire.to(again);
  assertEquals(await goOn(wire), HALF);
});

Deno.test("files: an upload under way when the server stops may finish, and is told 421 then", async () => {
  await serveHere(async ({ connect, stop }) => {
    using wire = await connect();
    assertEquals((await wire.ask("UPLOAD a 5 WAIT")).code, 150);
    stop();
    await wire.send("12345");
    assertEquals((await wire.reply()).code, 226);
    assertEquals(await wire.reply(), { code: 421, text: "the server stops", lines: [] });
  }, { ms: PATIENCE_MS });
});

Deno.test("files: --partials-ttl: what nobody goes on with is removed, the rest is kept", async () => {
  await using server = await FileServer.start();
  await breakOff(server, `UPLOAD old ${CONTENT.length}`);
  await breakOff(server, `UPLOAD new ${CONTENT.length}`);
  await server.folder.write("precious", "");
  await server.folder.write(".hidden", "");
  await server.process.stop();
  const old = `${server.folder.path}/${partialName({ name: "old", size: CONTENT.length })}`;
  const hourAgo = new Date(Date.now() - 3_600_000);
  await Deno.utime(old, hourAgo, hourAgo);
  await server.folder.write("precious", "");
  await using again = await startServer("servers/files", ["--root", server.folder.path, "--partials-ttl", "30m"]);
  using wire = await Wire.to(again);
  const { lines } = await wire.ask("LIST PARTIAL");
  assertEquals([lines.length, lines[0]!.endsWith('"new"')], [1, true]);
  assertEquals(server.files().filter((name) => !name.includes(".part")), [".hidden", "precious"]);
  assert(!server.files().some((name) => name.startsWith(".old")));
});

Deno.test("files: --partials-ttl: what is too old is removed when it is, not an hour later", async () => {
  await using server = await FileServer.start("--partials-ttl", "1s");
  {
    using wire = await server.connect();
    assertEquals((await wire.ask("UPLOAD a 9 WAIT")).code, 150);
    await wire.send("hello");
  }
  await server.process.logged("broken off at 5 bytes, 5 are kept");
  await server.process.logged("removed 3 old files"); // the bytes, their record and the space of the next one
  assertEquals(server.files(), []);
});

// --- A full disk --------------------------------------------------------------------------------------------------------

testWith(
  ["root", "mount"],
  "files: a disk that becomes full is 452 and keeps what has come; freed, it goes on",
  async () => {
    await using disk = new TestFolder();
    const mounted = await runTool("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", disk.path]);
    if (mounted.code !== 0) return console.log(`skipped: mount: ${mounted.stderr}`);
    try {
      await using server = await startServer("servers/files", ["--root", disk.path]);
      using wire = await Wire.to(server);
      const content = noise(6 * MIB);
      assertEquals((await wire.ask(`UPLOAD a ${9 * MIB} WAIT`)).code, 452); // is known before
      assertEquals((await wire.ask(`UPLOAD a ${content.length} WAIT`)).code, 150);
      await wire.send(content.subarray(0, MIB));
      await Deno.writeFile(`${disk.path}/other`, new Uint8Array(4 * MIB)); // somebody else was faster
      await wire.send(content.subarray(MIB)).catch(() => {});
      assertEquals((await wire.reply()).code, 452);
      await wire.ended();
      using next = await Wire.to(server);
      const { code, text } = await next.ask(`STAT a ${content.length}`);
      assertEquals(code, 350, text);
      const { offset } = PARTIAL.parse(text);
      assert(offset > 2 * MIB && offset < 5 * MIB, `${offset}`);
      assertEquals((await next.ask(`UPLOAD a ${content.length} ${offset} WAIT`)).code, 452); // still full: in step
      await Deno.remove(`${disk.path}/other`);
      assertEquals(await goOn(next, "a", content), offset);
      assertEquals(sha256(await Deno.readFile(`${disk.path}/a`)), sha256(content));
    } finally {
      await runTool("umount", [disk.path]);
    }
  },
);

testWith(["root", "mount"], "files: what is promised to an upload under way is not free for another one", async () => {
  await using disk = new TestFolder();
  const mounted = await runTool("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", disk.path]);
  if (mounted.code !== 0) return console.log(`skipped: mount: ${mounted.stderr}`);
  try {
    await using server = await startServer("servers/files", ["--root", disk.path]);
    using first = await Wire.to(server);
    using second = await Wire.to(server);
    const content = noise(6 * MIB);
    assertEquals((await first.ask(`UPLOAD a ${content.length} WAIT`)).code, 150);
    assertEquals((await second.ask(`UPLOAD b ${3 * MIB} WAIT`)).code, 452);
    assertEquals((await second.ask(`UPLOAD b ${MIB} WAIT`)).code, 150);
    await first.send(content);
    assertEquals((await first.reply()).code, 226);
  } finally {
    await runTool("umount", [disk.path]);
  }
});

Deno.test("files: --quota counts an upload from the moment it was found to fit, also while it hashes", async () => {
  await using server = await FileServer.start("--quota", "110MiB");
  const content = noise(100 * MIB);
  {
    using wire = await server.connect();
    assertEquals((await wire.ask(`UPLOAD a ${content.length} WAIT`)).code, 150);
    await wire.send(content.subarray(0, 90 * MIB));
    await wire.connection.closeWrite();
    await wire.rest(); // with the progress unread, the end would be a reset, and what the server has not read yet lost
  }
  await server.process.logged(`broken off at ${90 * MIB} bytes`);
  using first = await server.connect();
  using second = await server.connect();
  const offset = 89 * MIB; // from there it has to be hashed
  await first.send(`UPLOAD a ${content.length} ${offset} WAIT\r\n`);
  await server.process.printed(`UPLOAD a ${content.length} ${offset} WAIT`);
  assertEquals((await second.ask(`UPLOAD b ${15 * MIB} WAIT`)).code, 452);
  assertEquals((await first.reply()).code, 150);
});

Deno.test("files: --quota counts the whole of an upload that begins anew, not what had come of it before", async () => {
  await using server = await FileServer.start("--quota", "100kB");
  {
    using wire = await server.connect();
    assertEquals((await wire.ask("UPLOAD a 80000 WAIT")).code, 150);
    await wire.send("x".repeat(60_000));
  }
  await server.process.logged("broken off at");
  using first = await server.connect();
  using second = await server.connect();
  assertEquals((await first.ask("UPLOAD a 80000 WAIT")).code, 150);
  assertEquals((await second.ask("UPLOAD b 30000 WAIT")).code, 452);
  assertEquals((await second.ask("UPLOAD b 10000 WAIT")).code, 150);
});

// --- Many, and slow -----------------------------------------------------------------------------------------------------

Deno.test("files: 200 slow clients at once: memory stays bounded, others are served, every file is right", async () => {
  await using server = await FileServer.start("-q");
  const idle = await server.process.residentBytes();
  const content = noise(100_000);
  const clients = await Promise.all(Array.from({ length: 200 }, () => server.connect()));
  await Promise.all(clients.map(async (wire, i) => {
    assertEquals((await wire.ask(`UPLOAD file${i} ${content.length} WAIT`)).code, 150);
    for (let start = 0; start < 1000; start += 100) await wire.send(content.subarray(start, start + 100));
  }));
  using other = await server.connect();
  await other.assertInStep();
  const used = await server.process.residentBytes() - idle;
  assert(used < 100 * MIB, `${used} bytes more than before`);
  await Promise.all(clients.map(async (wire) => {
    await wire.send(content.subarray(1000));
    assertEquals((await wire.reply()).code, 226);
    wire.connection.close();
  }));
  const { lines } = await other.ask("LIST");
  assertEquals(lines.length, 200);
  assert(lines.every((line) => line.includes(sha256(content))));
});

/** What may pass while an ECHO is answered, in bytes: what lies in the sockets of three transfers, and a turn of each. */
const PASSED_IN_ECHO = 16 * MIB;
const ECHOES = 30;

for (const cpus of ["as many CPUs as there are", "one CPU"]) {
  const run = [Deno.execPath(), "run", "--no-prompt", ...PROGRAMS["servers/files"].permissions, "servers/files.ts"];
  const [first, ...rest] = cpus === "one CPU" ? ["taskset", "-c", "0", ...run] : run;
  const tools = cpus === "one CPU" ? ["taskset"] : [];
  testWith(tools, `files: ECHO does not wait for transfers at full speed: ${cpus}`, async () => {
    await using place = new TestFolder();
    Deno.truncateSync(await place.write("big", ""), 2 ** 36); // more than passes
    await using server = await startServer("servers/files", ["-q", "--root", place.path], { argv: [first!, ...rest] });
    using quiet = await Wire.to(server);
    let [passed, isOver] = [0, false];
    const flowing = Promise.withResolvers<void>();
    const pass = (count: number) => {
      passed += count;
      if (passed > 128 * MIB) flowing.resolve();
    };
    const download = async () => {
      using wire = await Wire.to(server);
      await wire.send("DOWNLOAD big RAW\r\n");
      const buffer = new Uint8Array(256 * 1024);
      for (let count; !isOver && (count = await wire.connection.read(buffer)) !== null;) pass(count);
    };
    const content = noise(32 * MIB);
    const upload = async () => {
      using wire = await Wire.to(server);
      while (!isOver) {
        await wire.send(`UPLOAD a ${content.length} OVERWRITE QUIET\r\n`);
        for (let at = 0; at < content.length; pass(MIB)) await wire.send(content.subarray(at, at += MIB));
        assertEquals((await wire.reply()).code, 226);
      }
    };
    const transfers = Promise.all([upload(), download(), download()]);
    transfers.catch(() => {}); // it is awaited below, after what may fail
    await inTime(flowing.promise, "the transfers to flow");
    const before = passed;
    for (let i = 0; i < ECHOES; i++) await quiet.assertInStep();
    const inEcho = (passed - before) / ECHOES;
    isOver = true;
    await transfers;
    assert(inEcho < PASSED_IN_ECHO, `${inEcho} bytes passed during an echo`);
  });
}

Deno.test("files: each MiB that moves or is hashed, and each file that is looked at, ends with a turn of the others", async () => {
  await serveHere(async ({ connect, folder, service }) => {
    let taken = 0;
    const take = service.turns.take.bind(service.turns);
    service.turns.take = () => {
      taken++;
      return take();
    };
    for (let i = 0; i < 100; i++) await folder.write(`${i}`, "");
    const content = noise(16 * MIB);
    using wire = await connect();
    const asks: [line: string, body: number, least: number][] = [
      [`UPLOAD a ${content.length} WAIT`, content.length, 16 + 100], // the quota counts all files
      ["DOWNLOAD a", 0, 16],
      [`HASH a ${content.length - 1}`, 0, 16],
      ["LIST", 0, 101],
      ["LIST PARTIAL", 0, 101],
      ["STAT nothing", 0, 101],
      ["ABORT nothing", 0, 101],
    ];
    for (const [line, body, least] of asks) {
      taken = 0;
      const { code } = await wire.ask(line);
      if (code === 150) {
        if (body > 0) await wire.send(content);
        else await wire.body(content.length);
        assertEquals((await wire.reply()).code, 226);
      }
      assert(taken >= least, `${line}: ${taken} turns`);
    }
    taken = 0;
    await service.partials.sweep(service.turns, 0, () => false);
    assert(taken >= 101, `${taken} turns`);
  }, { ms: PATIENCE_MS, quota: 1e9 });
});

Deno.test("Folder.used() is what there is now, whatever has happened since its files were looked at in turns", async () => {
  await using place = new TestFolder();
  using folder = await Folder.open(place.path);
  for (const name of ["a", "b", "c"]) await place.write(name, "1".repeat(10));
  await place.write(".part", "1".repeat(1000));
  const happen = [ // in the turn before each name: of the lock, the partial, a, b, c
    () => {},
    () => {},
    () => {},
    () => folder.rename(".part", "a"), // in place of what has been counted
    () => folder.remove("b"),
  ];
  const turns = new Turns(() => false, () => Promise.resolve());
  turns.take = () => void happen.shift()!();
  await folder.measure(turns);
  assertEquals([folder.used(), happen], [1010, []]);
  await place.write(".other", "1".repeat(100)); // what grows is looked at each time
  assertEquals(folder.used(), 1110);
});

Deno.test("Turns: transfers pause together, each time that 1 ms is over, while anybody else is connected", async () => {
  const { now } = performance;
  let ms = 0;
  performance.now = () => ms;
  try {
    for (const isShared of [false, true]) {
      const turns = new Turns(() => isShared, () => Promise.resolve());
      for (let turn = 0; turn < 3; turn++) {
        assertEquals(turns.take(), undefined);
        ms++;
        const pause = turns.take();
        assertEquals([pause !== undefined, turns.take() === pause], [isShared, true]);
        await pause;
      }
    }
  } finally {
    performance.now = now;
  }
});

Deno.test("files: a peer that never reads its download costs nothing but its connection", async () => {
  await using server = await FileServer.start("-q");
  await server.folder.write("big", noise(32 * MIB));
  const idle = await server.process.residentBytes();
  const deaf = await Promise.all(Array.from({ length: 20 }, () => server.connect()));
  for (const wire of deaf) await wire.send("DOWNLOAD big\r\n".repeat(3));
  using other = await server.connect();
  for (let i = 0; i < 5; i++) await other.assertInStep();
  const used = await server.process.residentBytes() - idle;
  assert(used < 150 * MIB, `${used} bytes more than before`);
  for (const wire of deaf) wire.connection.close();
});

Deno.test("files: an upload whose peer never reads the progress is not held up by it", async () => {
  await using server = await FileServer.start();
  using wire = await server.connect();
  await wire.send("HELP\n".repeat(20), `UPLOAD a ${CONTENT.length}\r\n`, CONTENT);
  await server.process.logged("a: stored");
});

// --- Deadlines ----------------------------------------------------------------------------------------------------------

/** What serves in this process. */
interface Served {
  readonly service: FileService;
  readonly folder: TestFolder;
  connect(): Promise<Wire>;
  stop(): void;
}

/** The service in this process, so that its deadlines can be short, its turns be counted and its end be chosen. */
async function serveHere(
  check: (served: Served) => Promise<void>,
  { minRate = 0, ms = 300, quota = 0 } = {},
): Promise<void> {
  await using place = new TestFolder();
  using folder = await Folder.open(place.path);
  const log = new Log("files", { quiet: true });
  log.around = () => {};
  const limits = { maxFile: 1e9, quota, rate: 0, minRate, maxPerIp: undefined, partialsTtl: 0 };
  const timeouts = { idle: 0, line: ms, stall: ms, slow: 0.001 };
  using service = new FileService(folder, { limits: { ...limits, timeouts }, log });
  const controller = new AbortController();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const target = { hostname: "127.0.0.1", port: listener.addr.port };
  const { signal } = controller;
  const served = serveTcp(listener, (connection) => serveFiles(service, connection, signal), { signal, log });
  const stop = () => {
    controller.abort();
    service.stop();
  };
  try {
    await check({ service, folder: place, connect: () => Wire.to(target), stop });
  } finally {
    stop();
    await served;
  }
}

Deno.test("a line that has begun and does not end in time is 421, however slowly it drips", async () => {
  await serveHere(async ({ connect }) => {
    using wire = await connect();
    let isOver = false;
    const drip = async () => {
      while (!isOver) {
        await wire.send("x").catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    };
    const dripping = drip();
    assertEquals((await wire.reply()).code, 421);
    isOver = true;
    await dripping;
    using other = await connect();
    await other.assertInStep();
  });
});

Deno.test("a body that stops is 426, and what has come is kept", async () => {
  await serveHere(async ({ connect }) => {
    using wire = await connect();
    await wire.send("UPLOAD a 10\r\n12345");
    assertEquals(await wire.reply(), { code: 426, text: "the body has stopped", lines: [] });
    await wire.ended();
    using other = await connect();
    assertEquals(PARTIAL.parse((await other.ask("STAT a 10")).text).offset, 5);
  });
});

Deno.test("an upload that is too slow is 426 and the end, and what has come is kept; one that is through is stored", async () => {
  await serveHere(async ({ connect }) => {
    using wire = await connect();
    assertEquals((await wire.ask("UPLOAD a 10 WAIT")).code, 150);
    await wire.send("12345");
    assertEquals(await wire.reply(), { code: 426, text: "slower than 1000000000000 bytes/s", lines: [] });
    await wire.ended();
    using other = await connect();
    assertEquals(PARTIAL.parse((await other.ask("STAT a 10")).text).offset, 5);
    assertEquals((await other.ask("UPLOAD a 10 5 WAIT")).code, 150);
    await other.send("67890");
    assertEquals((await other.reply()).code, 226);
    await other.assertInStep();
  }, { minRate: 1e12, ms: PATIENCE_MS });
});

Deno.test("a peer that takes no byte is told nothing: it would stand in the middle of the file", async () => {
  const closed = Promise.withResolvers<string | undefined>();
  const written: Uint8Array[] = [];
  const connection = {
    peer: "127.0.0.1:1",
    write(bytes: Uint8Array): Promise<number> {
      written.push(bytes);
      return closed.promise.then(() => Promise.reject(new Deno.errors.BadResource()));
    },
    close: closed.resolve,
  } as Partial<SocketConnection> as SocketConnection;
  using watch = new Watch(40);
  using peer = new Peer(connection, { watch, timeouts: { idle: 0, line: 1000, stall: 40, slow: 0 } });
  const body = noise(9);
  await inTime(assertRejects(() => peer.send(body), Deno.errors.BadResource), "the end");
  assertEquals([await closed.promise, peer.isGone, written], ["the peer takes no byte", true, [body]]);
});

Deno.test("a peer that takes no byte of a download is gone in time", async () => {
  await serveHere(async ({ connect, folder }) => {
    await folder.write("big", new Uint8Array(30 * MIB));
    using wire = await connect();
    await wire.send("DOWNLOAD big\r\n");
    using other = await connect();
    const { size } = COMPLETE.parse((await other.ask("STAT big")).text);
    let received = 0;
    await inTime(wire.connection.closeWrite(), "the half-close");
    await new Promise((resolve) => setTimeout(resolve, 800)); // the peer under test is the one that waits
    received = (await wire.rest()).length;
    assert(received < size, `${received} bytes came`);
  });
});

Deno.test("files: a record that a client makes of its own names is read by nobody", async () => {
  await using server = await FileServer.start();
  using wire = await server.connect();
  const name = partialName({ name: "a", size: 5 });
  await wire.send(concat([encodeText(`UPLOAD ${name} 5\r\n`), encodeText("12345")]));
  const { code, text } = await wire.reply();
  assertEquals(code, 553);
  assertStringIncludes(text, "begins with a dot");
});

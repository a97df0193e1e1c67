/**
 * The file server's wire, command by command and code by code.
 * @module
 */
import { concat } from "@std/bytes";
import { encodeText } from "../../lib/bytes.ts";
import { SYNTAX } from "../../lib/files/commands.ts";
import { encodeRecord, partialName } from "../../lib/files/partial.ts";
import { COMPLETE, FOLLOWS, HASHED, LISTED, PARTIAL, SENT, STORED } from "../../lib/files/replies.ts";
import { TcpConnection } from "../../lib/net/tcp.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { ROOT, run } from "../harness.ts";
import { FileServer, noise, sha256, Wire } from "./files_wire.ts";

const SERVER = "servers/files";
const DOC = await Deno.readTextFile(`${ROOT}docs/protocols/files.md`);
const CONTENT = noise(200_001);
const HALF = 100_000;
const DIGEST = sha256(CONTENT);

/** Sends an UPLOAD and its body at once. */
async function upload(wire: Wire, line: string, body: Uint8Array | string = CONTENT) {
  await wire.send(`${line}\r\n`, body);
  return await wire.reply();
}

Deno.test("files: the greeting, ECHO, TIME, NOOP, in any case, with LF and CRLF, many in one segment", async () => {
  await using server = await FileServer.start();
  using wire = await server.connect();
  await wire.send("ECHO  hé\tllo \r\necho\nEcho x\nPING\r\nnoop\n");
  for (const text of [" hé\tllo ", "", "x", "here", "here"]) {
    assertEquals(await wire.reply(), { code: 200, text, lines: [] });
  }
  const { code, text } = await wire.ask("time");
  assertEquals([code, new Date(text).toISOString()], [200, text]);
  assert(Math.abs(Date.parse(text) - Date.now()) < 60_000, text);
  await server.process.printed(/^127\.0\.0\.1:\d+ ECHO x$/);
});

Deno.test("files: CLOSE, EXIT and QUIT are answered, and the connection ends", async () => {
  await using server = await FileServer.start();
  for (const word of ["CLOSE", "exit", "Quit"]) {
    using wire = await server.connect();
    assertEquals(await wire.ask(word), { code: 221, text: "bye", lines: [] });
    await wire.ended();
  }
});

Deno.test("files: HELP names every command, HELP COMMAND one", async () => {
  await using server = await FileServer.start();
  using wire = await server.connect();
  const { code, lines } = await wire.ask("HELP");
  assertEquals([code, lines.length], [214, Object.keys(SYNTAX).length]);
  for (const verb of Object.keys(SYNTAX)) assert(lines.some((line) => line.startsWith(verb)), verb);
  assertStringIncludes((await wire.ask("help exit")).lines[0]!, "CLOSE, EXIT or QUIT: ");
});

Deno.test("files: what is uploaded is there, listed, hashed and downloaded again", async () => {
  await using server = await FileServer.start();
  using wire = await server.connect();
  const stored = await upload(wire, `UPLOAD a.bin ${CONTENT.length}`);
  assertEquals([stored.code, STORED.parse(stored.text)], [226, { size: CONTENT.length, sha256: DIGEST }]);
  assertMatch(stored.text, / \d+\.\d Mbit\/s \d+\.\d{3} s$/);
  assertEquals(server.files(), ["a.bin"]);
  assertEquals(server.read("a.bin"), CONTENT);
  const listed = await wire.ask("LIST");
  const { size, sha256: digest, name } = LISTED.parse(listed.lines[0]!);
  assertEquals([size, digest, name, listed.text], [CONTENT.length, DIGEST, "a.bin", "1 files"]);
  const complete = { size: CONTENT.length, sha256: DIGEST, name: "a.bin" };
  assertEquals(await wire.ask("STAT a.bin"), { code: 213, text: COMPLETE.format(complete), lines: [] });
  const prefix = sha256(CONTENT.subarray(0, HALF));
  assertEquals((await wire.ask(`HASH a.bin ${HALF}`)).text, HASHED.format({ offset: HALF, sha256: prefix }));
  assertEquals(
    (await wire.ask(`HASH a.bin ${CONTENT.length}`)).text,
    HASHED.format({ offset: CONTENT.length, sha256: DIGEST }),
  );
  const follows = FOLLOWS.parse((await wire.ask("DOWNLOAD a.bin")).text);
  assertEquals([follows.count, follows.offset, follows.size], [CONTENT.length, 0, CONTENT.length]);
  assertEquals([follows.sha256, follows.name], [DIGEST, "a.bin"]);
  assertEquals(await wire.body(CONTENT.length), CONTENT);
  const sent = await wire.reply();
  assertEquals([sent.code, SENT.parse(sent.text)], [226, { count: CONTENT.length, sha256: DIGEST }]);
});

Deno.test("files: a file of 0 bytes goes both ways", async () => {
  await using server = await FileServer.start();
  using wire = await server.connect();
  assertEquals(STORED.parse((await wire.ask("UPLOAD empty 0")).text), { size: 0, sha256: sha256(new Uint8Array()) });
  assertEquals(FOLLOWS.parse((await wire.ask("DOWNLOAD empty")).text).count, 0);
  assertEquals((await wire.reply()).code, 226);
  assertEquals((await wire.ask("UPLOAD waited 0 WAIT")).code, 150);
  assertEquals((await wire.reply()).code, 226);
  assertEquals(server.files(), ["empty", "waited"]);
});

Deno.test("files: a part of a file, and what lies beyond its end", async () => {
  await using server = await FileServer.start();
  await server.folder.write("a.bin", CONTENT);
  using wire = await server.connect();
  const download = async (range: string) => {
    const { code, text } = await wire.ask(`DOWNLOAD a.bin ${range}`);
    assertEquals(code, 150, text);
    const bytes = await wire.body(FOLLOWS.parse(text).count);
    return [bytes, SENT.parse((await wire.reply()).text).sha256] as const;
  };
  assertEquals(await download("5 10"), [CONTENT.slice(5, 15), undefined]);
  assertEquals(await download(`${HALF}`), [CONTENT.slice(HALF), undefined]); // would cost another reading
  const prefix = `PREFIX=${sha256(CONTENT.subarray(0, HALF))}`;
  assertEquals(await download(`${HALF} ${prefix}`), [CONTENT.slice(HALF), DIGEST]);
  assertEquals(await download(`${HALF}`), [CONTENT.slice(HALF), DIGEST]); // is known now
  assertEquals(await download(`${CONTENT.length}`), [new Uint8Array(), DIGEST]);
  assertEquals((await download(`200000 99`))[0], CONTENT.slice(200_000));
  assertEquals((await wire.ask(`DOWNLOAD a.bin ${CONTENT.length + 1}`)).code, 554);
  assertEquals((await wire.ask(`DOWNLOAD a.bin 9 PREFIX=${DIGEST}`)).code, 556);
  await wire.assertInStep();
});

Deno.test("files: DOWNLOAD NOHASH and UPLOAD NOHASH: nobody hashes", async () => {
  await using server = await FileServer.start();
  using wire = await server.connect();
  assertEquals(STORED.parse((await upload(wire, `UPLOAD a ${CONTENT.length} NOHASH`)).text).sha256, undefined);
  assertEquals(FOLLOWS.parse((await wire.ask("DOWNLOAD a NOHASH")).text).sha256, undefined);
  assertEquals(await wire.body(CONTENT.length), CONTENT);
  assertEquals(SENT.parse((await wire.reply()).text).sha256, undefined);
});

Deno.test("files: a sparse file of 5 GiB: a part near its end comes at once", async () => {
  await using server = await FileServer.start();
  const size = 5 * 2 ** 30;
  const file = Deno.createSync(`${server.folder.path}/sparse`);
  file.truncateSync(size - 3);
  file.seekSync(size - 3, Deno.SeekMode.Start);
  file.writeSync(encodeText("end"));
  file.close();
  using wire = await server.connect();
  const { text } = await wire.ask(`DOWNLOAD sparse ${size - 5} 4`);
  assertEquals(FOLLOWS.parse(text).size, size);
  assertEquals(await wire.body(4), encodeText("\0\0en"));
  assertEquals((await wire.reply()).code, 226);
  await wire.ask(`DOWNLOAD sparse ${size - 1}`);
  assertEquals(await wire.body(1), encodeText("d"));
  assertEquals((await wire.reply()).code, 226);
  assertEquals(COMPLETE.parse((await wire.ask("STAT sparse")).text).size, size);
  assertEquals(HASHED.parse((await wire.ask("HASH sparse 5")).text).sha256, sha256(new Uint8Array(5)));
});

Deno.test("files: an upload goes on beyond 4 GiB", async () => {
  await using server = await FileServer.start();
  const size = 5 * 2 ** 30;
  const partial = partialName({ name: "sparse", size });
  const record = { name: "sparse", size, offset: size - 3, prefix: null, sha256: null };
  await server.folder.write(`${partial}.json`, encodeRecord(record));
  Deno.truncateSync(await server.folder.write(partial, ""), size - 3);
  using wire = await server.connect();
  const { text } = await wire.ask(`STAT sparse ${size} NOHASH`);
  assertEquals(PARTIAL.parse(text).offset, size - 3);
  assertEquals((await wire.ask(`UPLOAD sparse ${size} ${size - 3} NOHASH WAIT`)).code, 150);
  await wire.send("end");
  assertEquals(STORED.parse((await wire.reply()).text).size, size);
  await wire.ask(`DOWNLOAD sparse ${size - 4} NOHASH`);
  assertEquals(await wire.body(4), encodeText("\0end"));
});

Deno.test("files: an upload that broke off goes on where STAT says, and is whole", async () => {
  await using server = await FileServer.start();
  for (const token of ["", " TOKEN=mine"]) {
    const broken = await server.connect();
    await broken.send(`UPLOAD a.bin ${CONTENT.length}${token}\r\n`, CONTENT.subarray(0, HALF));
    await broken.connection.closeWrite();
    await broken.ended();
    broken.connection.close();
    assert(!server.files().includes("a.bin"));
    using wire = await server.connect();
    const { code, text } = await wire.ask(`STAT a.bin ${CONTENT.length}${token}`);
    const { offset, size, prefix, id } = PARTIAL.parse(text);
    const expected = { code: 350, offset: HALF, size: CONTENT.length, prefix: sha256(CONTENT.subarray(0, HALF)) };
    assertEquals({ code, offset, size, prefix }, expected);
    assertStringIncludes((await wire.ask("LIST PARTIAL")).lines[0]!, `${HALF} of ${CONTENT.length}`);
    assertEquals((await wire.ask("LIST")).text, "0 files");
    const ready = await wire.ask(
      `UPLOAD a.bin ${CONTENT.length} ${offset} PREFIX=${prefix} SHA256=${DIGEST} WAIT${token}`,
    );
    assertEquals(ready, { code: 150, text: `send ${CONTENT.length - HALF} from ${HALF} id=${id}`, lines: [] });
    await wire.send(CONTENT.subarray(HALF));
    assertEquals(STORED.parse((await wire.reply()).text), { size: CONTENT.length, sha256: DIGEST });
    assertEquals(server.files(), ["a.bin"]);
    assertEquals(server.read("a.bin"), CONTENT);
    Deno.removeSync(`${server.folder.path}/a.bin`);
  }
});

Deno.test("files: an upload goes on from before where it broke off: what lay beyond is gone", async () => {
  await using server = await FileServer.start();
  const broken = await server.connect();
  await broken.send(`UPLOAD a ${CONTENT.length}\r\n`, CONTENT.subarray(0, HALF));
  await broken.connection.closeWrite();
  await broken.ended();
  using wire = await server.connect();
  assertEquals((await wire.ask(`UPLOAD a ${CONTENT.length} 50000 WAIT`)).code, 150);
  wire.connection.close();
  await server.process.logged("broken off at 50000 bytes, 50000 are kept");
  using again = await server.connect();
  assertEquals(PARTIAL.parse((await again.ask(`STAT a ${CONTENT.length}`)).text).offset, 50_000);
  const stored = await upload(again, `UPLOAD a ${CONTENT.length} 50000 SHA256=${DIGEST}`, CONTENT.subarray(50_000));
  assertEquals(stored.code, 226, stored.text);
  assertEquals(server.read("a"), CONTENT);
});

Deno.test("files: ABORT removes what has come, with its token only", async () => {
  await using server = await FileServer.start();
  const broken = await server.connect();
  await broken.send("UPLOAD a 10 TOKEN=mine\r\n12345");
  await broken.connection.closeWrite();
  await broken.ended();
  using wire = await server.connect();
  for (const line of ["ABORT a", "ABORT a TOKEN=other", "ABORT a 11 TOKEN=mine", "ABORT b TOKEN=mine"]) {
    assertEquals((await wire.ask(line)).code, 550, line);
  }
  assertEquals((await wire.ask("STAT a 10")).code, 550);
  assertEquals((await wire.ask("STAT a TOKEN=mine")).code, 350);
  assertEquals(await wire.ask("ABORT a 10 TOKEN=mine"), { code: 200, text: "removed 1", lines: [] });
  assertEquals(server.files(), []);
});

Deno.test("files: the digest after the body decides: right is stored, wrong is 557 and leaves nothing", async () => {
  await using server = await FileServer.start();
  using wire = await server.connect();
  const line = `UPLOAD a ${CONTENT.length} SHA256=AFTER\r\n`;
  await wire.send(line, CONTENT, `${"0".repeat(64)}\r\n`);
  assertEquals((await wire.reply()).code, 557);
  assertEquals(server.files(), []);
  await wire.send(line, CONTENT, `${DIGEST}\r\n`);
  assertEquals((await wire.reply()).code, 226);
  assertEquals(server.read("a"), CONTENT);
});

Deno.test("files: OVERWRITE replaces a file, and not before the new one is whole", async () => {
  await using server = await FileServer.start();
  using wire = await server.connect();
  await upload(wire, "UPLOAD a 3", "old");
  assertEquals((await wire.ask("UPLOAD a 3 OVERWRITE WAIT")).code, 150);
  await wire.send("ne");
  using other = await server.connect();
  assertEquals(new TextDecoder().decode(server.read("a")), "old");
  await wire.send("w");
  assertEquals((await wire.reply()).code, 226);
  assertEquals(new TextDecoder().decode(server.read("a")), "new");
  assertEquals((await upload(other, "UPLOAD a 3", "xyz")).code, 555);
  assertEquals(server.files(), ["a"]);
});

Deno.test("files: the very same file again is 213, no error", async () => {
  await using server = await FileServer.start();
  await server.folder.write("a", CONTENT);
  using wire = await server.connect();
  assertEquals((await wire.ask(`STAT a ${CONTENT.length} SHA256=${DIGEST}`)).code, 213);
  const line = `UPLOAD a ${CONTENT.length} SHA256=${DIGEST}`;
  for (const given of [`${line} WAIT`, `${line} WAIT OVERWRITE`]) assertEquals((await wire.ask(given)).code, 213);
  assertEquals((await upload(wire, line)).code, 213); // the body is thrown away
  await wire.assertInStep();
});

const NAMES: readonly (readonly [string, number])[] = [
  ["two words.txt", 226],
  ["отчёт 报告.txt", 226],
  ["it's = 100%.txt", 226],
  ["x".repeat(255), 226],
  ["x".repeat(256), 553],
  ["..", 553],
  ["../a", 553],
  ["/etc/passwd", 553],
  ["a/b", 553],
  ["a\\b", 553],
  ['say "hi"', 553],
  [".hidden", 553],
  [".lock", 553],
  ["CON", 553],
  ["nul.txt", 553],
  ["trailing.", 553],
  ["", 553],
  ["a\u202eb", 553],
];

Deno.test("files: odd names are stored or 553, in step either way; nothing leaves the folder", async () => {
  await using server = await FileServer.start();
  using wire = await server.connect();
  for (const [name, code] of NAMES) {
    const quoted = `"${name.replace(/["\\]/g, "\\$&")}"`;
    assertEquals((await upload(wire, `UPLOAD ${quoted} 2`, "hi")).code, code, name);
    for (const line of [`STAT ${quoted}`, `HASH ${quoted} 0`, `ABORT ${quoted}`]) {
      const expected = code === 553 ? 553 : line.startsWith("ABORT") ? 550 : 213;
      assertEquals((await wire.ask(line)).code, expected, line);
    }
    assertEquals((await wire.ask(`DOWNLOAD ${quoted}`)).code, code === 553 ? 553 : 150);
    if (code !== 553) assertEquals([(await wire.body(2)).length, (await wire.reply()).code], [2, 226]);
  }
  assertEquals(server.files(), NAMES.filter(([, code]) => code === 226).map(([name]) => name).sort());
  assertEquals((await wire.ask("STAT a\0b")).code, 500);
});

Deno.test("files: NFC and NFD are one name, and so are A and a where a system cannot tell them apart", async () => {
  await using server = await FileServer.start();
  using wire = await server.connect();
  assertEquals((await upload(wire, "UPLOAD Zu\u0308rich 2", "hi")).code, 226);
  assertEquals(server.files(), ["Zürich"]);
  assertEquals((await wire.ask("STAT Zürich")).code, 213);
  for (const line of ["UPLOAD Zürich 2", "UPLOAD zÜRICH 2", "UPLOAD zÜRICH 2 OVERWRITE"]) {
    assertEquals((await upload(wire, line, "ho")).code, 555, line);
  }
  await wire.assertInStep();
});

// --- Every refusal leaves the connection in step, or closes it --------------------------------------------------------

/** A line that is refused with `code` after `setup`, in a folder with the file `there` and the partial `part` of 10 bytes. */
interface RefusalCase {
  readonly code: number;
  readonly line: string;
  readonly body?: string;
  readonly ends?: boolean;
  /** Why it ends although its code does not say so: the page has both reasons below the table. */
  readonly exception?: string;
}

const OTHER = "f".repeat(64);
const REFUSALS: readonly RefusalCase[] = [
  { code: 213, line: `UPLOAD there 5 SHA256=${sha256(encodeText("there"))}`, body: "there" },
  { code: 450, line: "UPLOAD busy 5", body: "other" },
  { code: 450, line: "ABORT busy" },
  { code: 452, line: "UPLOAD big 999999", body: "x".repeat(999_999) },
  { code: 500, line: "FOO" },
  { code: 500, line: "ECHO \x01" },
  { code: 500, line: `ECHO ${"x".repeat(4096)}`, ends: true },
  { code: 501, line: "STAT" },
  { code: 501, line: "HASH a -5" },
  { code: 501, line: "UPLOAD a -5", ends: true },
  { code: 501, line: "UPLOAD a 5 NOPE", body: "12345", ends: true },
  { code: 501, line: "UPLOAD new 2 SHA256=AFTER", body: "hiQUIT\r\n" },
  { code: 550, line: "STAT nothing" },
  { code: 550, line: "DOWNLOAD nothing" },
  { code: 550, line: "HASH nothing 0" },
  { code: 550, line: "ABORT nothing" },
  { code: 550, line: "DOWNLOAD nothing RAW", ends: true, exception: "RAW" },
  { code: 552, line: "UPLOAD big 2000000", body: "x".repeat(2_000_000) },
  { code: 552, line: "UPLOAD big 9007199254740991", ends: true, exception: "more than 64 MiB" },
  { code: 553, line: "UPLOAD ../a 5", body: "12345" },
  { code: 554, line: "UPLOAD part 10 6", body: "6789" },
  { code: 554, line: `UPLOAD part 10 4 SHA256=${OTHER}`, body: "456789" },
  { code: 554, line: "DOWNLOAD there 6" },
  { code: 555, line: "UPLOAD there 5 SHA256=AFTER", body: `other${OTHER}\r\n` },
  { code: 555, line: "UPLOAD there 5 SHA256=AFTER", body: "otherno digest\r\n" }, // one reply, not two
  { code: 555, line: "UPLOAD THERE 5 OVERWRITE", body: "other" },
  { code: 556, line: `UPLOAD part 10 4 PREFIX=${OTHER}`, body: "456789" },
  { code: 556, line: `DOWNLOAD there 2 PREFIX=${OTHER}` },
  { code: 557, line: `UPLOAD wrong 5 SHA256=${OTHER}`, body: "12345" },
];

Deno.test("files: every refusal leaves the connection in step, or closes it, as the page says", async () => {
  await using server = await FileServer.start("--max-file", "1MB", "--quota", "900kB");
  await server.folder.write("there", "there");
  using holder = await server.connect();
  assertEquals((await holder.ask("UPLOAD busy 5 WAIT TOKEN=holder")).code, 150);
  using breaker = await server.connect();
  await breaker.send(`UPLOAD part 10 SHA256=${DIGEST}\r\n12345`);
  await breaker.connection.closeWrite();
  await breaker.ended();
  for (const { code, line, body = "", ends = false } of REFUSALS) {
    using wire = await server.connect();
    await wire.send(`${line}\r\n${body}`);
    const reply = await wire.reply();
    assertEquals(reply.code, code, `${line.slice(0, 60)}: ${reply.text}`);
    if (ends) await wire.ended();
    else await wire.assertInStep();
    if (!line.startsWith("UPLOAD") || ends || line.includes("wrong") || line.includes("AFTER")) continue;
    assertEquals(await wire.ask(`${line} WAIT`), reply, line); // refused without a body
    await wire.assertInStep();
  }
  const row = (code: number) => DOC.split("\n").find((line) => line.startsWith(`| ${code} `)) ?? "";
  const refused = Array.from(DOC.matchAll(/^\| ([45]\d\d) /gm), ([, code]) => Number(code));
  const elsewhere = [421, 426, 451]; // with what it takes for them
  assertEquals(refused.filter((code) => !REFUSALS.some((refusal) => refusal.code === code)), elsewhere);
  const [, exceptions = ""] = DOC.split("Two exceptions:");
  for (const { code, ends = false, exception } of REFUSALS) {
    if (exception !== undefined) assertStringIncludes(exceptions, exception);
    else assertMatch(row(code), ends ? /closes/ : /in step/, `docs/protocols/files.md: ${code}`);
  }
});

Deno.test("files: a code that ends the connection in the middle of a body is followed by its end", async () => {
  await using server = await FileServer.start("--min-rate", "0");
  using old = await server.connect();
  assertEquals((await old.ask("UPLOAD a 5 WAIT TOKEN=t")).code, 150);
  await old.send("12");
  using taker = await server.connect();
  assertEquals((await taker.ask("UPLOAD a 5 WAIT TOKEN=t")).code, 150);
  assertEquals((await old.reply()).code, 426);
  await old.ended();
  await taker.send("12345");
  assertEquals((await taker.reply()).code, 226);
});

Deno.test("files: a source that changes or shrinks while it is sent is never taken for whole", async () => {
  await using server = await FileServer.start("--rate", "2MB");
  const size = 4_000_000;
  const file = await server.folder.write("a", noise(size));
  using wire = await server.connect();
  assertEquals((await wire.ask("DOWNLOAD a")).code, 150);
  Deno.utimeSync(file, 1, 1);
  await wire.body(size);
  assertEquals((await wire.reply()).code, 426);
  await wire.assertInStep();
  assertEquals((await wire.ask("DOWNLOAD a")).code, 150);
  Deno.truncateSync(file, 1_000_000);
  assert((await wire.rest()).length < size);
  await server.process.logged("it has become shorter");
});

// --- How bytes arrive ---------------------------------------------------------------------------------------------------

Deno.test("files: header, body and next command byte by byte, and in one segment, mean the same", async () => {
  await using server = await FileServer.start();
  const stream = encodeText(
    'UPLOAD "a b" 6 SHA256=AFTER\r\nQUIT\r\n' + `${sha256(encodeText("QUIT\r\n"))}\r\nSTAT "a b"\nQUIT\r\n`,
  );
  for (const size of [stream.length, 1]) {
    using wire = await server.connect();
    for (let start = 0; start < stream.length; start += size) await wire.send(stream.subarray(start, start + size));
    assertEquals([(await wire.reply()).code, (await wire.reply()).code, (await wire.reply()).code], [226, 213, 221]);
    await wire.ended();
    assertEquals(new TextDecoder().decode(server.read("a b")), "QUIT\r\n");
    Deno.removeSync(`${server.folder.path}/a b`);
  }
});

Deno.test("files: lines of 4096 bytes, of 4097, and of a million", async () => {
  await using server = await FileServer.start();
  for (const [length, fits] of [[4096, true], [4097, false], [1_000_000, false]] as const) {
    using wire = await server.connect();
    const text = "x".repeat(length - "ECHO \r\n".length);
    const sent = wire.send(`ECHO ${text}\r\nECHO after\r\n`).catch(() => {});
    const reply = await wire.reply();
    assertEquals(
      reply,
      fits ? { code: 200, text, lines: [] } : {
        code: 500,
        text: "line too long: limit is 4096 bytes",
        lines: [],
      },
    );
    if (fits) assertEquals((await wire.reply()).text, "after");
    else await wire.ended();
    await sent;
  }
});

Deno.test("files: a digest after a refused body that is a line too long is the end, like any other", async () => {
  await using server = await FileServer.start();
  using wire = await server.connect();
  assertEquals((await upload(wire, "UPLOAD ../a 3 SHA256=AFTER", "abc")).code, 553);
  await wire.send("0".repeat(5000));
  assertEquals(await wire.reply(), { code: 500, text: "line too long: limit is 4096 bytes", lines: [] });
  await wire.ended();
});

Deno.test("files: telnet's bytes are not the user's, in lines; the answer that it waits for comes at once", async () => {
  await using server = await FileServer.start();
  using wire = await server.connect();
  await wire.send(Uint8Array.of(255, 244, 255, 253, 6)); // Ctrl-C in telnet
  assertEquals(await wire.body(3), Uint8Array.of(255, 252, 6));
  await wire.send(
    concat([encodeText("EC"), Uint8Array.of(255, 251, 1), encodeText("HO hi"), Uint8Array.of(255, 241, 13, 10)]),
  );
  assertEquals((await wire.reply()).text, "hi");
  const body = Uint8Array.of(255, 244, 255, 253, 6, 255, 255, 0, 13);
  assertEquals((await upload(wire, `UPLOAD a ${body.length}`, body)).code, 226);
  assertEquals(server.read("a"), body);
});

Deno.test("files: commands that follow each other without waiting are answered in order", async () => {
  await using server = await FileServer.start();
  await server.folder.write("a", CONTENT);
  using wire = await server.connect();
  await wire.send("DOWNLOAD a 0 5\nECHO one\nUPLOAD b 2\nhiSTAT b\nECHO two\nQUIT\n");
  assertEquals((await wire.reply()).code, 150);
  assertEquals(await wire.body(5), CONTENT.slice(0, 5));
  const codes = [];
  for (let i = 0; i < 6; i++) codes.push((await wire.reply()).code);
  assertEquals(codes, [226, 200, 226, 213, 200, 221]);
  await wire.ended();
});

Deno.test("files: DOWNLOAD RAW is the bytes and the end", async () => {
  await using server = await FileServer.start();
  await server.folder.write("a", CONTENT);
  using wire = await server.connect();
  await wire.send(`DOWNLOAD a ${HALF} RAW\n`);
  assertEquals(await wire.rest(), CONTENT.slice(HALF));
});

// --- Options ------------------------------------------------------------------------------------------------------------

Deno.test("files: --max-per-ip refuses the next one with 421, until there is room", async () => {
  await using server = await FileServer.start("--max-per-ip", "2");
  const first = await server.connect();
  using _second = await server.connect();
  const greet = async () => {
    using conn = new Wire(new TcpConnection(await server.process.connect()));
    const { code } = await conn.reply();
    if (code === 421) await conn.ended();
    return code;
  };
  assertEquals(await greet(), 421);
  first.connection.close();
  while (await greet() !== 220);
});

Deno.test("files: --idle-timeout: who says nothing is told so, 421, and closed; who talks is not", async () => {
  await using server = await FileServer.start("--idle-timeout", "400ms");
  using wire = await server.connect();
  assertEquals(await wire.reply(), { code: 421, text: "idle for 400 ms", lines: [] });
  await wire.ended();
  await server.process.logged(/: closed: idle for 400 ms$/);
});

Deno.test("files: --rate holds a transfer back", async () => {
  await using server = await FileServer.start("--rate", "400kB");
  using wire = await server.connect();
  const begun = performance.now();
  assertEquals((await upload(wire, `UPLOAD a ${CONTENT.length}`)).code, 226);
  assert(performance.now() - begun > 400);
  await wire.ask("DOWNLOAD a");
  await wire.body(CONTENT.length);
  assert(performance.now() - begun > 800);
  assertEquals((await wire.reply()).code, 226);
});

Deno.test("files: without --root, with none that is there, with a file or with one that is taken, or with a --rate that no upload outlives: one line that says so", async () => {
  await using server = await FileServer.start();
  const file = await server.folder.write("file", "");
  for (
    const [args, code, line] of [
      [[], 2, "files: there is no folder to serve (name one: --root DIR)"],
      [
        ["--root", "/nonexistent"],
        1,
        "(make it: mkdir /nonexistent)",
      ],
      [["--root", file], 1, "it is no folder"],
      [["--root", server.folder.path, "--rate", "1KiB"], 2, "(--min-rate below --rate, or 0)"],
      [["--root", server.folder.path], 1, "another server has it"],
    ] as const
  ) {
    const output = await run(SERVER, ["--port", "0", ...args]);
    assertEquals([output.code, output.stdout], [code, ""]);
    assertStringIncludes(output.stderr, line);
  }
});

Deno.test("files: a server that may not ask for the free space says so before it listens", async () => {
  await using folder = new TestFolder();
  const args = ["--port", "0", "--root", folder.path];
  const { code, stdout, stderr } = await run(SERVER, args, { permissions: ["-N", "-R", "-W"] });
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /^files: serve the folder .*: requires sys access to "statfs".* \(try: deno run .*statfs.*\)\n$/);
});

Deno.test("files: neither screen nor log shows a token", async () => {
  await using server = await FileServer.start("--verbose");
  using wire = await server.connect();
  await upload(wire, "UPLOAD a 2 TOKEN=secret-of-mine", "hi");
  await wire.ask("STAT a 2 TOKEN=secret-of-mine");
  await wire.ask("QUIT");
  await wire.ended();
  const { stdout, stderr } = await server.process.stop();
  assert(!`${stdout}${stderr}`.includes("secret-of-mine"));
  assertStringIncludes(stdout, "UPLOAD a 2");
});

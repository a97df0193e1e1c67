import { UsageError } from "../../lib/errors.ts";
import {
  candidatesFor,
  completionOf,
  quoteWord,
  readCommand,
  splitLine,
  splitTarget,
} from "../../lib/files/client_commands.ts";
import { formatProgress, formatReport, Meter, type Report } from "../../lib/files/client_progress.ts";
import { MAX_TRIES, Retry } from "../../lib/files/client_retry.ts";
import {
  type Answer,
  type BodyEnd,
  download,
  type Outcome,
  RefusalError,
  type Step,
  type Talk,
  upload,
} from "../../lib/files/client_talk.ts";
import { formatCommand } from "../../lib/files/commands.ts";
import { COMPLETE, FOLLOWS, HASHED, PARTIAL, SEND, SENT, STORED } from "../../lib/files/replies.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "../assert.ts";

const [A, B] = ["a".repeat(64), "b".repeat(64)];
const ID = "0123456789abcdef";
const MIB = 2 ** 20;

/** Holds a talk with a list of what comes of each step; returns what was done, as text, and the outcome. */
function hold(talk: Talk<Outcome>, results: (Answer | BodyEnd | string | undefined)[]) {
  const steps: string[] = [];
  const left = [...results];
  for (let next = talk.next(undefined);; next = talk.next(left.shift())) {
    if (next.done) {
      assertEquals(left, []);
      return { steps, outcome: next.value };
    }
    steps.push(describe(next.value));
  }
}

function describe(step: Step): string {
  if (step.type === "ask") return formatCommand(step.command);
  if (step.type === "send" || step.type === "receive") return `${step.type} ${step.count} from ${step.from}`;
  return step.type === "hash" ? `hash ${step.count}` : step.type;
}

const missing = { code: 550, text: "no such file: f" };
const UP = { name: "f", size: 10, token: "t", overwrite: false, verify: true };
const stored = (sha256: string | undefined, own = sha256) => ({
  answer: { code: 226, text: STORED.format({ size: 10, sha256 }) },
  sha256: own,
});
const sending = (offset: number) => ({ code: 150, text: SEND.format({ count: 10 - offset, offset, id: ID }) });
const partial = (offset: number, prefix: string | undefined) => ({
  code: 350,
  text: PARTIAL.format({ offset, size: 10, prefix, id: ID }),
});
const complete = (sha256: string | undefined, size = 10) => ({
  code: 213,
  text: COMPLETE.format({ size, sha256, name: "f" }),
});

Deno.test("upload: what is not there is sent, its digest follows", () => {
  const { steps, outcome } = hold(upload(UP), [missing, sending(0), stored(A)]);
  assertEquals(steps, ["STAT f 10 TOKEN=t", "UPLOAD f 10 SHA256=AFTER TOKEN=t WAIT", "send 10 from 0"]);
  assertEquals(outcome, { size: 10, sha256: A, offset: 0, alreadyThere: false });
});

Deno.test("upload: what is there is proved before the rest is sent", () => {
  const { steps } = hold(upload(UP), [partial(4, B), B, sending(4), stored(A)]);
  assertEquals(steps.slice(1), [
    "hash 4",
    `UPLOAD f 10 4 SHA256=AFTER PREFIX=${B} TOKEN=t WAIT`,
    "send 6 from 4",
  ]);
});

Deno.test("upload: a prefix that differs, here or there, makes it begin anew", () => {
  const anew = "UPLOAD f 10 SHA256=AFTER TOKEN=t WAIT";
  assertEquals(hold(upload(UP), [partial(4, B), A, undefined, sending(0), stored(A)]).steps.at(-2), anew);
  const refused = { code: 556, text: "prefix differs" };
  assertEquals(hold(upload(UP), [partial(4, B), B, refused, undefined, sending(0), stored(A)]).steps.at(-2), anew);
});

Deno.test("upload: a file of the same size is compared, and only the same one is a success", () => {
  const same = hold(upload(UP), [complete(undefined), A, complete(A)]);
  assertEquals(same.steps, ["STAT f 10 TOKEN=t", "hash 10", `STAT f 10 SHA256=${A} TOKEN=t`]);
  assertEquals(same.outcome, { size: 10, sha256: A, offset: 10, alreadyThere: true });
  const exists = { code: 555, text: "f exists" };
  assertThrows(() => hold(upload(UP), [complete(undefined), A, complete(B), exists]), RefusalError, "555");
  const replaced = hold(upload({ ...UP, overwrite: true }), [complete(B), A, complete(B), sending(0), stored(A)]);
  assertEquals(replaced.steps.at(-2), `UPLOAD f 10 SHA256=${A} TOKEN=t OVERWRITE WAIT`);
});

Deno.test("upload: what the server has stored must be what was sent", () => {
  assertThrows(() => hold(upload(UP), [missing, sending(0), stored(B, A)]), Error, "Cannot vouch for f");
  assertThrows(() => hold(upload(UP), [missing, sending(5)]), Error, "Cannot send from 0");
});

Deno.test("upload: without hashing nothing is hashed, and what is already there counts only if it was sent", () => {
  const plain = { ...UP, verify: false };
  const { steps } = hold(upload(plain), [partial(4, undefined), sending(4), stored(undefined)]);
  assertEquals(steps, ["STAT f 10 TOKEN=t NOHASH", "UPLOAD f 10 4 TOKEN=t WAIT NOHASH", "send 6 from 4"]);
  assert(hold(upload({ ...plain, sentAll: true }), [complete(undefined)]).outcome.alreadyThere);
});

Deno.test("upload: a server that never agrees is not asked for ever", () => {
  const differs = { code: 554, text: "source changed" };
  const answers = [missing, ...Array(4).fill([differs, undefined]).flat()];
  assertThrows(() => hold(upload(UP), answers), Error, "again and again");
});

const DOWN = { name: "f", have: 0, source: undefined, verify: true };
const follows = (offset: number, mtime = 5) => ({
  code: 150,
  text: FOLLOWS.format({ count: 10 - offset, offset, size: 10, sha256: undefined, mtime, name: "f" }),
});
const sent = (sha256: string | undefined, own: string | undefined = A) => ({
  answer: { code: 226, text: SENT.format({ count: 10, sha256 }) },
  sha256: own,
});

Deno.test("download: what is here is proved before the rest comes, then the whole is compared", () => {
  assertEquals(hold(download(DOWN), [follows(0), sent(A)]).steps, ["DOWNLOAD f", "receive 10 from 0"]);
  const { steps, outcome } = hold(download({ ...DOWN, have: 4 }), [B, follows(4), sent(A)]);
  assertEquals(steps, ["hash 4", `DOWNLOAD f 4 PREFIX=${B}`, "receive 6 from 4"]);
  assertEquals(outcome, { size: 10, sha256: A, offset: 4, alreadyThere: false });
});

Deno.test("download: what does not fit is thrown away, a whole that differs is not kept", () => {
  for (const code of [554, 556]) {
    const { steps } = hold(download({ ...DOWN, have: 4 }), [B, { code, text: "no" }, undefined, follows(0), sent(A)]);
    assertEquals(steps.slice(2), ["discard", "DOWNLOAD f", "receive 10 from 0"]);
  }
  assertThrows(() => hold(download(DOWN), [follows(0), sent(B)]), Error, "its SHA-256 is not the server's");
  const hashed = { code: 213, text: HASHED.format({ offset: 10, sha256: A }) };
  assertEquals(hold(download(DOWN), [follows(0), sent(undefined), hashed]).steps.at(-1), "HASH f 10");
});

Deno.test("download: without hashing size and time must be the same", () => {
  const request = { ...DOWN, verify: false, have: 4 };
  const probe = [follows(0), { code: 226, text: SENT.format({ count: 0, sha256: undefined }) }];
  const source = { size: 10, mtime: 5, sha256: undefined };
  const same = hold(download({ ...request, source }), [...probe, follows(4), sent(undefined)]);
  assertEquals(same.steps, ["DOWNLOAD f 0 0 NOHASH", "await", "DOWNLOAD f 4 NOHASH", "receive 6 from 4"]);
  for (const other of [undefined, { ...source, mtime: 6 }, { ...source, size: 9 }]) {
    const { steps } = hold(download({ ...request, source: other }), [...probe, undefined, follows(0), sent(undefined)]);
    assertEquals(steps.slice(2, 4), ["discard", "DOWNLOAD f NOHASH"]);
  }
  const long = hold(download({ ...request, have: 11, source }), [...probe, undefined, follows(0), sent(undefined)]);
  assertEquals(long.steps.slice(2, 4), ["discard", "DOWNLOAD f NOHASH"]);
});

Deno.test("RefusalError: 4xx is tried again, a disk that is full or fails is a question, 5xx and a takeover are the end", () => {
  const remedy = (code: number, text = "no") => new RefusalError({ code, text }).remedy;
  assertEquals([421, 426, 450].map((code) => remedy(code)), Array(3).fill("retry"));
  assertEquals([451, 452].map((code) => remedy(code)), ["ask", "ask"]);
  assertEquals([500, 550, 557].map((code) => remedy(code)), Array(3).fill("stop"));
  assertEquals(remedy(426, "taken over by a new connection"), "stop");
});

Deno.test("Retry: five tries, each wait twice as long, 20 % more or less; 1 MiB of progress starts anew", () => {
  const waits = (random: number) => {
    const retry = new Retry(() => random);
    return Array.from({ length: MAX_TRIES + 1 }, () => retry.next(0)?.wait);
  };
  assertEquals(waits(0.5), [500, 1000, 2000, 4000, 8000, undefined]);
  assertEquals(waits(0)[0], 400);
  assert(waits(0.999)[4]! < 9600);
  const retry = new Retry(() => 0.5);
  for (let i = 0; i < MAX_TRIES; i++) retry.next(7);
  assertEquals(retry.next(6 + MIB), undefined);
  assertEquals(retry.next(7 + MIB)?.number, 1);
  assertEquals(retry.next(7 + MIB + MIB / 2)?.number, 2);
  assertEquals(retry.next(7 + 2 * MIB)?.number, 1);
  retry.restart();
  assertEquals(retry.next(0)?.number, 1);
});

Deno.test("Meter: a rate that follows in 3 s, time left, stalled after 5 s", () => {
  const meter = new Meter(100 * MIB, 0, 0);
  assertEquals([meter.rate, meter.secondsLeft], [0, Infinity]);
  for (let now = 100; now <= 10_000; now += 100) meter.moveTo(now * 1000, now);
  assert(Math.abs(meter.rate - 1e6) < 1e3, `${meter.rate}`);
  assert(Math.abs(meter.secondsLeft - (100 * MIB - 1e7) / 1e6) < 1);
  meter.moveTo(1e7, 13_000);
  assert(Math.abs(meter.rate - 1e6 / Math.E) < 1e4, `${meter.rate}`);
  assertEquals([meter.isStalled(14_999), meter.isStalled(15_000)], [false, true]);
});

Deno.test("formatProgress: fits the terminal, says when it is stalled", () => {
  const meter = new Meter(1024 * MIB, 0, 0);
  meter.moveTo(412 * MIB, 2000);
  const line = formatProgress("photo.jpg", meter, { now: 2000, columns: 100 });
  assertEquals(line, "photo.jpg  40 % [========            ] 412/1024 MiB  216.0 MB/s  ETA 0:03");
  for (let columns = 1; columns < 100; columns++) {
    assert(formatProgress("photo.jpg", meter, { now: 2000, columns }).length < columns + 1);
  }
  assertStringIncludes(formatProgress("f", meter, { now: 7000, columns: 80 }), "stalled");
  assertStringIncludes(formatProgress("f", new Meter(0, 0, 0), { now: 0, columns: 80 }), "100 %");
});

Deno.test("formatProgress: a name of wide characters takes two columns for each, marks take none", () => {
  const meter = new Meter(1024 * MIB, 0, 0);
  const line = (name: string, columns: number) => formatProgress(name, meter, { now: 0, columns });
  const rest = "   0 % 0/1024 MiB  0.0 MB/s  ETA -:--";
  const bar = `   0 % [${" ".repeat(20)}] 0/1024 MiB  0.0 MB/s  ETA -:--`;
  assertEquals(line("写真", bar.length + 5), `写真 ${bar.slice(1)}`);
  assertEquals(line("写真", bar.length + 4), `写真 ${rest.slice(1)}`);
  assertEquals(line("写真ファイル", rest.length + 6), `写真 ${rest.slice(1)}`); // a fifth column holds no half of one
  assertEquals(line("😀😀😀", rest.length + 5), `😀😀 ${rest.slice(1)}`);
  assertEquals(line("e\u0301".repeat(4), rest.length + 5), `${"e\u0301".repeat(4)} ${rest.slice(1)}`);
});

Deno.test("formatReport: bytes, seconds, both rates, digest, breaks", () => {
  const report: Report = {
    command: "put",
    file: "./f",
    name: "f",
    size: 3e6,
    moved: 1e6,
    seconds: 0.5,
    totalSeconds: 2,
    resumedFrom: 1e6,
    breaks: 2,
    sha256: A,
    alreadyThere: false,
  };
  assertEquals(
    formatReport(report),
    `f: 1000000 bytes in 0.500 s, 2.0 MB/s, 16.0 Mbit/s, sha256=${A}, resumed from 1000000, 2 breaks, ` +
      "in all 2000000 bytes in 2.000 s, 1.0 MB/s, 8.0 Mbit/s",
  );
  assertStringIncludes(formatReport({ ...report, sha256: null, alreadyThere: true }), "is there already");
  assertEquals(formatReport({ ...report, resumedFrom: 0, breaks: 0 }).includes("resumed"), false);
});

Deno.test("splitTarget, readCommand: [HOST] [PORT] COMMAND...", () => {
  const none = { host: undefined, port: undefined };
  assertEquals(splitTarget([]), { ...none, command: [] });
  assertEquals(splitTarget(["put", "ls"]), { ...none, command: ["put", "ls"] });
  assertEquals(splitTarget(["h", "1", "get", "a"]), { host: "h", port: "1", command: ["get", "a"] });
  assertEquals(splitTarget(["h", "1"]), { host: "h", port: "1", command: [] });
  assertThrows(() => splitTarget(["h", "1", "x"]), UsageError, 'unknown command "x"');
  assertEquals(readCommand(["put", "a", "b"]), { verb: "put", args: ["a", "b"] });
  assertEquals(readCommand(["mget", "a", "b", "c"]), { verb: "mget", args: ["a", "b", "c"] });
  for (const words of [["put"], ["mput"], ["ls", "a"], ["toString"], []]) {
    assertThrows(() => readCommand(words), UsageError);
  }
  for (const verb of ["put", "get"]) {
    const error = assertThrows(() => readCommand([verb, "a", "b", "c"]), UsageError, `${verb} is used otherwise`);
    assertStringIncludes(error.hint!, `several files: m${verb} `);
  }
  assertEquals(assertThrows(() => readCommand(["put"]), UsageError).hint, undefined);
});

Deno.test("splitLine, quoteWord, completionOf: what is typed", () => {
  for (const name of ["a", "two words", 'a"b', "a\\ b", ""]) {
    assertEquals(splitLine(`get ${quoteWord(name)} b`), ["get", name, "b"]);
  }
  assertEquals(splitLine("  "), []);
  for (const line of ['a "b', '"a"b', 'a"b']) {
    if (line === 'a"b') assertEquals(splitLine(line), [line]);
    else assertThrows(() => splitLine(line), UsageError);
  }
  assertEquals(completionOf("pu"), { kind: "verb", end: "pu", word: "pu" });
  assertEquals(completionOf("put fi"), { kind: "local", end: "fi", word: "fi" });
  assertEquals(completionOf("get "), { kind: "remote", end: "", word: "" });
  assertEquals(completionOf('get "two w'), { kind: "remote", end: '"two w', word: "two w" });
  const kinds = (...lines: string[]) => lines.map((line) => completionOf(line).kind);
  assertEquals(kinds("put a b", 'put "a b" c', "put a b c"), ["remote", "remote", "nothing"]);
  assertEquals(kinds("get a b", "get a b c", "rm-partial a "), ["local", "nothing", "local"]);
  assertEquals(kinds("mput a b c d", "mget a b c d", "stat a"), ["local", "remote", "remote"]);
  assertEquals(kinds("time x", "echo x", "nope x", "stat a b"), Array(4).fill("nothing"));
  assertEquals(kinds("put --overwrite a", "get a --no-verify b", "put --overwrite a b"), ["local", "local", "remote"]);
});

Deno.test("candidatesFor: the line that Tab makes can be typed on and is what was meant", () => {
  assertEquals(candidatesFor("my", ["my dir/", "my dog", "mydir/", "other"]), ['"my dir/', '"my dog"', "mydir/"]);
  const typed = `put ${candidatesFor("my", ["my dir/"])[0]}in`;
  assertEquals(completionOf(typed), { kind: "local", end: '"my dir/in', word: "my dir/in" });
  assertEquals(splitLine(`${typed}ner"`), ["put", "my dir/inner"]);
  assertEquals(candidatesFor("", ["a\x1b[2J", "b\nput c", "\u202ed", "e"]), ["e"]);
});

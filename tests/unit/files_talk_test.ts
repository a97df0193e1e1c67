import { createHash } from "node:crypto";
import fc from "fast-check";
import { concat } from "@std/bytes";
import { encodeText } from "../../lib/bytes.ts";
import { ProtocolError } from "../../lib/errors.ts";
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
import {
  type DownloadCommand,
  formatCommand,
  parseCommand,
  type StatCommand,
  type UploadCommand,
} from "../../lib/files/commands.ts";
import {
  CODE,
  COMPLETE,
  FOLLOWS,
  formatReply,
  HASHED,
  PARTIAL,
  ReplyReader,
  SEND,
  SENT,
  STORED,
} from "../../lib/files/replies.ts";
import { CommandReader, encodeLine } from "../../lib/files/session.ts";
import { judgePresent, refuseOffset, refusePrefix } from "../../lib/files/upload_rules.ts";
import { assert, assertEquals } from "../assert.ts";

const ID = "0123456789abcdef";
const EMPTY = new Uint8Array();

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The files of a server: one name, and what has come of its upload. */
interface Disk {
  file: Uint8Array | undefined;
  partial: Uint8Array;
}

/** One connection of a server that keeps to docs/protocols/files.md, without sockets and without a disk. */
class Server {
  readonly #disk: Disk;
  readonly #reader = new CommandReader();
  #upload: UploadCommand | undefined;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** What it says to the bytes. */
  receive(bytes: Uint8Array): Uint8Array {
    this.#reader.receive(bytes);
    const said: Uint8Array[] = [];
    for (;;) {
      if (this.#upload !== undefined) {
        this.#disk.partial = concat([this.#disk.partial, this.#reader.takeBody()]);
        if (this.#reader.bodyLeft > 0) return concat(said);
        if (!this.#reader.digestFollows) said.push(this.#store(this.#upload.sha256));
      }
      const event = this.#reader.next();
      if (event === undefined) return concat(said);
      if (event.type === "digest") said.push(this.#store(event.sha256));
      else if (event.type === "refused") throw new Error(event.text);
      else said.push(...this.#obey(event.command));
    }
  }

  #obey(command: Parameters<typeof formatCommand>[0]): Uint8Array[] {
    switch (command.verb) {
      case "STAT":
        return [this.#stat(command)];
      case "UPLOAD":
        return [this.#begin(command)];
      case "DOWNLOAD":
        return this.#send(command);
      case "HASH":
        return [say(CODE.complete, HASHED.format({ offset: command.offset, sha256: sha256(this.#disk.file!) }))];
      default:
        throw new Error(`nobody says ${command.verb}`);
    }
  }

  #stat({ name, size, sha256: wanted, nohash }: StatCommand): Uint8Array {
    const { file, partial } = this.#disk;
    const digest = file && wanted && sha256(file);
    if (file !== undefined && file.length === size && digest === wanted) {
      return say(CODE.complete, COMPLETE.format({ size, sha256: digest, name }));
    }
    if (partial.length === 0) return say(CODE.missing, "no such file");
    const prefix = nohash ? undefined : sha256(partial);
    return say(CODE.partial, PARTIAL.format({ offset: partial.length, size: size!, prefix, id: ID }));
  }

  #begin(command: UploadCommand): Uint8Array {
    const { file, partial } = this.#disk;
    const { name, size, offset = 0, prefix } = command;
    const record = { name, size, offset: partial.length, prefix: null, sha256: null };
    const refusal = (file && judgePresent(command, { size: file.length, sha256: sha256(file) })) ??
      refuseOffset(command, record, undefined) ?? refusePrefix(prefix, sha256(partial.subarray(0, offset)));
    if (refusal !== undefined) return say(refusal.code, refusal.text);
    this.#upload = command;
    this.#disk.partial = partial.slice(0, offset);
    this.#reader.expectBody(size - offset, { digestFollows: command.sha256 === "AFTER" });
    return concat([say(102, "hashing 50 %"), say(CODE.body, SEND.format({ count: size - offset, offset, id: ID }))]);
  }

  #store(announced: string | undefined): Uint8Array {
    const { partial } = this.#disk;
    const isHashed = !this.#upload!.nohash;
    this.#upload = undefined;
    this.#disk.partial = EMPTY;
    if (announced !== undefined && announced !== sha256(partial)) return say(CODE.corrupt, "hash mismatch");
    this.#disk.file = partial;
    return say(CODE.done, STORED.format({ size: partial.length, sha256: isHashed ? sha256(partial) : undefined }));
  }

  #send({ name, offset = 0, length, prefix, nohash }: DownloadCommand): Uint8Array[] {
    const file = this.#disk.file!;
    const refusal = offset > file.length
      ? { code: CODE.differentSource, text: "too far" }
      : refusePrefix(prefix, sha256(file.subarray(0, offset)));
    if (refusal !== undefined) return [say(refusal.code, refusal.text)];
    const body = file.subarray(offset, length === undefined ? undefined : offset + length);
    const digest = nohash || prefix !== undefined ? undefined : sha256(file); // the client has to ask for it
    const head = FOLLOWS.format({
      count: body.length,
      offset,
      size: file.length,
      sha256: undefined,
      mtime: 1,
      name,
    });
    return [say(CODE.body, head), body, say(CODE.done, SENT.format({ count: body.length, sha256: digest }))];
  }
}

function say(code: number, text: string): Uint8Array {
  return encodeText(formatReply(code, text));
}

/** The connection is no more. */
class Cut extends Error {}

/** A connection that carries only so many bytes each way, in pieces, and loses the others without a word. */
class Wire {
  readonly #server: Server;
  readonly #reader = new ReplyReader();
  readonly #left: { up: number; down: number };
  readonly #piece: number;

  constructor(disk: Disk, { up, down, piece }: { up: number; down: number; piece: number }) {
    this.#server = new Server(disk);
    this.#left = { up, down };
    this.#piece = piece;
  }

  send(bytes: Uint8Array): void {
    for (let start = 0; start < bytes.length; start += this.#piece) {
      const piece = bytes.subarray(start, start + this.#piece);
      const carried = piece.subarray(0, this.#left.up);
      this.#left.up -= carried.length;
      const said = this.#server.receive(carried).subarray(0, this.#left.down);
      this.#left.down -= said.length;
      for (let at = 0; at < said.length; at += this.#piece) this.#reader.receive(said.subarray(at, at + this.#piece));
    }
  }

  answer(): Answer {
    for (;;) {
      const line = this.#reader.next();
      if (line === undefined) throw new Cut();
      if (line.code !== CODE.working) return line;
    }
  }

  body(count: number): Uint8Array {
    return this.#reader.takeBody(count);
  }
}

/** A client's file: the source of an upload, or what has come of a download. */
interface Local {
  bytes: Uint8Array;
  isSent: boolean;
}

/** One try: does what the talk wants on a wire. */
function hold(talk: Talk<Outcome>, local: Local, wire: Wire, verify: boolean): Outcome {
  for (let next = talk.next(undefined);; next = talk.next(obey(next.value as Step))) {
    if (next.done) return next.value;
  }

  function obey(step: Step): Answer | BodyEnd | string | undefined {
    switch (step.type) {
      case "ask":
        wire.send(encodeLine(formatCommand(step.command)));
        return wire.answer();
      case "await":
        return wire.answer();
      case "hash":
        return sha256(local.bytes.subarray(0, step.count));
      case "send":
        wire.send(local.bytes.subarray(step.from, step.from + step.count));
        local.isSent = true;
        if (step.digestFollows) wire.send(encodeText(`${sha256(local.bytes)}\r\n`));
        return { answer: wire.answer(), sha256: verify ? sha256(local.bytes) : undefined };
      case "receive": {
        const body = wire.body(step.count);
        local.bytes = concat([local.bytes.subarray(0, step.from), body]);
        if (body.length < step.count) throw new Cut();
        return { answer: wire.answer(), sha256: verify ? sha256(local.bytes) : undefined };
      }
      case "discard":
        local.bytes = EMPTY;
        return undefined;
      case "tell":
        return undefined;
    }
  }
}

const content = fc.uint8Array({ maxLength: 300, size: "max" });
const cuts = fc.array(
  fc.record({
    up: fc.oneof(fc.nat(700), fc.constant(Infinity)),
    down: fc.oneof(fc.nat(700), fc.constant(Infinity)),
    piece: fc.integer({ min: 1, max: 99 }),
  }),
  { maxLength: 6, size: "max" },
);
/** How much of the right content is there from before, and whether it is damaged. */
const before = fc.record({ share: fc.double({ min: 0, max: 1, noNaN: true }), damaged: fc.boolean() });

function kept(bytes: Uint8Array, { share, damaged }: { share: number; damaged: boolean }): Uint8Array {
  const part = bytes.slice(0, Math.floor(share * bytes.length));
  if (damaged && part.length > 0) part[0]! ^= 1;
  return part;
}

/** Tries until the cuts are used up, then once more. */
function repeat(
  cutsLeft: { up: number; down: number; piece: number }[],
  attempt: (cut: typeof cutsLeft[0]) => Outcome,
) {
  for (const cut of [...cutsLeft, { up: Infinity, down: Infinity, piece: 64 }]) {
    try {
      return attempt(cut);
    } catch (error) {
      if (!(error instanceof Cut)) throw error;
    }
  }
  throw new Error("a whole connection was cut");
}

Deno.test("upload: wherever it is cut, and whatever was there, the whole is stored in the end", () => {
  fc.assert(fc.property(content, cuts, before, fc.boolean(), (bytes, cuts, before, verify) => {
    const disk: Disk = { file: undefined, partial: kept(bytes, { ...before, damaged: verify && before.damaged }) };
    const local = { bytes, isSent: false };
    const request = { name: "f", size: bytes.length, token: "t", overwrite: false, verify };
    const attempt = (cut: typeof cuts[0]) =>
      hold(upload({ ...request, sentAll: local.isSent }), local, new Wire(disk, cut), verify);
    const outcome = repeat(cuts, attempt);
    assertEquals(disk.file, bytes);
    assertEquals([outcome.size, outcome.sha256], [bytes.length, verify ? sha256(bytes) : undefined]);
  }));
});

Deno.test("upload: wherever it is cut, it takes the place of another file when it is whole, of the same size too", () => {
  fc.assert(fc.property(content, cuts, fc.boolean(), fc.boolean(), (bytes, cuts, isLonger, verify) => {
    const old = new Uint8Array(bytes.length + Number(isLonger)).fill(7);
    const disk: Disk = { file: old, partial: EMPTY };
    const local = { bytes, isSent: false };
    const request = { name: "f", size: bytes.length, token: "t", overwrite: true, verify };
    repeat(cuts, (cut) => {
      assert(disk.file === old || sha256(disk.file!) === sha256(bytes));
      return hold(upload({ ...request, sentAll: local.isSent }), local, new Wire(disk, cut), verify);
    });
    assertEquals(disk.file, bytes);
  }));
});

Deno.test("download: wherever it is cut, and whatever was here, the whole is here in the end", () => {
  fc.assert(fc.property(content, cuts, before, fc.boolean(), (bytes, cuts, before, verify) => {
    const local = { bytes: kept(bytes, { ...before, damaged: verify && before.damaged }), isSent: false };
    const source = { size: bytes.length, mtime: 1, sha256: undefined };
    const attempt = (cut: typeof cuts[0]) => {
      const request = { name: "f", have: local.bytes.length, source, verify };
      return hold(download(request), local, new Wire({ file: bytes, partial: EMPTY }, cut), verify);
    };
    const outcome = repeat(cuts, attempt);
    assertEquals(local.bytes, bytes);
    assertEquals([outcome.size, outcome.sha256], [bytes.length, verify ? sha256(bytes) : undefined]);
  }));
});

const DIGEST = "a".repeat(64);
/** Replies that could be right, at another place, or for another file. */
const PLAUSIBLE: Answer[] = ([
  [CODE.complete, `complete 5 sha256=${DIGEST} "f"`],
  [CODE.complete, `5 sha256=${DIGEST}`],
  [CODE.partial, `partial 3 of 5 prefix=${DIGEST} id=${ID}`],
  [CODE.partial, `partial 9 of 9 prefix=- id=${ID}`],
  [CODE.body, `send 5 from 0 id=${ID}`],
  [CODE.body, `send 2 from 3 id=${ID}`],
  [CODE.body, `5 0 5 sha256=- mtime=1 "f"`],
  [CODE.body, `2 3 5 sha256=- mtime=1 "f"`],
  [CODE.body, `5 0 9 sha256=- mtime=1 "f"`],
  [CODE.body, `9 0 9999999999999999 sha256=- mtime=1 "f"`],
  [CODE.done, `stored 5 sha256=${DIGEST}`],
  [CODE.done, `sent 5 sha256=${DIGEST}`],
  [CODE.done, "sent 5 sha256=-"],
  [CODE.missing, "no such file"],
  [CODE.differentSource, "offset 0 prefix=-"],
  [CODE.differentPrefix, "prefix differs"],
] as const).map(([code, text]) => ({ code, text }));
const answers = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...PLAUSIBLE) },
  fc.record({
    code: fc.constantFrom(...Object.values(CODE), 299),
    text: fc.oneof(fc.string(), fc.constantFrom(...PLAUSIBLE.map(({ text }) => text))),
  }),
);

Deno.test("upload, download: whatever the server answers, they end, by a result or by a fault of the server's", () => {
  const digest = fc.constantFrom(DIGEST, "b".repeat(64));
  const replies = fc.array(fc.tuple(answers, digest), { minLength: 40, maxLength: 40 });
  fc.assert(
    fc.property(replies, fc.boolean(), fc.boolean(), fc.nat(5), (replies, verify, isUpload, have) => {
      const talk = isUpload
        ? upload({ name: "f", size: 5, token: "t", overwrite: false, verify, sentAll: have > 2 })
        : download({ name: "f", have, source: { size: 5, mtime: 1, sha256: undefined }, verify });
      const said: string[] = [];
      try {
        let next = talk.next(undefined);
        for (const [answer, sha256] of replies) {
          if (next.done) return;
          const step = next.value;
          const isBody = step.type === "send" || step.type === "receive";
          if (step.type === "ask") said.push(formatCommand(step.command));
          if (step.type === "send") assertEquals(step.from + step.count, 5);
          if (step.type === "receive") assertEquals(step.from + step.count, step.source.size);
          const result = isBody ? { answer, sha256 } : step.type === "hash" ? sha256 : answer;
          next = talk.next(result);
        }
        assert(next.done, "it goes on for ever");
      } catch (error) {
        assert(error instanceof ProtocolError || error instanceof RefusalError, `${error}`);
      } finally {
        said.forEach(parseCommand); // each is a command, whatever was answered
      }
    }),
    { numRuns: 2000 },
  );
});

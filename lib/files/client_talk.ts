/**
 * What the client says to the file server after which reply, as generators that know neither sockets nor files: they yield
 * what is to be done, and are given what came of it. One talk is one try; after a break the next one begins with a question.
 *
 * A prefix is proved before the first byte moves, by SHA-256 on both ends.
 * @module
 */
import { ProtocolError } from "../errors.ts";
import type { Command } from "./commands.ts";
import { CODE, COMPLETE, FOLLOWS, HASHED, PARTIAL, SEND, SENT, STORED } from "./replies.ts";

/** The last line of a reply. */
export interface Answer {
  readonly code: number;
  readonly text: string;
}

/** What came after a body: the server's answer, and the SHA-256 of the whole file here (undefined if nobody hashes). */
export interface BodyEnd {
  readonly answer: Answer;
  readonly sha256: string | undefined;
}

/** What is to be done next. */
export type Step =
  /** Say the command: an {@linkcode Answer}. */
  | { readonly type: "ask"; readonly command: Command }
  /** Wait for another reply: an {@linkcode Answer}. */
  | { readonly type: "await" }
  /** Hash the first `count` bytes of the file here: 64 hex digits. */
  | { readonly type: "hash"; readonly count: number }
  /** Send `count` bytes of the file, with `digestFollows` then its digest as a line: a {@linkcode BodyEnd}. */
  | { readonly type: "send"; readonly from: number; readonly count: number; readonly digestFollows: boolean }
  /** Write the next `count` bytes into the partial: a {@linkcode BodyEnd}. */
  | { readonly type: "receive"; readonly from: number; readonly count: number; readonly source: RemoteSource }
  /** Throw away what is in the partial here, since `why`. */
  | { readonly type: "discard"; readonly why: string }
  /** Tell the user. */
  | { readonly type: "tell"; readonly text: string };

/** A try that ends with a `Result`, or by throwing. */
export type Talk<Result> = Generator<Step, Result, Answer | BodyEnd | string | undefined>;

/** What a file on the server was when its download began. */
export interface RemoteSource {
  /** In bytes. */
  readonly size: number;
  /** In ms since 1970. */
  readonly mtime: number;
  /** 64 hex digits, if the server knew it. */
  readonly sha256: string | undefined;
}

/** How a transfer ended. */
export interface Outcome {
  readonly size: number;
  readonly sha256: string | undefined;
  /** Where this try began, in bytes; the size if nothing was to do. */
  readonly offset: number;
  /** Whether the whole file was there. */
  readonly alreadyThere: boolean;
}

/** How a refusal goes on: by itself, after a question to the user, or not at all. */
export type Remedy = "retry" | "ask" | "stop";

/** The server has refused. */
export class RefusalError extends Error {
  override name = "RefusalError";
  readonly code: number;

  /** Takes the server's answer. */
  constructor({ code, text }: Answer) {
    super(`the server says: ${code} ${text}`);
    this.code = code;
  }

  /** 4xx may be tried again; a disk only when somebody has looked after it; what another connection took over is not ours any more. */
  get remedy(): Remedy {
    if (this.code === CODE.full || this.code === CODE.failed) return "ask";
    if (this.code === CODE.broken && this.message.includes(" taken over ")) return "stop";
    return this.code < 500 ? "retry" : "stop";
  }
}

/** The two ends do not have the same file after the transfer. */
export class MismatchError extends ProtocolError {
  override name = "MismatchError";
}

/** How often one try may begin anew because the two ends disagree about what is there. */
const MAX_TURNS = 4;

function* ask(command: Command): Talk<Answer> {
  return (yield { type: "ask", command }) as Answer;
}

function* hash(count: number): Talk<string> {
  return (yield { type: "hash", count }) as string;
}

// --- Upload ------------------------------------------------------------------------------------------------------------

/** What is to be uploaded. */
export interface UploadRequest {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  readonly token: string;
  readonly overwrite: boolean;
  /** Whether both ends hash. */
  readonly verify: boolean;
  /** Whether an earlier try has sent the last byte: a file of this size is then ours. */
  readonly sentAll?: boolean;
}

/** One try to upload: asks what is there, proves it, sends the rest. The source is read once. */
export function* upload(request: UploadRequest): Talk<Outcome> {
  const { name, size, token, overwrite, verify } = request;
  for (let turn = 0, anew = false; turn < MAX_TURNS; turn++) {
    const place = yield* findPlace(request, anew);
    if (place.outcome !== undefined) return place.outcome;
    const { offset, prefix, sha256 } = place;
    const answer = yield* ask({
      verb: "UPLOAD",
      name,
      size,
      ...(offset > 0 && { offset }),
      ...(verify && { sha256: sha256 ?? "AFTER" }),
      ...(prefix !== undefined && { prefix }),
      token,
      ...(overwrite && { overwrite }),
      wait: true,
      ...(!verify && { nohash: true }),
    });
    if (answer.code === CODE.complete) return whole(size, sha256);
    if (answer.code === CODE.differentSource || answer.code === CODE.differentPrefix) {
      anew = true;
      yield { type: "tell", text: `${name}: what the server has is of another file: it begins anew` };
      continue;
    }
    if (answer.code !== CODE.body) throw new RefusalError(answer);
    const sent = SEND.parse(answer.text);
    if (sent.offset !== offset || sent.count !== size - offset) {
      throw new ProtocolError(`Cannot send from ${offset}: the server wants ${sent.count} bytes from ${sent.offset}`);
    }
    const end = (yield {
      type: "send",
      from: offset,
      count: size - offset,
      digestFollows: verify && sha256 === undefined,
    }) as BodyEnd;
    if (end.answer.code !== CODE.done) throw new RefusalError(end.answer);
    const stored = STORED.parse(end.answer.text);
    if (stored.size !== size || (verify && stored.sha256 !== end.sha256)) {
      throw new MismatchError(`Cannot vouch for ${name}: the server has stored something else`);
    }
    return { size, sha256: verify ? end.sha256 : undefined, offset, alreadyThere: false };
  }
  throw new ProtocolError(`Cannot upload ${name}: the server says again and again that something else is there`);
}

/** Where an upload begins, or how it has ended. */
interface UploadPlace {
  readonly offset: number;
  readonly prefix?: string;
  /** Of the whole, if it had to be computed. */
  readonly sha256?: string;
  readonly outcome?: Outcome;
}

function* findPlace(request: UploadRequest, anew: boolean): Talk<UploadPlace> {
  const { name, size, token, overwrite, verify, sentAll } = request;
  if (anew) return { offset: 0 };
  const question = { verb: "STAT", name, size, token, ...(!verify && { nohash: true }) } as const;
  let answer = yield* ask(question);
  let sha256: string | undefined;
  if (answer.code === CODE.complete && COMPLETE.parse(answer.text).size === size) {
    const isSame = size === 0 || (sentAll && !overwrite); // one that is to be replaced may have the same size
    if (!verify) return isSame ? { offset: 0, outcome: whole(size, undefined) } : { offset: 0 };
    sha256 = yield* hash(size);
    answer = yield* ask({ ...question, sha256 });
    if (answer.code === CODE.complete && COMPLETE.parse(answer.text).sha256 === sha256) {
      return { offset: 0, outcome: whole(size, sha256) };
    }
  }
  const known = sha256 === undefined ? {} : { sha256 };
  if (answer.code === CODE.complete || answer.code === CODE.missing) return { offset: 0, ...known };
  if (answer.code !== CODE.partial) throw new RefusalError(answer);
  const { offset, prefix } = PARTIAL.parse(answer.text);
  if (offset > size) throw new ProtocolError(`Cannot go on from ${offset}: the file has ${size} bytes`);
  if (!verify || offset === 0) return { offset, ...known };
  if ((yield* hash(offset)) === prefix) return { offset, prefix, ...known };
  yield { type: "tell", text: `${name}: what the server has is of another file: it begins anew` };
  return { offset: 0, ...known };
}

function whole(size: number, sha256: string | undefined): Outcome {
  return { size, sha256, offset: size, alreadyThere: true };
}

// --- Download ----------------------------------------------------------------------------------------------------------

/** What is to be downloaded. */
export interface DownloadRequest {
  readonly name: string;
  /** Bytes that the partial here has. */
  readonly have: number;
  /** What the file was when they came, if that was kept. */
  readonly source: RemoteSource | undefined;
  /** Whether both ends hash. */
  readonly verify: boolean;
}

/** One try to download: proves what is here, receives the rest, compares the whole. */
export function* download(request: DownloadRequest): Talk<Outcome> {
  const { name, verify } = request;
  for (let turn = 0, offset = yield* trustedOffset(request); turn < MAX_TURNS; turn++) {
    const answer = yield* ask({
      verb: "DOWNLOAD",
      name,
      ...(offset > 0 && { offset }),
      ...(offset > 0 && verify && { prefix: yield* hash(offset) }),
      ...(!verify && { nohash: true }),
    });
    if (offset > 0 && (answer.code === CODE.differentPrefix || answer.code === CODE.differentSource)) {
      offset = 0;
      yield { type: "discard", why: `${name}: what was kept is not what the server has: it begins anew` };
      continue;
    }
    if (answer.code !== CODE.body) throw new RefusalError(answer);
    const { count, offset: from, ...source } = FOLLOWS.parse(answer.text);
    if (from !== offset || offset + count !== source.size) {
      throw new ProtocolError(`Cannot receive from ${offset}: the server sends ${count} bytes from ${from}`);
    }
    const end = (yield { type: "receive", from, count, source }) as BodyEnd;
    if (end.answer.code !== CODE.done) throw new RefusalError(end.answer);
    const sha256 = verify ? yield* verifyWhole(name, source.size, end) : undefined;
    return { size: source.size, sha256, offset, alreadyThere: false };
  }
  throw new ProtocolError(`Cannot download ${name}: the server says again and again that it is another file`);
}

/** How much of what is here may be gone on with. Where nobody hashes, size and time of change must be the same. */
function* trustedOffset({ name, have, source, verify }: DownloadRequest): Talk<number> {
  if (verify || have === 0) return have;
  const answer = yield* ask({ verb: "DOWNLOAD", name, offset: 0, length: 0, nohash: true });
  if (answer.code !== CODE.body) throw new RefusalError(answer);
  const { size, mtime } = FOLLOWS.parse(answer.text);
  const end = (yield { type: "await" }) as Answer;
  if (end.code !== CODE.done) throw new RefusalError(end);
  if (source?.size === size && source.mtime === mtime && have <= size) return have;
  yield { type: "discard", why: `${name}: the file has changed: it begins anew` };
  return 0;
}

function* verifyWhole(name: string, size: number, { answer, sha256 }: BodyEnd): Talk<string> {
  let expected = SENT.parse(answer.text).sha256;
  if (expected === undefined) {
    const hashed = yield* ask({ verb: "HASH", name, offset: size });
    if (hashed.code !== CODE.complete) throw new RefusalError(hashed);
    expected = HASHED.parse(hashed.text).sha256;
  }
  if (sha256 !== undefined && sha256 === expected) return sha256;
  throw new MismatchError(`Cannot keep ${name}: its SHA-256 is not the server's`);
}

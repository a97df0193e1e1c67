/**
 * DOWNLOAD: a file or a part of it becomes a body.
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import type { DownloadCommand } from "../../files/commands.ts";
import { formatRate, RateLimit } from "../../files/rate.ts";
import { CODE, FOLLOWS, SENT } from "../../files/replies.ts";
import { safeName } from "../../files/safe_name.ts";
import { refusePrefix } from "../../files/upload_rules.ts";
import { TruncatedError } from "../../errors.ts";
import { reason } from "../failure.ts";
import { delay } from "../timing.ts";
import { changedAt, onDisk } from "./disk.ts";
import type { OpenFile } from "./folder.ts";
import { hashRange } from "./hash_cache.ts";
import { hashOptions } from "./inspect.ts";
import type { Peer } from "./peer.ts";
import { RefusedError } from "./refused.ts";
import type { FileService } from "./service.ts";

/** The smallest and the largest block, in bytes: it grows while the peer takes blocks quickly, so that slow ones cost little. */
const MIN_BLOCK = 64 * 1024;
const MAX_BLOCK = 2 ** 20;
/** What is quick, in ms. */
const QUICK_MS = 20;

/** Sends a file; resolves to false when the connection has to end. */
export async function sendDownload(service: FileService, peer: Peer, given: DownloadCommand): Promise<boolean> {
  const command = { ...given, name: safeName(given.name) };
  const { name, offset = 0, raw = false } = command;
  using opened = service.folder.open(name);
  if (opened === undefined) throw new RefusedError(CODE.missing, `no such file: ${name}`);
  const { size } = opened.info;
  if (offset > size) throw new RefusedError(CODE.differentSource, `offset ${size} is its end`);
  const count = Math.min(command.length ?? Infinity, size - offset);
  const hash = await startDigest(service, peer, { opened, command, toEnd: offset + count === size });
  const known = service.digests.get(name, opened.info);
  if (!raw) {
    const values = { count, offset, size, sha256: known, mtime: changedAt(opened.info), name };
    await peer.reply(CODE.body, FOLLOWS.format(values));
  }
  const begun = performance.now();
  await sendRange(service, peer, { opened, offset, count, hash });
  const ms = performance.now() - begun;
  const isSame = changedAt(onDisk(() => opened.file.statSync())) === changedAt(opened.info);
  const digest = hash?.digest("hex") ?? (offset + count === size ? known : undefined);
  if (isSame && hash !== undefined && digest !== undefined) service.digests.set(name, opened.info, digest);
  const text = `${SENT.format({ count, sha256: digest })} ${formatRate(count, ms)}`;
  service.log.write("info", `${name}: ${isSame ? text : "source changed"}`, peer.connection.peer);
  if (!raw) await peer.reply(isSame ? CODE.done : CODE.broken, isSame ? text : "source changed while it was sent");
  if (raw) await peer.sayGoodbye();
  return !raw;
}

/** What the digest of the whole is to be computed with: undefined if nobody wants it, or it would cost another reading. */
async function startDigest(
  service: FileService,
  peer: Peer,
  { opened, command, toEnd }: { opened: OpenFile; command: DownloadCommand; toEnd: boolean },
): Promise<Hash | undefined> {
  const { offset = 0, prefix, nohash, raw } = command;
  if (nohash && prefix === undefined) return undefined;
  const hash = createHash("sha256");
  if (prefix !== undefined) {
    await hashRange(opened.file, hash, { from: 0, to: offset, ...hashOptions(service, peer) });
    RefusedError.check(refusePrefix(prefix, hash.copy().digest("hex")));
  }
  const isWhole = toEnd && (offset === 0 || prefix !== undefined);
  const isKnown = service.digests.get(command.name, opened.info) !== undefined;
  return isWhole && !isKnown && !nohash && !raw ? hash : undefined;
}

/** What of a file is sent. */
interface Range {
  readonly opened: OpenFile;
  readonly offset: number;
  readonly count: number;
  readonly hash: Hash | undefined;
}

/**
 * Reads bytes of a body under way: how many.
 * @throws {TruncatedError} if it has to be cut there: a reply would stand in the middle of it
 */
function readNext(file: Deno.FsFile, block: Uint8Array): number {
  let count;
  try {
    count = file.readSync(block);
  } catch (cause) {
    throw new TruncatedError(`Cannot send the file: ${reason(cause)}`, { cause });
  }
  if (count === null) throw new TruncatedError("Cannot send the file: it has become shorter");
  return count;
}

/** Sends a range; while one block is on its way, the next one is read and hashed. */
async function sendRange(
  service: FileService,
  peer: Peer,
  { opened: { file }, offset, count, hash }: Range,
): Promise<void> {
  const rate = new RateLimit(service.limits.rate);
  let size = MIN_BLOCK;
  let left = count;
  onDisk(() => file.seekSync(offset, Deno.SeekMode.Start));
  const buffers = [new Uint8Array(0), new Uint8Array(0)];
  const readBlock = (turn: number): Uint8Array => {
    const length = Math.min(size, left, rate.step);
    const buffer = buffers[turn]!.length < length ? buffers[turn] = new Uint8Array(length) : buffers[turn]!;
    const block = buffer.subarray(0, length > 0 ? readNext(file, buffer.subarray(0, length)) : 0);
    left -= block.length;
    hash?.update(block);
    return block;
  };
  let block = readBlock(0);
  for (let turn = 1; block.length > 0; turn = 1 - turn) {
    const begun = performance.now();
    const sent = peer.send(block);
    sent.catch(() => {}); // it is awaited below, after what may throw
    const next = readBlock(turn);
    await sent;
    const now = performance.now();
    if (block.length === size && now - begun < QUICK_MS) size = Math.min(4 * size, MAX_BLOCK);
    const pause = rate.moved(block.length, now);
    if (pause > 0) await delay(pause);
    await service.turns.take();
    block = next;
  }
}

/**
 * STAT, HASH, LIST and ABORT: what is there, and away with it.
 * @module
 */
import { createHash } from "node:crypto";
import type { AbortCommand, HashCommand, ListCommand, StatCommand } from "../../files/commands.ts";
import { partialId } from "../../files/partial.ts";
import { CODE, COMPLETE, HASHED, LISTED, LISTED_PARTIAL, PARTIAL } from "../../files/replies.ts";
import { safeName } from "../../files/safe_name.ts";
import { changedAt, isPlain } from "./disk.ts";
import { type HashOptions, hashRange } from "./hash_cache.ts";
import type { Found } from "./partials.ts";
import type { Peer } from "./peer.ts";
import { RefusedError } from "./refused.ts";
import type { FileService } from "./service.ts";

/** How this peer's long files are hashed. */
export function hashOptions({ turns }: FileService, peer: Peer): HashOptions {
  return { turns, tell: (text) => peer.notify(CODE.working, text), isVain: () => peer.isGone };
}

/** The digest of a whole file that is there, from the cache or computed. */
export async function digestOf(service: FileService, peer: Peer, name: string): Promise<string | undefined> {
  using opened = service.folder.open(name);
  if (opened === undefined) return undefined;
  const known = service.digests.get(name, opened.info);
  if (known !== undefined) return known;
  const hash = createHash("sha256");
  await hashRange(opened.file, hash, { from: 0, to: opened.info.size, ...hashOptions(service, peer) });
  const digest = hash.digest("hex");
  service.digests.set(name, opened.info, digest);
  return digest;
}

/** STAT: 213 for a file, 350 for a part of one. */
export async function stat(service: FileService, peer: Peer, command: StatCommand): Promise<void> {
  const name = safeName(command.name);
  await service.takeOver(name, command.token);
  const info = service.folder.look(name);
  if (info !== undefined && !isPlain(info)) throw new RefusedError(CODE.missing, `${name} is not a plain file`);
  const isSame = info !== undefined && (command.size ?? info.size) === info.size;
  if (isSame) {
    const wanted = command.sha256;
    const digest = wanted === undefined ? service.digests.get(name, info) : await digestOf(service, peer, name);
    if (wanted === undefined || wanted === digest) {
      return await peer.reply(CODE.complete, COMPLETE.format({ size: info.size, sha256: digest, name }));
    }
  }
  if (await statPartial(service, peer, { ...command, name })) return;
  if (info === undefined) throw new RefusedError(CODE.missing, `no such file: ${name}`);
  const digest = service.digests.get(name, info);
  await peer.reply(CODE.complete, COMPLETE.format({ size: info.size, sha256: digest, name }));
}

/** What has come of the uploads to a name, of one size or of any, with this token. */
async function partialsOf(
  { partials, turns }: FileService,
  { name, size, token }: Omit<AbortCommand, "verb">,
): Promise<Found[]> {
  const all = await Array.fromAsync(partials.list(turns));
  return all.filter(({ id, record }) =>
    record.name === name && record.size === (size ?? record.size) && id === partialId({ ...record, token })
  );
}

async function statPartial(service: FileService, peer: Peer, command: StatCommand): Promise<boolean> {
  const { name, size, token, nohash } = command;
  const found = size === undefined
    ? (await partialsOf(service, command))[0]
    : service.partials.find({ name, size, token });
  if (found === undefined) return false;
  const { offset } = found.record;
  const hash = nohash ? undefined : await service.partials.hashPrefix(found, offset, hashOptions(service, peer));
  if (!nohash && hash === undefined) return false; // damaged
  const text = PARTIAL.format({ offset, size: found.record.size, prefix: hash?.digest("hex"), id: found.id });
  await peer.reply(CODE.partial, text);
  return true;
}

/** HASH: the digest of a file's first bytes. */
export async function hash(service: FileService, peer: Peer, command: HashCommand): Promise<void> {
  const { offset } = command;
  const name = safeName(command.name);
  using opened = service.folder.open(name);
  if (opened === undefined) throw new RefusedError(CODE.missing, `no such file: ${name}`);
  if (offset > opened.info.size) throw new RefusedError(CODE.differentSource, `offset ${opened.info.size} is its end`);
  if (offset === opened.info.size) {
    const digest = await digestOf(service, peer, name);
    return await peer.reply(CODE.complete, HASHED.format({ offset, sha256: digest }));
  }
  const state = createHash("sha256");
  await hashRange(opened.file, state, { from: 0, to: offset, ...hashOptions(service, peer) });
  await peer.reply(CODE.complete, HASHED.format({ offset, sha256: state.digest("hex") }));
}

/** LIST: the files, or the partials. */
export async function list(
  { folder, partials, digests, turns }: FileService,
  peer: Peer,
  command: ListCommand,
): Promise<void> {
  const lines: string[] = [];
  if (command.partial) {
    for await (const { id, info, record: { name, size, offset } } of partials.list(turns)) {
      lines.push(LISTED_PARTIAL.format({ offset, size, changed: changedAt(info), id, name }));
    }
  } else {
    for await (const { name, info } of folder.list(turns)) {
      lines.push(LISTED.format({ size: info.size, changed: changedAt(info), sha256: digests.get(name, info), name }));
    }
  }
  await peer.replyLines(CODE.list, lines, `${lines.length} ${command.partial ? "partials" : "files"}`);
}

/** ABORT: removes what has come of an upload, with its token. */
export async function abort(service: FileService, peer: Peer, command: AbortCommand): Promise<void> {
  const name = safeName(command.name);
  using _ = await service.claim(name, command.token, peer);
  const found = await partialsOf(service, { ...command, name });
  if (found.length === 0) throw new RefusedError(CODE.missing, `nothing has come of ${name}`);
  for (const { data } of found) service.partials.remove(data);
  await peer.reply(CODE.ok, `removed ${found.length}`);
}

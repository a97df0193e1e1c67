/**
 * Uploads that are not complete, on the disk: their bytes, the records beside them, and the state of their digests in memory.
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import {
  decodeRecord,
  encodeRecord,
  parseRecord,
  partialId,
  partialName,
  type PartialRecord,
  readPartialName,
  type UploadIdentity,
} from "../../files/partial.ts";
import { CODE } from "../../files/replies.ts";
import { decodeText } from "../../bytes.ts";
import { isPlain, onDisk, waitForDisk } from "./disk.ts";
import type { Folder } from "./folder.ts";
import { type HashOptions, hashRange, StampedCache } from "./hash_cache.ts";
import { RefusedError } from "./refused.ts";
import type { Turns } from "./turns.ts";

/** How long and for how many partials the state of the digest is kept: with it an upload goes on at once. */
const KEPT_MS = 600_000;
const MAX_KEPT = 1000;
/** The most that is read of a record, in bytes: several times what one has. */
const MAX_RECORD = 4096;

/** What has come of an upload that is under way no more. */
export interface Found {
  readonly id: string;
  /** The name of the file that holds it. */
  readonly data: string;
  readonly record: PartialRecord;
  readonly info: Deno.FileInfo;
}

/** The partials of a folder. */
export class Partials {
  readonly #folder: Folder;
  readonly #hashes = new StampedCache<{ readonly offset: number; readonly hash: Hash }>({
    maxEntries: MAX_KEPT,
    maxAge: KEPT_MS,
  });

  constructor(folder: Folder) {
    this.#folder = folder;
  }

  /**
   * What has come of an upload: undefined if nothing, or nothing that can be trusted.
   * @throws {RefusedError} if something that is no plain file has its name
   */
  find(identity: UploadIdentity): Found | undefined {
    const data = partialName(identity);
    const info = this.#folder.look(data);
    if (info === undefined) return undefined;
    if (!isPlain(info)) throw new RefusedError(CODE.missing, "what has come of it is not in a plain file");
    const id = partialId(identity);
    const record = decodeRecord(this.#read(recordName(data)), id, identity.token);
    if (record === undefined || record.offset > info.size) return undefined;
    return { id, data, record, info };
  }

  #read(name: string): Uint8Array {
    using opened = this.#folder.open(name);
    if (opened === undefined) return new Uint8Array();
    return onDisk(() => {
      const content = new Uint8Array(Math.min(opened.info.size, MAX_RECORD));
      return content.subarray(0, opened.file.readSync(content) ?? 0);
    });
  }

  /** All that can be gone on with, by name; others have their turns meanwhile. */
  async *list(turns: Turns): AsyncGenerator<Found, void> {
    for await (const { name } of this.#folder.walk(turns, (name) => readPartialName(name)?.kind === "data")) {
      const found = this.#at(name);
      if (found !== undefined) yield found;
    }
  }

  /** What can be gone on with in this file, whosever it is. */
  #at(data: string): Found | undefined {
    const info = this.#folder.look(data);
    if (info === undefined || !isPlain(info)) return undefined;
    const record = parseRecord(decodeText(this.#read(recordName(data))));
    if (record === undefined || record.offset > info.size) return undefined;
    return { id: readPartialName(data)!.id, data, record, info };
  }

  /**
   * The state of the digest of the first `offset` bytes: from memory, or computed again, and then compared with the record.
   * Undefined if the bytes are not those that were recorded.
   */
  async hashPrefix({ data, record, info }: Found, offset: number, options: HashOptions): Promise<Hash | undefined> {
    const kept = this.#hashes.get(data, info);
    if (kept?.offset === offset) return kept.hash.copy();
    using opened = this.#folder.open(data);
    if (opened === undefined) return undefined;
    const hash = createHash("sha256");
    await hashRange(opened.file, hash, { from: 0, to: offset, ...options });
    const prefix = hash.copy();
    if (record.prefix !== null) {
      await hashRange(opened.file, hash, { from: offset, to: record.offset, ...options });
      if (hash.digest("hex") !== record.prefix) return undefined;
    }
    this.#hashes.set(data, opened.info, { offset, hash: prefix.copy() });
    return prefix;
  }

  /** The digest's state if it is in memory. */
  keptHash({ data, record, info }: Found): Hash | undefined {
    const kept = this.#hashes.get(data, info);
    return kept?.offset === record.offset ? kept.hash.copy() : undefined;
  }

  /** Keeps the digest's state. */
  keepHash(data: string, info: Deno.FileInfo, state: { readonly offset: number; readonly hash: Hash }): void {
    this.#hashes.set(data, info, state);
  }

  /** Begins anew. */
  async create(identity: UploadIdentity, options: Omit<UploadState, "offset">): Promise<PartialFile> {
    const data = partialName(identity);
    const info = this.#folder.look(data);
    if (info !== undefined && !isPlain(info)) {
      throw new RefusedError(CODE.missing, "what has come of it is not in a plain file");
    }
    this.remove(data);
    const file = onDisk(() => Deno.openSync(this.#folder.pathOf(data), { read: true, write: true, createNew: true }));
    return await this.#prepare(file, { data, identity, recorded: 0 }, { ...options, offset: 0 });
  }

  /** Goes on from `offset`; what lies beyond is cut off. */
  async resume({ data, record }: Found, identity: UploadIdentity, state: UploadState): Promise<PartialFile> {
    const opened = this.#folder.open(data, { read: true, write: true });
    if (opened === undefined) throw new RefusedError(CODE.missing, "what has come of it is not in a plain file");
    this.#hashes.delete(data);
    return await this.#prepare(opened.file, { data, identity, recorded: record.offset }, state);
  }

  async #prepare(
    file: Deno.FsFile,
    place: Pick<Place, "data" | "identity" | "recorded">,
    state: UploadState,
  ): Promise<PartialFile> {
    try {
      onDisk(() => {
        file.truncateSync(state.offset);
        file.seekSync(state.offset, Deno.SeekMode.Start);
      });
      const partial = new PartialFile(file, { ...place, partials: this, folder: this.#folder }, state);
      partial.reserveRecord();
      if (partial.durable < partial.received) await partial.checkpoint(); // it was cut back
      return partial;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Removes a partial and all that belongs to it. */
  remove(data: string): void {
    this.#hashes.delete(data);
    for (const name of [data, recordName(data), spareName(data)]) this.#folder.remove(name);
  }

  /** Removes what nobody has touched since `oldest` (ms since 1970), or what nobody can go on with; except what is under way. */
  async sweep(turns: Turns, oldest: number, isLive: (data: string) => boolean): Promise<number> {
    let count = 0;
    for await (const { name, info } of this.#folder.walk(turns, (name) => readPartialName(name) !== undefined)) {
      const { data } = readPartialName(name)!;
      const found = this.#at(data);
      const isKept = found !== undefined && (found.info.mtime?.getTime() ?? 0) >= oldest;
      if (!info.isFile || isKept || isLive(data)) continue;
      this.#folder.remove(name);
      count++;
    }
    return count;
  }
}

function recordName(data: string): string {
  return `${data}.json`;
}

/** The next record: made in advance, so that a full disk does not keep it from being written. */
function spareName(data: string): string {
  return `${data}.json.new`;
}

/** How an upload goes on. */
export interface UploadState {
  readonly offset: number;
  /** The state of the digest at `offset`; undefined if nobody hashes. */
  readonly hash: Hash | undefined;
  /** The SHA-256 of the whole that the client has announced. */
  readonly sha256: string | undefined;
}

/** Where a partial file belongs. */
interface Place {
  readonly partials: Partials;
  readonly folder: Folder;
  readonly data: string;
  readonly identity: UploadIdentity;
  /** The offset of its record. */
  readonly recorded: number;
}

/** An upload under way: its file is open and grows. */
export class PartialFile {
  readonly id: string;
  readonly #file: Deno.FsFile;
  readonly #place: Place;
  readonly #state: UploadState;
  readonly #inode: number | null;
  #received: number;
  #durable: number;

  constructor(file: Deno.FsFile, place: Place, state: UploadState) {
    this.#file = file;
    this.#place = place;
    this.#state = state;
    this.id = partialId(place.identity);
    this.#received = state.offset;
    this.#durable = state.offset === place.recorded ? state.offset : 0;
    this.#inode = onDisk(() => file.statSync()).ino;
  }

  /** The name of its file. */
  get data(): string {
    return this.#place.data;
  }

  /** Bytes from the beginning that have been written. */
  get received(): number {
    return this.#received;
  }

  /** Bytes from the beginning that a power failure would leave. */
  get durable(): number {
    return this.#durable;
  }

  /** Appends bytes. When the disk is full, as many of them as fit are written and counted. */
  write(chunk: Uint8Array): void {
    for (let rest = chunk; rest.length > 0;) {
      const count = onDisk(() => this.#file.writeSync(rest));
      this.#state.hash?.update(rest.subarray(0, count));
      this.#received += count;
      rest = rest.subarray(count);
    }
  }

  /** Makes what has come durable, then records it. More may be written meanwhile; nothing else may be done. */
  async checkpoint(): Promise<void> {
    const { folder, data, identity } = this.#place;
    const offset = this.#received;
    const record = encodeRecord({
      name: identity.name,
      size: identity.size,
      offset,
      prefix: this.#state.hash?.copy().digest("hex") ?? null,
      sha256: this.#state.sha256 ?? null,
    });
    await waitForDisk(async () => {
      using opened = folder.open(data, { write: true }); // a file waits for its sync with all else
      if (opened?.info.ino !== this.#inode) throw new Error("somebody has taken the partial away");
      await opened.file.syncData();
      using spare = await Deno.open(folder.pathOf(spareName(data)), { write: true, create: true });
      spare.writeSync(record);
      await spare.sync();
    });
    folder.rename(spareName(data), recordName(data));
    await folder.sync();
    this.#durable = offset;
    try {
      this.reserveRecord();
    } catch {
      // the disk is full now: the next record will want its space, this one has it
    }
  }

  /** Takes the space of the next record now. */
  reserveRecord(): void {
    const { folder, data, identity } = this.#place;
    folder.remove(spareName(data));
    const empty = encodeRecord({ ...identity, offset: 0, prefix: null, sha256: null });
    onDisk(() => Deno.writeFileSync(folder.pathOf(spareName(data)), empty, { createNew: true }));
  }

  /** The SHA-256 of all that has come. */
  digest(): string | undefined {
    return this.#state.hash?.copy().digest("hex");
  }

  /** Gives it its final name, durably. `check` is asked in the same moment whether it may. */
  async commit(name: string, check: () => void): Promise<Deno.FileInfo> {
    const { folder, partials, data } = this.#place;
    await waitForDisk(() => this.#file.sync());
    check();
    folder.rename(data, name);
    partials.remove(data);
    const info = onDisk(() => this.#file.statSync());
    this.#file.close();
    await folder.sync();
    return info;
  }

  /** Keeps what has come, durably and with its digest, for the next attempt. */
  async keep(): Promise<void> {
    try {
      if (this.#received === 0) return this.#place.partials.remove(this.data);
      if (this.#received > this.#durable) await this.checkpoint();
      const { hash } = this.#state;
      const info = onDisk(() => this.#file.statSync());
      if (hash !== undefined) this.#place.partials.keepHash(this.data, info, { offset: this.#received, hash });
    } finally {
      this.#file.close();
    }
  }

  /** Removes it. */
  discard(): void {
    this.#file.close();
    this.#place.partials.remove(this.data);
  }
}

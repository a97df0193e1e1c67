/**
 * What the connections of one file server share.
 * @module
 */
import { parseAddress } from "../../address.ts";
import { foldName } from "../../files/safe_name.ts";
import { CODE } from "../../files/replies.ts";
import type { Space } from "../../files/upload_rules.ts";
import type { Log } from "../log.ts";
import { SelfPipe } from "../self_pipe.ts";
import type { SocketConnection } from "../tcp.ts";
import { withDeadline } from "../timing.ts";
import { DiskError } from "./disk.ts";
import type { Folder } from "./folder.ts";
import { StampedCache } from "./hash_cache.ts";
import { Partials } from "./partials.ts";
import type { Peer, PeerTimeouts } from "./peer.ts";
import { RefusedError } from "./refused.ts";
import { Turns } from "./turns.ts";
import { Watch } from "./watch.ts";

/** How long the older connection of an upload may take to put down what has come, in ms. */
const TAKEOVER_MS = 2000;
/** How often partials that are too old are looked for, in ms; as often as they become so, if that is more often. */
const SWEEP_MS = 3_600_000;
const LEAST_SWEEP_MS = 1000;

/** What a file server allows. */
export interface FileLimits {
  /** Of one file, in bytes. */
  readonly maxFile: number;
  /** Of all files and partials, in bytes; 0: whatever fits. */
  readonly quota: number;
  /** Of one connection, in bytes a second; 0: as fast as it goes. */
  readonly rate: number;
  /** What an upload must reach, in bytes a second; 0: nothing. */
  readonly minRate: number;
  /** Connections of one address; undefined: any number. */
  readonly maxPerIp: number | undefined;
  /** How long a partial is kept after its last byte, in ms; 0: for ever. */
  readonly partialsTtl: number;
  /** How long a connection may wait. */
  readonly timeouts: PeerTimeouts;
}

/** A name that is being uploaded to. */
export interface Claim extends Disposable {
  readonly peer: Peer;
  readonly token: string | undefined;
  /** When it began, in ms since 1970. */
  readonly since: number;
  /** The name of its partial's file, and how many bytes are still to come. */
  data: string;
  missing: number;
  /** Whether it has ended, and what has come is being put down. */
  isEnding: boolean;
  /** Resolves when it is over and what has come is put down. */
  readonly released: Promise<void>;
}

/** One file server. */
export class FileService implements Disposable {
  readonly folder: Folder;
  readonly limits: FileLimits;
  readonly log: Log;
  readonly partials: Partials;
  /** Digests of whole files. */
  readonly digests: StampedCache<string> = new StampedCache();
  readonly peers: Set<Peer> = new Set();
  readonly turns: Turns = new Turns(() => this.peers.size > 1, () => this.#pipe.look());
  readonly watch: Watch;
  readonly #pipe = new SelfPipe();
  readonly #claims = new Map<string, Claim>();
  readonly #connectionsOf = new Map<string, number>(); // by address
  readonly #sweep: ReturnType<typeof setInterval> | undefined;

  constructor(folder: Folder, { limits, log }: { readonly limits: FileLimits; readonly log: Log }) {
    this.folder = folder;
    this.limits = limits;
    this.log = log;
    this.partials = new Partials(folder);
    const { idle, line, stall } = limits.timeouts;
    this.watch = new Watch(Math.min(idle || Infinity, line, stall));
    this.#removeOld();
    const { partialsTtl } = limits;
    this.#sweep = setInterval(
      () => this.#removeOld(),
      Math.min(SWEEP_MS, Math.max(partialsTtl || Infinity, LEAST_SWEEP_MS)),
    );
  }

  [Symbol.dispose](): void {
    clearInterval(this.#sweep);
    this.watch[Symbol.dispose]();
    this.#pipe[Symbol.dispose]();
  }

  /** Tells all that wait for commands that the server stops. */
  stop(): void {
    for (const peer of this.peers) if (peer.isIdle) peer.dismiss(CODE.unavailable, "the server stops");
  }

  /** Resolves when what was under way is put down. */
  async ended(): Promise<void> {
    const all = Promise.all(this.#claims.values().map(({ released }) => released));
    await withDeadline(TAKEOVER_MS, all).catch(() => this.log.write("warn", "an upload could not be put down in time"));
  }

  /** Whether this address may have another connection. */
  admits(connection: SocketConnection): boolean {
    return (this.#connectionsOf.get(parseAddress(connection.peer).hostname) ?? 0) < (this.limits.maxPerIp ?? Infinity);
  }

  /** Counts a connection, until what it returns is disposed of. */
  enter(peer: Peer): Disposable {
    const address = parseAddress(peer.connection.peer).hostname;
    const change = (by: number) => {
      const count = (this.#connectionsOf.get(address) ?? 0) + by;
      if (count === 0) this.#connectionsOf.delete(address);
      else this.#connectionsOf.set(address, count);
    };
    this.peers.add(peer);
    change(1);
    return {
      [Symbol.dispose]: () => {
        this.peers.delete(peer);
        change(-1);
      },
    };
  }

  async #removeOld(): Promise<void> {
    const { partialsTtl } = this.limits;
    const oldest = partialsTtl === 0 ? -Infinity : Date.now() - partialsTtl;
    const isLive = (data: string) => this.#claims.values().some((claim) => claim.data === data);
    try {
      const count = await this.partials.sweep(this.turns, oldest, isLive);
      if (count > 0) this.log.write("info", `removed ${count} old files of uploads that were not completed`);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.log.write("warn", `remove old partials: ${error.message}`);
    }
  }

  /** The space that there is, without what is promised to uploads under way. */
  space(): Space {
    const promised = this.#claims.values().reduce((sum, { missing }) => sum + missing, 0);
    const { quota } = this.limits;
    return { free: this.folder.free() - promised, used: quota && this.folder.used() + promised, quota };
  }

  /**
   * Makes `peer` the only one that may upload to this name. Whoever has it and shows the same token is another connection of
   * the same owner, which has noticed that the old one is dead: the old one is ended.
   * @throws {RefusedError} if another one has it
   */
  async claim(name: string, token: string | undefined, peer: Peer): Promise<Claim> {
    await this.takeOver(name, token);
    const key = foldName(name);
    const other = this.#claims.get(key);
    if (other !== undefined) throw new RefusedError(CODE.busy, describeClaim(other));
    const { promise: released, resolve } = Promise.withResolvers<void>();
    const release = () => {
      this.#claims.delete(key);
      resolve();
    };
    const claim: Claim = {
      peer,
      token,
      since: Date.now(),
      data: "",
      missing: 0,
      isEnding: false,
      released,
      [Symbol.dispose]: release,
    };
    this.#claims.set(key, claim);
    return claim;
  }

  /** Ends an upload to this name that has the same token, and waits until what has come of one that ends is put down. */
  async takeOver(name: string, token: string | undefined): Promise<void> {
    const claim = this.#claims.get(foldName(name));
    if (claim === undefined) return;
    const isOwners = token !== undefined && claim.token === token;
    if (!isOwners && !claim.isEnding && !claim.peer.isGone) return;
    if (isOwners) claim.peer.dismiss(CODE.broken, "taken over by a new connection of the same upload");
    await withDeadline(TAKEOVER_MS, claim.released).catch(() => {});
  }
}

function describeClaim({ since, missing }: Claim): string {
  return `another connection uploads it since ${new Date(since).toISOString()}, ${missing} bytes to come`;
}

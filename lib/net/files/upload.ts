/**
 * UPLOAD: a body becomes a file, whole, verified and durable, or a partial that can be gone on with.
 * @module
 */
import { createHash } from "node:crypto";
import type { UploadCommand } from "../../files/commands.ts";
import { formatRate, LeastRate, RateLimit } from "../../files/rate.ts";
import { partialName } from "../../files/partial.ts";
import { CODE, OTHER_OFFSET, PROGRESS, SEND, STORED } from "../../files/replies.ts";
import { safeName } from "../../files/safe_name.ts";
import {
  bodyAfterRefusal,
  judgePresent,
  type Refusal,
  refuseDigest,
  refuseOffset,
  refusePrefix,
  refuseSize,
  refuseSpace,
  wantsDigestOf,
} from "../../files/upload_rules.ts";
import { delay } from "../timing.ts";
import { isPlain } from "./disk.ts";
import { digestOf, hashOptions } from "./inspect.ts";
import type { Found, PartialFile } from "./partials.ts";
import type { Peer } from "./peer.ts";
import { asRefusal, RefusedError } from "./refused.ts";
import type { Claim, FileService } from "./service.ts";

/** How many bytes may come before they are made durable. */
const CHECKPOINT_SIZE = 64 * 2 ** 20;
/** How long bytes may wait until they are made durable, in ms. */
const CHECKPOINT_MS = 5000;
/** How often progress is reported, in ms. */
const NOTICE_MS = 1000;

/** Receives a file; resolves to false when the connection has ended. */
export async function receiveUpload(service: FileService, peer: Peer, command: UploadCommand): Promise<boolean> {
  let upload;
  try {
    upload = await Upload.begin(service, peer, { ...command, name: safeName(command.name) });
  } catch (error) {
    return await peer.refuse(asRefusal(error), bodyAfterRefusal(command));
  }
  let reply;
  try {
    reply = await upload.receive();
  } catch (error) {
    reply = asRefusal(error);
  } finally {
    await upload.end(); // before anybody is told
  }
  upload.notify(); // a client that is refused in the middle learns what is kept
  await peer.reply(reply.code, reply.text);
  if (!peer.owesBody) return true;
  await peer.sayGoodbye();
  return false;
}

/** One upload from its first check to its last byte. */
class Upload {
  readonly #service: FileService;
  readonly #peer: Peer;
  readonly #command: UploadCommand;
  readonly #claim: Claim;
  readonly #partial: PartialFile;
  #isOver = false;
  #checkpoint: Promise<void> | undefined;

  private constructor(
    service: FileService,
    peer: Peer,
    place: { command: UploadCommand; claim: Claim; partial: PartialFile },
  ) {
    this.#service = service;
    this.#peer = peer;
    this.#command = place.command;
    this.#claim = place.claim;
    this.#partial = place.partial;
  }

  /**
   * Checks all that can be checked before the first byte.
   * @throws {RefusedError} if the upload may not begin
   */
  static async begin(service: FileService, peer: Peer, command: UploadCommand): Promise<Upload> {
    RefusedError.check(refuseSize(command.size, service.limits.maxFile));
    const claim = await service.claim(command.name, command.token, peer);
    try {
      return new Upload(service, peer, {
        command,
        claim,
        partial: await openPartial(service, peer, { command, claim }),
      });
    } catch (error) {
      claim[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Receives the body, verifies it and gives it its name. Resolves to the reply.
   * @throws {RefusedError} if it is not what was announced
   */
  async receive(): Promise<Refusal> {
    const { size, name, sha256: announced, wait } = this.#command;
    const begun = { at: performance.now(), offset: this.#partial.received };
    this.#peer.expectBody(size - begun.offset, announced === "AFTER");
    if (wait) {
      const { received: offset, id } = this.#partial;
      await this.#peer.reply(CODE.body, SEND.format({ count: size - offset, offset, id }));
    }
    await this.#receiveBody();
    const actual = await this.#verify();
    const info = await this.#partial.commit(name, () => checkPresent(this.#service, this.#command));
    this.#isOver = true;
    if (actual !== undefined) this.#service.digests.set(name, info, actual);
    const rate = formatRate(size - begun.offset, performance.now() - begun.at);
    const text = `${STORED.format({ size, sha256: actual })} ${rate}`;
    this.#service.log.write("info", `${name}: ${text}`, this.#peer.connection.peer);
    return { code: CODE.done, text };
  }

  async #receiveBody(): Promise<void> {
    const { limits, turns } = this.#service;
    const { size } = this.#command;
    const rate = new RateLimit(limits.rate);
    const least = new LeastRate(limits.minRate, limits.timeouts.slow, performance.now());
    let noticed = performance.now();
    let recorded = { at: noticed, offset: this.#partial.received };
    while (this.#partial.received < size) {
      const chunk = await this.#readBody(rate.step);
      this.#partial.write(chunk);
      this.#claim.missing = size - this.#partial.received;
      const now = performance.now();
      if (least.moved(chunk.length, now) && this.#claim.missing > 0) {
        throw new RefusedError(CODE.broken, `slower than ${limits.minRate} bytes/s`);
      }
      if (this.#isDue(recorded, now)) {
        await this.#beginCheckpoint();
        recorded = { at: now, offset: this.#partial.received };
      }
      if (now - noticed >= NOTICE_MS) {
        this.notify();
        noticed = now;
      }
      await turns.take();
      const pause = rate.moved(chunk.length, now);
      if (pause > 0) await delay(pause);
    }
    this.#peer.endBody();
    await this.#checkpoint;
  }

  /** Whether what has come since the last time is to be made durable; at the end it is anyway. */
  #isDue(recorded: { at: number; offset: number }, now: number): boolean {
    const { received } = this.#partial;
    return received < this.#command.size &&
      (received - recorded.offset >= CHECKPOINT_SIZE || now - recorded.at >= CHECKPOINT_MS);
  }

  /** Has what has come made durable while more comes, one checkpoint at a time; what the last one threw is thrown here. */
  async #beginCheckpoint(): Promise<void> {
    await this.#checkpoint;
    this.#checkpoint = this.#partial.checkpoint().then(() => this.notify());
    this.#checkpoint.catch(() => {}); // whoever waits for it throws
  }

  /** What comes next, unless the checkpoint fails before: a peer may wait for us to speak. */
  async #readBody(most: number): Promise<Uint8Array> {
    const chunk = this.#peer.readBody(most);
    chunk.catch(() => {}); // it is awaited below, after what may throw
    await Promise.race([chunk, this.#checkpoint]);
    return await chunk;
  }

  /** Tells the client how much has come, if it wants to know and it is no file yet. */
  notify(): void {
    const { durable, received } = this.#partial;
    if (!this.#command.quiet && !this.#isOver) this.#peer.notify(CODE.progress, PROGRESS.format({ durable, received }));
  }

  /** Compares the digest with the one that was announced, before the body or now. */
  async #verify(): Promise<string | undefined> {
    let announced = this.#command.sha256;
    if (announced === "AFTER") {
      const event = await this.#peer.next();
      if (event?.type === "refused") throw new RefusedError(event.code, event.text);
      announced = event?.type === "digest" ? event.sha256 : undefined;
    }
    const actual = this.#partial.digest();
    const refusal = refuseDigest(announced, actual);
    if (refusal !== undefined) {
      this.#isOver = true;
      this.#partial.discard();
    }
    RefusedError.check(refusal);
    return actual;
  }

  /** Keeps what has come, unless it is a file now, and lets others upload to the name. */
  async end(): Promise<void> {
    using claim = this.#claim;
    if (this.#isOver) return;
    claim.isEnding = true;
    await this.#checkpoint?.catch(() => {}); // it has ended the upload
    try {
      await this.#partial.keep();
    } catch (error) {
      this.#service.log.write("error", `keep what has come of ${this.#command.name}: ${error}`);
    }
    const { received, durable } = this.#partial;
    const text = `${this.#command.name}: broken off at ${received} bytes, ${durable} are kept`;
    this.#service.log.write("info", text, this.#peer.connection.peer);
  }
}

/** The file that the body goes to, at its offset. */
async function openPartial(
  service: FileService,
  peer: Peer,
  { command, claim }: { command: UploadCommand; claim: Claim },
): Promise<PartialFile> {
  const { name, size, offset = 0, nohash } = command;
  const { partials } = service;
  await checkPresentDigest(service, peer, command);
  checkPresent(service, command);
  const identity = { name, size, token: command.token };
  const announced = command.sha256 === "AFTER" ? undefined : command.sha256;
  claim.data = partialName(identity); // from here on it is nobody's to remove
  if (service.limits.quota > 0) await service.folder.measure(service.turns);
  const found = partials.find(identity);
  const missing = size - (found?.info.size ?? 0); // what is there counts as used, and will be used again
  RefusedError.check(refuseSpace(missing, service.space(), found?.record.offset ?? 0));
  claim.missing = size - offset; // promised from here on, what is cut off too: others may ask while this one hashes
  if (offset === 0 || found === undefined) {
    RefusedError.check(refuseOffset(command, found?.record, undefined));
    return await partials.create(identity, { hash: nohash ? undefined : createHash("sha256"), sha256: announced });
  }
  RefusedError.check(refuseOffset(command, found.record, partials.keptHash(found)?.digest("hex")));
  const hash = nohash ? undefined : await prefixHash(service, peer, { found, offset });
  RefusedError.check(refusePrefix(command.prefix, hash?.copy().digest("hex")));
  return await partials.resume(found, identity, {
    offset,
    hash,
    sha256: announced ?? found.record.sha256 ?? undefined,
  });
}

/** The state of the digest at `offset`. */
async function prefixHash(service: FileService, peer: Peer, { found, offset }: { found: Found; offset: number }) {
  const hash = await service.partials.hashPrefix(found, offset, hashOptions(service, peer));
  if (hash !== undefined) return hash;
  service.partials.remove(found.data);
  const nothing = OTHER_OFFSET.format({ offset: 0, prefix: undefined });
  throw new RefusedError(CODE.differentSource, `${nothing} what was kept is damaged and has been removed`);
}

/** Answers 213 when the very same file is there. */
async function checkPresentDigest(service: FileService, peer: Peer, command: UploadCommand): Promise<void> {
  const info = service.folder.look(command.name);
  if (info === undefined || !isPlain(info) || !wantsDigestOf(command, info)) return;
  const digest = await digestOf(service, peer, command.name);
  RefusedError.check(judgePresent({ ...command, overwrite: true }, { size: info.size, sha256: digest }));
}

/** Refuses a name that is taken. */
function checkPresent({ folder }: FileService, command: UploadCommand): void {
  const { name } = command;
  const info = folder.look(name);
  if (info === undefined) {
    const twin = folder.findTwin(name);
    if (twin !== undefined) {
      throw new RefusedError(CODE.exists, `${twin} exists: some systems cannot tell the names apart`);
    }
    return;
  }
  if (!isPlain(info)) throw new RefusedError(CODE.missing, `${name} is not a plain file`);
  RefusedError.check(judgePresent(command, { size: info.size, sha256: undefined }));
}

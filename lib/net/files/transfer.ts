/**
 * Transfers from the first try to the last: breaks are repaired by trying again, five times by itself, then the user decides.
 * @module
 */
import {
  type Answer,
  type BodyEnd,
  download,
  MismatchError,
  type Outcome,
  RefusalError,
  type Remedy,
  type Step,
  type Talk,
  upload,
} from "../../files/client_talk.ts";
import { CODE, COMPLETE, PROGRESS } from "../../files/replies.ts";
import { formatProgress, Meter, type Report } from "../../files/client_progress.ts";
import { MAX_TRIES, Retry } from "../../files/client_retry.ts";
import { printable } from "../../text.ts";
import { attempt } from "../failure.ts";
import { delay } from "../timing.ts";
import { DiskError, isPlain, look } from "./disk.ts";
import { type Dialer, isBreak, type Link, whyLost } from "./link.ts";
import { SourceFile } from "./source_file.ts";
import { TargetFile } from "./target_file.ts";

/** How often the progress is drawn, in ms. */
const DRAW_MS = 200;
/** How wide a terminal is that does not tell. */
const DEFAULT_COLUMNS = 80;

/** What the user decides when the tries are used up. */
export type Decision = "retry" | "keep" | "discard";

/** Who runs transfers. */
export interface TransferContext {
  readonly dialer: Dialer;
  /** Whose uploads they are. */
  readonly token: () => Promise<string>;
  readonly overwrite: boolean;
  readonly verify: boolean;
  readonly signal: AbortSignal;
  /** Shows how it goes on the user's line, then nothing there any more; without it nothing is shown. */
  readonly status: ((text: string | undefined) => void) | undefined;
  /** Tells the user something. */
  readonly tell: (text: string) => void;
  /** Asks the user; where there is none: `keep`. */
  readonly decide: (question: string) => Promise<Decision>;
}

/** The transfer was given up, and what has come is kept. */
export class KeptError extends Error {
  override name = "KeptError";
}

/** The transfer was given up, and what had come was thrown away. */
class DiscardedError extends Error {
  override name = "DiscardedError";
}

/** Uploads a file. */
export async function put(context: TransferContext, path: string, name: string): Promise<Report> {
  using source = await SourceFile.open(path, context.signal);
  const { overwrite, verify } = context;
  const token = await context.token();
  const discard = async () => {
    await context.dialer.ask({ verb: "ABORT", name, size: source.size, token });
  };
  return await runTransfer(context, { command: "put", file: path, name, size: source.size, discard }, {
    begin: () => {
      source.look();
      return upload({ name, size: source.size, token, overwrite, verify, sentAll: source.isSent });
    },
    hash: (count) => source.hash(count),
    body: async (link, step, progress) => {
      if (step.type !== "send") throw new TypeError("an upload sends");
      progress.begin(source.size, step.from);
      const end = await source.send(link, {
        ...step,
        verify,
        notice: ({ code, text }) => {
          if (code === CODE.progress) progress.moveTo(PROGRESS.parse(text).received);
        },
      });
      if (end.answer.code === CODE.done) progress.moveTo(source.size);
      return end;
    },
    discardPartial: () => {},
    commit: () => Promise.resolve(),
  });
}

/** Downloads a file. */
export async function get(context: TransferContext, name: string, path: string): Promise<Report> {
  const { overwrite, verify, signal } = context;
  const { hostname: host } = context.dialer.options;
  const present = look(path);
  if (present !== undefined && !(overwrite && isPlain(present))) return await compare(context, { name, path, present });
  using target = await TargetFile.open({ path, host, name, overwrite, signal });
  const discard = () => Promise.resolve(target.remove());
  return await runTransfer(context, { command: "get", file: path, name, size: 0, discard }, {
    begin: () => download({ name, have: target.have, source: target.source, verify }),
    hash: (count) => target.hash(count),
    body: async (link, step, progress) => {
      if (step.type !== "receive") throw new TypeError("a download receives");
      progress.begin(step.source.size, step.from);
      return await target.receive(link, { ...step, verify, moved: (position) => progress.moveTo(position) });
    },
    discardPartial: () => target.discard(),
    commit: () => target.commit(),
  });
}

/** A file is there already: the same one is a success, another one stays as it is. */
async function compare(
  context: TransferContext,
  { name, path, present }: { name: string; path: string; present: Deno.FileInfo },
): Promise<Report> {
  if (isPlain(present) && context.verify) {
    using source = await SourceFile.open(path, context.signal);
    const sha256 = await source.hash(source.size);
    const answer = await context.dialer.ask({ verb: "STAT", name, size: source.size, sha256 });
    const there = answer.code === CODE.complete ? COMPLETE.parse(answer.text) : undefined;
    if (there?.sha256 === sha256 && there.size === source.size) {
      const outcome = { size: source.size, sha256, offset: source.size, alreadyThere: true };
      return report({ command: "get", file: path, name }, outcome, NOTHING_MOVED);
    }
  }
  return await attempt(`store ${path}`, () => {
    throw new Deno.errors.AlreadyExists("it is there already, and not the same");
  }, () => isPlain(present) ? "--overwrite replaces it" : "it is no plain file");
}

// --- Tries -------------------------------------------------------------------------------------------------------------

/** One transfer for those who read about it. */
interface Subject {
  readonly command: "put" | "get";
  readonly file: string;
  readonly name: string;
}

/** What differs between uploads and downloads. */
interface Direction {
  /** The talk of the next try. */
  readonly begin: () => Talk<Outcome>;
  readonly hash: (count: number) => Promise<string>;
  readonly body: (link: Link, step: Step, progress: Progress) => Promise<BodyEnd>;
  readonly discardPartial: () => void;
  readonly commit: () => Promise<void>;
}

interface Moved {
  readonly moved: number;
  readonly seconds: number;
  readonly totalSeconds: number;
  readonly breaks: number;
  readonly resumedFrom: number | undefined;
}

const NOTHING_MOVED: Moved = { moved: 0, seconds: 0, totalSeconds: 0, breaks: 0, resumedFrom: undefined };

function report(subject: Subject, { size, sha256, offset, alreadyThere }: Outcome, moved: Moved): Report {
  const { resumedFrom = offset, ...rest } = moved;
  const { command, file, name } = subject;
  return { command, file, name, size, sha256: sha256 ?? null, alreadyThere, ...rest, resumedFrom };
}

async function runTransfer(
  context: TransferContext,
  subject: Subject & { size: number; discard: () => Promise<void> },
  direction: Direction,
): Promise<Report> {
  using progress = new Progress(context, subject.name);
  const retry = new Retry();
  const begun = performance.now();
  for (let breaks = 0;; breaks++) {
    progress.beginTry();
    let outcome;
    try {
      outcome = await runTry(context, direction, progress);
    } catch (error) {
      progress.clear();
      context.dialer.drop();
      if (error instanceof MismatchError) direction.discardPartial();
      await recover(error, { ...context, subject, retry, progress });
      continue;
    }
    const { moved, seconds, resumedFrom } = progress;
    await direction.commit();
    const totalSeconds = (performance.now() - begun) / 1000;
    return report(subject, outcome, { moved, seconds, totalSeconds, breaks, resumedFrom });
  }
}

/** Resolves when another try is to be made; throws when it is not. */
async function recover(
  error: unknown,
  context: TransferContext & {
    subject: { name: string; discard: () => Promise<void> };
    retry: Retry;
    progress: Progress;
  },
): Promise<void> {
  const { signal, subject: { name, discard }, retry, progress, tell } = context;
  const checkInterrupted = () => {
    if (signal.aborted) throw new KeptError(`${name}: interrupted at ${progress.share}`);
  };
  checkInterrupted();
  const remedy = remedyOf(error);
  if (remedy === "stop") throw error;
  const why = `${name}: ${isBreak(error) ? "link lost" : "stopped"} at ${progress.share}: ${whyLost(error)}`;
  const next = remedy === "retry" ? retry.next(progress.position) : undefined;
  if (next !== undefined) {
    tell(`${why}, trying again ${next.number}/${MAX_TRIES}`);
    await delay(next.wait, signal);
    return checkInterrupted();
  }
  tell(why);
  const decision = await context.decide(`${name}: [r]etry / [k]eep what has come and quit / [d]iscard? `);
  if (decision === "keep") throw new KeptError(`${name}: kept at ${progress.share}`);
  if (decision === "retry") return retry.restart();
  await discard().catch((cause) => {
    throw new DiscardedError(`${name}: given up, but what has come is still there: ${whyLost(cause)}`);
  });
  throw new DiscardedError(`${name}: given up, nothing is kept`);
}

function remedyOf(error: unknown): Remedy {
  if (error instanceof RefusalError) return error.remedy;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof Deno.errors.NotCapable) return "stop";
  if (error instanceof DiskError) return "ask";
  return isBreak(error) ? "retry" : "stop";
}

/** Holds one talk. */
async function runTry(context: TransferContext, direction: Direction, progress: Progress): Promise<Outcome> {
  return await context.dialer.talk(async (link) => {
    const talk = direction.begin();
    let result: Answer | BodyEnd | string | undefined;
    for (;;) {
      const { done, value: step } = talk.next(result);
      if (done) return step;
      result = await obey(link, step);
      if (context.signal.aborted) throw new KeptError("interrupted");
    }
  });

  async function obey(link: Link, step: Step): Promise<Answer | BodyEnd | string | undefined> {
    switch (step.type) {
      case "ask":
        return await link.ask(step.command);
      case "await":
        return await link.busy(() => link.reply());
      case "hash":
        return await direction.hash(step.count);
      case "discard":
        context.tell(step.why);
        return direction.discardPartial() as undefined;
      case "tell":
        return context.tell(step.text) as undefined;
      case "send":
      case "receive":
        return await direction.body(link, step, progress);
    }
  }
}

// --- Progress ----------------------------------------------------------------------------------------------------------

/** Follows a transfer through its tries, and draws how it goes on the last line of the terminal. */
class Progress implements Disposable {
  readonly #name: string;
  readonly #status: TransferContext["status"];
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  #meter: Meter | undefined;
  #isMoving = false;
  #from = 0;
  #begun = 0;
  #drawn = 0;
  /** Where the first try began, in bytes. */
  resumedFrom: number | undefined;

  constructor({ status }: TransferContext, name: string) {
    this.#name = printable(name);
    this.#status = status;
    if (status !== undefined) this.#timer = setInterval(() => this.#draw(), DRAW_MS);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.clear();
  }

  /** A try begins: it has not moved anything. */
  beginTry(): void {
    this.#from = this.position;
    this.#begun = performance.now();
  }

  /** Its body begins. */
  begin(size: number, from: number): void {
    this.resumedFrom ??= from;
    this.#from = from;
    this.#begun = performance.now();
    this.#meter = new Meter(size, from, this.#begun);
    this.#isMoving = true;
  }

  /** It has come to a position. */
  moveTo(position: number): void {
    const now = performance.now();
    this.#meter?.moveTo(position, now);
    if (this.#status !== undefined && now - this.#drawn >= DRAW_MS) this.#draw();
  }

  get position(): number {
    return this.#meter?.position ?? 0;
  }

  /** Bytes that this try has moved. */
  get moved(): number {
    return Math.max(0, this.position - this.#from);
  }

  /** The time of this try, in s. */
  get seconds(): number {
    return (performance.now() - this.#begun) / 1000;
  }

  /** How far it is: `41.2 %`. */
  get share(): string {
    if (this.#meter === undefined || this.#meter.size === 0) return "0 %";
    return `${(100 * this.#meter.position / this.#meter.size).toFixed(1)} %`;
  }

  #draw(): void {
    if (this.#meter === undefined || !this.#isMoving) return;
    this.#drawn = performance.now();
    const columns = (Deno.consoleSize().columns || DEFAULT_COLUMNS) - 1; // one is left for the cursor
    this.#status?.(formatProgress(this.#name, this.#meter, { now: this.#drawn, columns }));
  }

  /** Nothing moves any more: takes the line away, for what the user is told or asked. */
  clear(): void {
    this.#isMoving = false;
    if (this.#drawn > 0) this.#status?.(undefined);
    this.#drawn = 0;
  }
}

/**
 * The commands of the files client: what each one asks, and what it prints.
 * @module
 */
import { ProtocolError, UsageError } from "../../errors.ts";
import type { ClientCommand, ClientVerb } from "../../files/client_commands.ts";
import { formatReport } from "../../files/client_progress.ts";
import { RefusalError } from "../../files/client_talk.ts";
import { partialId } from "../../files/partial.ts";
import { CODE, COMPLETE, HASHED, LISTED, LISTED_PARTIAL, PARTIAL } from "../../files/replies.ts";
import { safeName } from "../../files/safe_name.ts";
import type { Command } from "../../files/commands.ts";
import { printable } from "../../text.ts";
import { EXIT, explain } from "../cli.ts";
import type { Reply } from "./link.ts";
import { removeDownload } from "./target_file.ts";
import { get, KeptError, put, type TransferContext } from "./transfer.ts";

/** Who runs commands. */
export interface ShellContext extends TransferContext {
  /** Whether results are JSON, one object a line. */
  readonly json: boolean;
  /** Prints a result. */
  readonly print: (line: string) => Promise<void>;
}

/** Runs a command; resolves to the exit code. What goes wrong with one of several files does not end the others. */
export async function runClientCommand(context: ShellContext, { verb, args }: ClientCommand): Promise<number> {
  let code: number = EXIT.done;
  const jobs = verb === "mput" || verb === "mget" ? args.map((name) => [name]) : [args];
  for (const job of jobs) {
    try {
      await RUN[verb](context, job);
    } catch (error) {
      code = fail(context, error);
      if (code === EXIT.resumable || code === EXIT.usage) return code;
    }
  }
  return code;
}

/** Says what went wrong; the exit code. */
function fail({ tell }: ShellContext, error: unknown): number {
  if (error instanceof KeptError) {
    tell(`${error.message} (run the same command again: it goes on from there)`);
    return EXIT.resumable;
  }
  const { line, hint, exitCode } = explain(error, "clients/files");
  tell(hint === undefined ? line : `${line} (${hint})`);
  return exitCode;
}

type Run = (context: ShellContext, args: readonly string[]) => Promise<void>;

const upload: Run = async (context, [path = "", name = baseName(path)]) => {
  const result = await put(context, path, name);
  await print(context, result, formatReport(result));
};
const download: Run = async (context, [name = "", path = localName(name)]) => {
  const result = await get(context, name, path);
  await print(context, result, formatReport(result));
};

const RUN: Record<ClientVerb, Run> = {
  put: upload,
  get: download,
  mput: upload,
  mget: download,
  async ls(context) {
    const { lines } = await ask(context, { verb: "LIST" }, CODE.list);
    for (const { size, changed, sha256 = null, name } of lines.map((line) => LISTED.parse(line))) {
      const date = new Date(changed).toISOString();
      await print(context, { name, size, changed: date, sha256 }, `${`${size}`.padStart(15)}  ${date}  ${name}`);
    }
  },
  async stat(context, [name = ""]) {
    const answer = await ask(context, { verb: "STAT", name, nohash: true }, CODE.complete, CODE.partial, CODE.missing);
    if (answer.code === CODE.complete) {
      const { size, sha256 = null } = COMPLETE.parse(answer.text);
      return await print(context, { name, complete: true, size, sha256 }, `${name}: complete, ${size} bytes`);
    }
    const found = await findOwnPartial(context, name) ??
      (answer.code === CODE.partial ? PARTIAL.parse(answer.text) : undefined);
    if (found === undefined) throw new RefusalError(answer);
    const { offset, size } = found;
    await print(context, { name, complete: false, size, offset }, `${name}: partial, ${offset} of ${size} bytes`);
  },
  async hash(context, [name = "", given]) {
    if (given !== undefined && !/^\d{1,15}$/.test(given)) throw new UsageError(`${given} is no number of bytes`);
    const size = async () => COMPLETE.parse((await ask(context, { verb: "STAT", name }, CODE.complete)).text).size;
    const count = given === undefined ? await size() : Number(given);
    const answer = await ask(context, { verb: "HASH", name, offset: count }, CODE.complete);
    const { sha256 } = HASHED.parse(answer.text);
    if (sha256 === undefined) throw new ProtocolError("Cannot tell the digest: the server does not");
    await print(context, { name, bytes: count, sha256 }, `${sha256}  ${name}`);
  },
  "rm-partial": async (context, [name = "", path = localName(name)]) => {
    const { dialer } = context;
    const isHere = await removeDownload({ path, name, host: dialer.options.hostname });
    const answer = await dialer.ask({ verb: "ABORT", name, token: await context.token() });
    const isThere = answer.code === CODE.ok;
    if (!isThere && !(isHere && answer.code === CODE.missing)) throw new RefusalError(answer);
    const places = [isHere ? "here" : "", isThere ? "on the server" : ""].filter((place) => place !== "");
    await print(context, { name, here: isHere, server: isThere }, `${name}: removed ${places.join(" and ")}`);
  },
  async echo(context, words) {
    const { text } = await ask(context, { verb: "ECHO", text: words.join(" ") }, CODE.ok);
    await print(context, { text }, text);
  },
  async time(context) {
    const { text } = await ask(context, { verb: "TIME" }, CODE.ok);
    await print(context, { time: text }, text);
  },
};

/** What has come of the user's own upload, by the list: STAT with the token would end one that is under way. */
async function findOwnPartial(context: ShellContext, name: string) {
  const { lines } = await ask(context, { verb: "LIST", partial: true }, CODE.list);
  const token = await context.token();
  return lines.map((line) => LISTED_PARTIAL.parse(line)).find((partial) =>
    partial.name === name.normalize("NFC") && partial.id === partialId({ ...partial, token })
  );
}

/** Says a command; anything but the expected replies is a refusal. */
async function ask({ dialer }: ShellContext, command: Command, ...expected: number[]): Promise<Reply> {
  const reply = await dialer.ask(command);
  if (!expected.includes(reply.code)) throw new RefusalError(reply);
  return reply;
}

function print({ json, print }: ShellContext, result: object, text: string): Promise<void> {
  return print(json ? JSON.stringify(result) : text);
}

/** A file's name without its folder. */
function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** The name that a file of the server has here: one that cannot lead out of the folder. */
function localName(name: string): string {
  try {
    return safeName(name);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    throw new UsageError(printable(error.message), { hint: "get NAME FILE names the file here" });
  }
}

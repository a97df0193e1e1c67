/**
 * The file server's talk with one client, from the greeting to the end.
 * @module
 */
import config from "../../../deno.json" with { type: "json" };
import { type Command, formatCommand, type HelpCommand, SYNTAX, type Verb } from "../../files/commands.ts";
import { CODE } from "../../files/replies.ts";
import { printable } from "../../text.ts";
import { describeKeepAlive, keepAlive } from "../keepalive.ts";
import type { SocketConnection } from "../tcp.ts";
import { abort, hash, list, stat } from "./inspect.ts";
import { Peer } from "./peer.ts";
import { asRefusal } from "./refused.ts";
import { sendDownload } from "./send.ts";
import type { FileService } from "./service.ts";
import { receiveUpload } from "./upload.ts";

/** Serves one client until one of both ends the connection. */
export async function serveFiles(
  service: FileService,
  connection: SocketConnection,
  signal: AbortSignal,
): Promise<void> {
  service.log.write("debug", describeKeepAlive(keepAlive(connection.socket)), connection.peer);
  using peer = new Peer(connection, { watch: service.watch, timeouts: service.limits.timeouts });
  if (!service.admits(connection)) {
    await peer.reply(CODE.unavailable, "too many connections from your address");
    return await peer.sayGoodbye();
  }
  using _ = service.enter(peer);
  await peer.reply(CODE.hello, `netlab files ${config.version} SHA256 RESUME`);
  while (!signal.aborted) {
    const event = await peer.next();
    if (event === null) return;
    if (event.type === "command") {
      show(service, peer, event.command);
      if (!await obey(service, peer, event.command)) return;
    } else if (event.type === "refused") {
      await peer.reply(event.code, event.text);
      if (event.ends) return await peer.sayGoodbye();
    }
  }
  peer.dismiss(CODE.unavailable, "the server stops");
}

/** Prints a command without what proves whose it is. */
function show({ log }: FileService, { connection: { peer } }: Peer, command: Command): void {
  const { token: _, ...shown } = command as Command & { token?: string };
  log.print(printable(`${peer} ${formatCommand(shown as Command)}`));
}

/** Runs a command; resolves to false when the connection is to end. */
async function obey(service: FileService, peer: Peer, command: Command): Promise<boolean> {
  if (command.verb === "UPLOAD") return await receiveUpload(service, peer, command);
  try {
    return await answer(service, peer, command);
  } catch (error) {
    const refusal = asRefusal(error);
    await peer.reply(refusal.code, refusal.text);
    if (command.verb !== "DOWNLOAD" || !command.raw) return true;
    await peer.sayGoodbye();
    return false;
  }
}

async function answer(
  service: FileService,
  peer: Peer,
  command: Exclude<Command, { verb: "UPLOAD" }>,
): Promise<boolean> {
  switch (command.verb) {
    case "ECHO":
      await peer.reply(CODE.ok, command.text);
      return true;
    case "TIME":
      await peer.reply(CODE.ok, new Date().toISOString());
      return true;
    case "NOOP":
      await peer.reply(CODE.ok, "here");
      return true;
    case "HELP":
      await help(peer, command);
      return true;
    case "LIST":
      await list(service, peer, command);
      return true;
    case "STAT":
      await stat(service, peer, command);
      return true;
    case "HASH":
      await hash(service, peer, command);
      return true;
    case "ABORT":
      await abort(service, peer, command);
      return true;
    case "DOWNLOAD":
      return await sendDownload(service, peer, command);
    case "CLOSE":
      await peer.reply(CODE.bye, "bye");
      await peer.sayGoodbye();
      return false;
  }
}

async function help(peer: Peer, { topic }: HelpCommand): Promise<void> {
  const verbs = topic === undefined ? Object.keys(SYNTAX) as Verb[] : [topic];
  const lines = verbs.map((verb) => `${SYNTAX[verb].usage}: ${SYNTAX[verb].summary}`);
  await peer.replyLines(CODE.help, lines, `${lines.length} ${lines.length === 1 ? "command" : "commands"}`);
}

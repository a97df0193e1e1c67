/**
 * The messenger: a busy room, messages that are on the disk before they are acknowledged, and users who say nothing.
 * @module
 */
import { delay } from "../../lib/net/timing.ts";
import { available, type Contender, LOADERS, ours, PEERS } from "../contenders.ts";
import { load, Process, Server, withOpenFiles } from "../processes.ts";
import { digits, type Report } from "../report.ts";
import { inRounds } from "../rounds.ts";
import { costs, type Figures } from "./costs.ts";

const MEMBERS = 1000;
const SENDERS = 10;
/** Messages a second of all senders together where they keep to the clock: from some that a server sends one by one to many. */
const PACES = [50, 200, 400];
/** Users who send each other messages. */
const TALKERS = 50;
const IDLE = 10_000;
/** Open files of a process that holds all of them. */
const OPEN_FILES = IDLE + 200;
const SETTLE_S = 1;
const MEASURED_S = 1;
/** How long a server may tidy up before its memory is looked at, in ms. */
const SETTLE_MS = 500;
/** So that the rate of a connection is that of the server. */
const UNLIMITED = ["--rate", "1000000"];

/** Also how long the line is that a member gets, and the same for each of the paces where the senders keep to the clock. */
interface RoomFigures extends Figures {
  readonly bytes: number;
  readonly paced: readonly Figures[];
}

/** What is measured in one round; only ours keeps messages and has its memory looked at. */
interface Sample {
  readonly room: RoomFigures;
  readonly direct?: Figures;
  readonly idleKiB?: number;
}

/** What a load generator is told. */
interface ChatLoad {
  readonly mode: "room" | "direct" | "hold";
  readonly protocol: "jim" | "irc";
  readonly connections: number;
  readonly senders: number;
}

/** Measures a room beside ngircd and the simplest server, and what else the messenger promises. */
export async function jim(rounds: number): Promise<Report> {
  const messenger = ours("servers/jim", "--db", ":memory:", ...UNLIMITED);
  const contenders = available([PEERS.ngircd, messenger, PEERS.naiveChat]);
  const samples = await inRounds(contenders, { rounds, part: "jim" }, async (contender): Promise<Sample> => {
    const room = await measureRoom(contender);
    if (contender !== messenger) return { room };
    return { room, direct: await measureDirect(), idleKiB: await measureIdle(messenger) };
  });
  const mine = samples.all(messenger.name) as readonly Required<Sample>[];
  return {
    title: "Messenger",
    text:
      `A room of ${
        MEMBERS.toLocaleString("en-US")
      } members in which each sender says the next thing when all others have ` +
      "heard the last; a message counts at each member who gets it, and so does its time from being sent. There the quicker " +
      "server gets more to do. Then all get the same, by the clock, and what counts is how long a delivery takes. The texts " +
      "are the same; ngircd says them in IRC and the others in JIM, where lines are longer and each sender also gets an answer. A " +
      "durable message is on the disk before its sender gets 200.",
    tables: [
      costs({
        caption: `${MEMBERS.toLocaleString("en-US")} members, ${SENDERS} of them speak`,
        contenders,
        samples,
        of: ({ room }) => room,
        peer: PEERS.ngircd,
        message: "message",
        extra: { title: "bytes", figure: ({ bytes }) => bytes },
      }),
      ...PACES.map((pace, i) =>
        costs({
          caption: `The same room at ${pace} messages/s: every member's time from when the message was due`,
          contenders,
          samples,
          of: ({ room }) => room.paced[i]!,
          peer: PEERS.ngircd,
          message: "message",
        })
      ),
      {
        caption: `Durable messages between ${TALKERS} users, and the memory of ${
          IDLE.toLocaleString("en-US")
        } users who are idle`,
        head: ["", "messages/s", "CPU µs", "p99 ms", "KiB a user"],
        rows: [[
          messenger.name,
          ...[
            samples.median(messenger.name, ({ direct }) => direct!.perSecond),
            samples.median(messenger.name, ({ direct }) => direct!.cpuUs),
            samples.median(messenger.name, ({ direct }) => direct!.p99Us / 1000),
            samples.median(messenger.name, ({ idleKiB }) => idleKiB!),
          ].map(digits),
        ]],
      },
    ],
    targets: [
      {
        demand: `ngircd ÷ jim: messages/s, ${MEMBERS} members, ${SENDERS} senders`,
        limit: 1,
        unit: "×",
        values: samples.ratios(PEERS.ngircd.name, messenger.name, ({ room }) => room.perSecond),
      },
      {
        demand: "one write a member ÷ jim: messages/s of the same room",
        limit: 0.2,
        unit: "×",
        values: samples.ratios(PEERS.naiveChat.name, messenger.name, ({ room }) => room.perSecond),
      },
      {
        demand: "jim ÷ ngircd: p99 of the same room",
        limit: 1,
        unit: "×",
        values: samples.ratios(messenger.name, PEERS.ngircd.name, ({ room }) => room.p99Us),
      },
      {
        demand: `jim: time of a durable message at ${TALKERS} users (5,000 a second are asked)`,
        limit: 200,
        unit: "µs",
        values: mine.map(({ direct }) => 1e6 / direct.perSecond),
      },
      { demand: "jim: RSS of an idle user", limit: 16, unit: "KiB", values: mine.map(({ idleKiB }) => idleKiB) },
    ],
  };
}

function loadChat(server: Server, { mode, protocol, connections, senders }: ChatLoad): Promise<RoomFigures> {
  const args = [server.port, server.pid, mode, protocol, connections, senders, PACES, SETTLE_S, MEASURED_S];
  return load(withOpenFiles(OPEN_FILES, [LOADERS.chat, ...args.map(String)]));
}

async function measureRoom(contender: Contender): Promise<RoomFigures> {
  await using server = await Server.start(withOpenFiles(OPEN_FILES, contender.command), { cpu: 0 });
  const protocol = contender === PEERS.ngircd ? "irc" : "jim";
  return await loadChat(server, { mode: "room", protocol, connections: MEMBERS, senders: SENDERS });
}

async function measureDirect(): Promise<Figures> {
  const folder = await Deno.makeTempDir();
  try {
    const { command } = ours("servers/jim", "--db", `${folder}/jim.sqlite`, ...UNLIMITED);
    await using server = await Server.start(command, { cpu: 0 });
    return await loadChat(server, { mode: "direct", protocol: "jim", connections: TALKERS, senders: TALKERS });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The resident memory of each user of many who are logged in and silent, in KiB. */
async function measureIdle({ command }: Contender): Promise<number> {
  await using server = await Server.start(withOpenFiles(OPEN_FILES, command));
  const without = await server.residentKiB();
  const args = [`${server.port}`, `${server.pid}`, "hold", "jim", `${IDLE}`, "0", "0", "0", "0"];
  await using holder = new Process(withOpenFiles(OPEN_FILES, [LOADERS.chat, ...args]));
  await holder.line();
  await delay(SETTLE_MS);
  const memory = await server.residentKiB();
  server.kill(); // before the holder ends: ten thousand resets would only fill its log
  return (memory - without) / IDLE;
}

/**
 * File transfer over a loopback, from memory to memory.
 * @module
 */
import { attempt, reason } from "../../lib/net/failure.ts";
import { available, OUT } from "../contenders.ts";
import { freePort, listens, load, MemoryFolder, Process } from "../processes.ts";
import { digits, type Report, type Table, type Target } from "../report.ts";
import { inRounds, type Samples } from "../rounds.ts";
import {
  C_PAIR,
  C_TO_OURS,
  type End,
  NETCAT,
  NGINX,
  OURS,
  type Place,
  RSYNC_GET,
  RSYNC_PUT,
  SFTP_GET,
  SFTP_PUT,
  SOCAT,
  type Transfer,
} from "../transfers.ts";

const MIB = 2 ** 20;
/** Bytes of the file that is transferred, and of the one that its memory is compared with. */
const BYTES = 2 ** 30;
const FEW_BYTES = 64 * MIB;
/** Memory for the processes, beside that for the copies. */
const SPARE_MIB = 1024;
/** How much of a file is made at once, in bytes. */
const BLOCK = 64 * 1024;
/** Where nothing is read from, and what nobody reads goes. */
const NOTHING = "/dev/null";

/** What load/measure.c tells of a process. */
interface Usage {
  /** On one clock of the system, in seconds. */
  readonly began: number;
  readonly ended: number;
  readonly cpuS: number;
  readonly peakKiB: number;
  readonly code: number;
}

/** What one transfer took. */
interface Sample {
  readonly mbPerSecond: number;
  readonly sender: Usage;
  readonly receiver: Usage;
}

const PEERS = [C_PAIR, NETCAT, SOCAT, NGINX, RSYNC_PUT, RSYNC_GET, SFTP_PUT, SFTP_GET];
const VERIFIED = [OURS.upload, OURS.download, OURS.downloadKnown];
const UNVERIFIED = [OURS.uploadUnverified, OURS.downloadUnverified];

/** Measures our file server and client beside what people use instead. */
export async function files(rounds: number): Promise<Report> {
  await using folder = new MemoryFolder();
  await Deno.mkdir(`${folder.path}/offered`);
  for (const bytes of [BYTES, FEW_BYTES]) await makeFile(`${folder.path}/offered/${bytes}`, bytes);
  await using memory = new Process([`${OUT}/warm_memory`, `${2 * BYTES / MIB + SPARE_MIB}`]);
  await memory.line();
  const peers = await inOrder(available(PEERS), folder.path);
  const ways = [...peers, ...VERIFIED, ...UNVERIFIED, C_TO_OURS];
  const samples = await inRounds(ways, { rounds, part: "files" }, (way) => transfer(way, folder.path, BYTES));
  const small = await inRounds(
    VERIFIED,
    { rounds: 1, part: "files, small" },
    (way) => transfer(way, folder.path, FEW_BYTES),
  );
  return {
    title: "File transfer",
    text:
      `${BYTES / MIB} MiB from memory to memory (tmpfs). MB/s count from the start of the client process to the end ` +
      "of both, or of the client alone where the server serves on; both ends share the CPUs, as one user's processes " +
      "do. CPU s and the peak of memory are those of a process and of what it starts. Ours hash with SHA-256 at both " +
      "ends unless they are told `--no-verify`: the server one that has not seen the file before, or (`digest known`) one " +
      "that has stored or hashed it, and does not again. rsync hashes with XXH128, which is quicker and proves less, " +
      "and sftp encrypts. Every copy is compared with its source.",
    tables: [rates(ways, samples), memories(samples, small)],
    targets: [
      atLeast(samples, OURS.upload, RSYNC_PUT, 1),
      atLeast(samples, OURS.download, RSYNC_GET, 1),
      atLeast(samples, OURS.downloadKnown, RSYNC_GET, 1),
      atLeast(samples, OURS.upload, SFTP_PUT, 1.6),
      atLeast(samples, OURS.download, SFTP_GET, 1.6),
      atLeast(samples, OURS.downloadKnown, SFTP_GET, 1.6),
      atLeast(samples, OURS.uploadUnverified, NETCAT, 1.2),
      atLeast(samples, OURS.downloadUnverified, NETCAT, 1.2),
      atLeast(samples, C_TO_OURS, C_PAIR, 0.9),
      ...[...VERIFIED, ...UNVERIFIED].map(({ name }) => ({
        demand: `${name}: peak memory of either end`,
        limit: 120,
        unit: "MB",
        values: samples.all(name).map(({ sender, receiver }) => Math.max(peakMB(sender), peakMB(receiver))),
      })),
    ],
  };
}

/** The peers that can transfer a file here; each other one is named with its reason. */
async function inOrder(peers: readonly Transfer[], folder: string): Promise<Transfer[]> {
  const able: Transfer[] = [];
  for (const peer of peers) {
    try {
      await transfer(peer, folder, FEW_BYTES);
      able.push(peer);
    } catch (error) {
      console.error(`${peer.name} is left out: ${reason(error)}`);
    }
  }
  return able;
}

function atLeast(samples: Samples<Sample>, ours: Transfer, peer: Transfer, limit: number): Target {
  return {
    demand: `${ours.name} ÷ ${peer.name}: MB/s`,
    limit,
    bound: "at least",
    unit: "×",
    values: samples.ratios(ours.name, peer.name, ({ mbPerSecond }) => mbPerSecond),
  };
}

function rates(ways: readonly Transfer[], samples: Samples<Sample>): Table {
  return {
    caption: "",
    head: ["", "check", "MB/s", "lowest to highest", "CPU s: sender", "receiver", "MB: sender", "receiver"],
    rows: ways.map(({ name, check }) => {
      const all = samples.all(name).map(({ mbPerSecond }) => mbPerSecond);
      const middle = (figure: (sample: Sample) => number) => digits(samples.median(name, figure));
      return [
        name,
        check,
        middle(({ mbPerSecond }) => mbPerSecond),
        `${digits(Math.min(...all))} to ${digits(Math.max(...all))}`,
        middle(({ sender }) => sender.cpuS),
        middle(({ receiver }) => receiver.cpuS),
        middle(({ sender }) => peakMB(sender)),
        middle(({ receiver }) => peakMB(receiver)),
      ];
    }),
  };
}

function memories(samples: Samples<Sample>, small: Samples<Sample>): Table {
  const sizes = [`${FEW_BYTES / MIB} MiB`, `${BYTES / MIB} MiB`];
  return {
    caption: "Peak memory of ours by the size of the file, MB",
    head: ["", ...["sender", "receiver"].flatMap((end) => sizes.map((size) => `${end}, ${size}`))],
    rows: VERIFIED.map(({ name }) => [
      name,
      ...(["sender", "receiver"] as const).flatMap((end) =>
        [small, samples].map((of) => digits(of.median(name, (sample) => peakMB(sample[end]))))
      ),
    ]),
  };
}

function peakMB({ peakKiB }: Usage): number {
  return peakKiB * 1024 / 1e6;
}

async function makeFile(path: string, bytes: number): Promise<void> {
  using file = await Deno.create(path);
  const block = new Uint8Array(BLOCK);
  for (let written = 0; written < bytes; written += BLOCK) file.writeSync(crypto.getRandomValues(block));
}

/** Brings a file from `offered/` to `received/`, and compares both. */
async function transfer(way: Transfer, folder: string, bytes: number): Promise<Sample> {
  const name = `${bytes}`;
  const received = `${folder}/received`;
  await Deno.remove(received, { recursive: true }).catch(() => {});
  await Deno.mkdir(received);
  const place = {
    port: freePort(),
    folder,
    name,
    bytes,
    source: `${folder}/offered/${name}`,
    copy: `${received}/${name}`,
  };
  const sample = await attempt(way.name, () => measure(way, place));
  const { success } = await new Deno.Command("cmp", { args: [place.source, place.copy] }).spawn().status;
  if (!success) throw new Error(`${way.name}: what arrived is not what was sent`);
  return sample;
}

async function measure(way: Transfer, place: Place): Promise<Sample> {
  await using server = new Process(measured(way.server(place)));
  await listens(place.port);
  if (way.before !== undefined) await load<Usage>(measured(way.before(place)), { cpu: "any" });
  const client = await load<Usage>(measured(way.client(place)), { cpu: "any" });
  if (client.code !== 0) throw new Error(`the client has failed with exit code ${client.code}`);
  if (!way.once) server.kill("SIGTERM");
  const served: Usage = JSON.parse(await server.line());
  const ended = way.once ? Math.max(client.ended, served.ended) : client.ended;
  return {
    mbPerSecond: place.bytes / 1e6 / (ended - client.began),
    ...way.sender === "client" ? { sender: client, receiver: served } : { sender: served, receiver: client },
  };
}

function measured({ command, stdin = NOTHING, stdout = NOTHING }: End): string[] {
  return [`${OUT}/measure`, stdin, stdout, ...command];
}

/**
 * The secure channel beside plain TCP and TLS 1.3, with every backend of its ciphers.
 * @module
 */
import type { Contender } from "../contenders.ts";
import { isInstalled, load, outputOf, ROOT, Server } from "../processes.ts";
import { digits, type Report, type Table } from "../report.ts";
import { inRounds } from "../rounds.ts";

const SCRIPT = [Deno.execPath(), "run", "-A", "bench/peers/channel.ts"];
const LOADS = ["bulk", "echo", "small", "handshakes"] as const;
/** Where one end always waits for the other: both on one CPU, since waking an idle one would cost more than the work. */
const TURNS: readonly string[] = ["echo", "handshakes"];

/** What each load measures. */
interface Figures {
  readonly bulk: { readonly mbPerS: number; readonly cpuPerGiB: number };
  readonly echo: { readonly perSecond: number };
  readonly small: { readonly mbPerS: number };
  readonly handshakes: { readonly perSecond: number };
}

/** By the mode of bench/peers/channel.ts. */
const NAMES = {
  "plain": "plain TCP",
  "tls": "TLS 1.3 of Deno",
  "AESGCM-libcrypto": "AES, libcrypto",
  "AESGCM-portable": "AES, portable",
  "AESGCM-noble": "AES, noble",
  "ChaChaPoly-libcrypto": "ChaCha20, libcrypto",
  "ChaChaPoly-portable": "ChaCha20, portable",
  "ChaChaPoly-noble": "ChaCha20, noble",
};
type Mode = keyof typeof NAMES;

/** Measures one direction in bulk, small messages and handshakes. */
export async function secure(rounds: number): Promise<Report> {
  const modes = (Object.keys(NAMES) as Mode[]).filter((mode) => mode !== "tls" || makeCertificate());
  const contenders: Contender[] = modes.map((mode) => ({ name: mode, command: [...SCRIPT, "serve", mode] }));
  const samples = await inRounds(contenders, { rounds, part: "secure" }, async ({ name, command }) => {
    const figures: Record<string, unknown> = {};
    for (const each of LOADS) {
      await using server = await Server.start(command, { cpu: 0 });
      const cpu = TURNS.includes(each) ? 0 : 1;
      figures[each] = await load([...SCRIPT, each, name, `${server.port}`], { cpu });
    }
    return figures as unknown as Figures;
  });
  const table = (caption: string, columns: Record<string, (mode: Mode) => number>): Table => ({
    caption,
    head: ["", ...Object.keys(columns)],
    rows: modes.map((mode) => [NAMES[mode], ...Object.values(columns).map((figure) => digits(figure(mode)))]),
  });
  const median = (figure: (figures: Figures) => number) => (mode: Mode) => samples.median(mode, figure);
  const share = (figure: (figures: Figures) => number) => (mode: Mode) => samples.medianRatio(mode, "plain", figure);
  const speed = ({ bulk }: Figures) => bulk.mbPerS;
  const echoes = ({ echo }: Figures) => echo.perSecond;
  return {
    title: "Secure channel",
    text:
      "Both ends are processes of bench/peers/channel.ts, each on a CPU of its own, or on the same one where they take " +
      "turns; the channel makes its keys by XX. Deno's TLS server cannot turn Nagle's algorithm off, which is what its " +
      "connections wait for. Small writes are not waited for: the channel gathers those of one turn in one record, the " +
      "others write each by itself.",
    tables: [
      table("One direction, 256 KiB a write", {
        "MB/s": median(speed),
        "÷ plain TCP": share(speed),
        "CPU s/GiB, both ends": median(({ bulk }) => bulk.cpuPerGiB),
      }),
      table("64 B messages and handshakes", {
        "there and back/s": median(echoes),
        "÷ plain TCP": share(echoes),
        "small writes MB/s": median(({ small }) => small.mbPerS),
        "connections/s": median(({ handshakes }) => handshakes.perSecond),
      }),
    ],
    targets: [
      {
        demand: "plain TCP ÷ secure channel, AES by libcrypto: MB/s in one direction",
        limit: 2,
        unit: "×",
        values: samples.ratios("plain", "AESGCM-libcrypto", speed),
      },
      {
        demand: "TLS 1.3 of Deno ÷ secure channel, AES by libcrypto: MB/s in one direction",
        limit: 1.11,
        unit: "×",
        values: samples.ratios("tls", "AESGCM-libcrypto", speed),
      },
      {
        demand: "plain TCP ÷ secure channel, AES by libcrypto: 64 B there and back",
        limit: 1.43,
        unit: "×",
        values: samples.ratios("plain", "AESGCM-libcrypto", echoes),
      },
      {
        demand: "plain TCP ÷ secure channel, ChaCha20 by the runtime: MB/s in one direction",
        limit: 4.5,
        unit: "×",
        values: samples.ratios("plain", "ChaChaPoly-portable", speed),
      },
      {
        demand: "plain TCP ÷ secure channel, AES by the runtime: MB/s in one direction",
        limit: 8.3,
        unit: "×",
        values: samples.ratios("plain", "AESGCM-portable", speed),
      },
      {
        demand: "secure channel, AES by libcrypto: time of a connection with its handshake (400 a second are asked)",
        limit: 2500,
        unit: "µs",
        values: samples.all("AESGCM-libcrypto").map(({ handshakes }) => 1e6 / handshakes.perSecond),
      },
    ],
  };
}

/** Makes the certificate of the TLS server, which only this benchmark trusts. Returns false if there is no openssl. */
function makeCertificate(): boolean {
  if (!isInstalled("openssl")) {
    console.error("TLS is left out: its certificate needs openssl, which is not installed");
    return false;
  }
  const [key, certificate] = ["key", "crt"].map((type) => `${ROOT}bench/out/tls.${type}`);
  Deno.mkdirSync(`${ROOT}bench/out`, { recursive: true });
  outputOf(
    "openssl",
    ..."req -x509 -nodes -days 2 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=localhost".split(" "),
    ..."-addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE".split(" "),
    ...["-keyout", key!, "-out", certificate!],
  );
  return true;
}

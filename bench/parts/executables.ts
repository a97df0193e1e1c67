/**
 * What the one-file forms of a program cost: their size, and their start beside `deno run`.
 * @module
 */
import { available, type Contender, ours } from "../contenders.ts";
import { ROOT } from "../processes.ts";
import { digits, type Report } from "../report.ts";
import { inRounds } from "../rounds.ts";
import { firstEcho } from "./start.ts";

/** One start is short, and so it is repeated: this many a round. */
const STARTS = 3;
const FORMATS = ["denort", "self-extracting"];

/** A built executable. */
interface Executable extends Contender {
  readonly bytes: number;
}

/** Builds tcp_echo in both forms and measures how soon it answers; the first start of the self-extracting one unpacks. */
export async function executables(rounds: number): Promise<Report> {
  const echo = ours("servers/tcp_echo");
  const cache = await Deno.makeTempDir();
  try {
    const built = (await Promise.all(FORMATS.map((format) => build(format, cache)))).filter((form) =>
      form !== undefined
    );
    const firsts = new Map<string, number>();
    for (const form of built) firsts.set(form.name, (await firstEcho(form)).ms);
    const contenders = available([echo, ...built]);
    const samples = await inRounds(contenders, { rounds: rounds * STARTS, part: "executables" }, firstEcho);
    const size = ({ name }: Contender) => built.find((form) => form.name === name)?.bytes;
    return {
      title: "One-file executables",
      text:
        "tcp_echo as one file: its size, its first start, which unpacks what extracts itself, and later ones. Where " +
        "there is no row for denort, the runtime base of `deno compile` could not be downloaded.",
      tables: [{
        caption: "",
        head: ["", "MiB", "first start, ms", "later, median ms", "fastest ms", "RSS MiB"],
        rows: contenders.map((contender) => [
          contender.name,
          contender === echo ? "-" : digits(size(contender)! / 2 ** 20),
          contender === echo ? "-" : digits(firsts.get(contender.name)!),
          digits(samples.median(contender.name, ({ ms }) => ms)),
          digits(Math.min(...samples.all(contender.name).map(({ ms }) => ms))),
          digits(samples.median(contender.name, ({ residentKiB }) => residentKiB / 1024)),
        ]),
      }],
      targets: built.map(({ name }) => ({
        demand: `${name}: later start, more than deno run`,
        limit: 60,
        unit: "ms",
        values: samples.all(name).map(({ ms }, i) => ms - samples.all(echo.name)[i]!.ms),
      })),
    };
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
}

/** tcp_echo in one form, which unpacks into `folder`; undefined where it cannot be built. */
async function build(format: string, folder: string): Promise<Executable | undefined> {
  const output = `${folder}/${format}`;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "compile", "servers/tcp_echo", "--format", format, "--output", output],
    cwd: ROOT,
  }).output();
  if (!success) {
    console.error(`tcp_echo as ${format} is left out: ${new TextDecoder().decode(stderr).trim()}`);
    return undefined;
  }
  const file = `${output}/tcp_echo`;
  const { size: bytes } = await Deno.stat(file);
  const command = ["env", "-i", `XDG_CACHE_HOME=${folder}`, file, "-p", "0", "-q"];
  return { name: `tcp_echo, ${format}`, command, bytes };
}

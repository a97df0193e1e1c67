#!/usr/bin/env -S deno run -R -W -E --allow-run
/**
 * Makes one self-contained file of each program: by `deno compile`, or, where the runtime that it needs cannot be downloaded,
 * as a self-extracting executable. A server keeps its name, a client that talks
 * to one becomes `NAME-client`.
 *
 * Run: `deno task compile`, or for some programs: `deno task compile tcp_echo clients/udp_echo --format self-extracting`.
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { fileURLToPath } from "node:url";
import config from "../deno.json" with { type: "json" };
import { type Program, programName, type ProgramPath, PROGRAMS } from "../lib/programs.ts";
import { selfExtracting } from "./self_extracting.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
/** What only tests and scripts import: no program carries it. */
const TOOL_IMPORTS = ["echarts", "fast-check", "@std/assert"];
const FORMATS = ["auto", "denort", "self-extracting"];
const USAGE =
  `usage: deno task compile [NAME...] [--format auto|denort|self-extracting] [--target TRIPLE] [--output DIR]

  NAME      tcp_echo: server and client; servers/tcp_echo, clients/tcp_echo: one of them; without a name: all
  --format  denort: deno compile, with the runtime base that it downloads once (or $DENORT_BIN);
            self-extracting: a shell launcher with this machine's Deno inside;
            auto (default): denort, and self-extracting where the base cannot be had
  --target  another platform, for denort: x86_64-unknown-linux-gnu, aarch64-unknown-linux-gnu, x86_64-apple-darwin,
            aarch64-apple-darwin, x86_64-pc-windows-msvc, aarch64-pc-windows-msvc
  --output  where the files go (default: dist)
  --verbose show what deno compile says: the modules that it embeds`;

interface Arguments {
  readonly _: string[];
  readonly format: string;
  readonly target?: string;
  readonly output: string;
  readonly help: boolean;
  readonly verbose: boolean;
}

/** The runtime base could not be downloaded. */
class NoRuntimeBaseError extends Error {
  override message = "the runtime base cannot be downloaded, and there is no $DENORT_BIN";
}

/** The name of a program's executable. */
export function executableName(path: ProgramPath): string {
  const isClient = path.startsWith("clients/") && PROGRAMS[path].port !== 0;
  return isClient ? `${programName(path)}-client` : programName(path);
}

/** The programs that a name of the command line means. */
function select(name: string): ProgramPath[] {
  const paths = Object.keys(PROGRAMS) as ProgramPath[];
  const found = paths.filter((path) => [path, programName(path), executableName(path)].includes(name));
  if (found.length > 0) return found;
  const names = new Set(paths.map(programName));
  console.error(`compile: there is no program ${name} (there are ${[...names].join(", ")})`);
  return Deno.exit(2);
}

/** `deno compile` of one program with exactly its permissions. Resolves to what it says. */
async function compile(path: ProgramPath, output: string, target: string | undefined): Promise<string> {
  const { permissions, secure = permissions, worker }: Program = PROGRAMS[path];
  // Without those imports, and without the lock file that names them: versions are exact in the import map, and
  // the type check that ran before has compared the packages with the lock.
  const imports = Object.entries(config.imports).filter(([name]) => !TOOL_IMPORTS.includes(name));
  const pruned = `${ROOT}deno.compile.${Deno.pid}.json`;
  await Deno.writeTextFile(pruned, JSON.stringify({ ...config, imports: Object.fromEntries(imports) }));
  try {
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "compile",
        ...["--config", pruned, "--no-lock", "--no-prompt", "--output", output, ...secure],
        ...(worker === undefined ? [] : ["--include", `${worker}.ts`]),
        ...(target === undefined ? [] : ["--target", target]),
        `${path}.ts`,
      ],
      cwd: ROOT,
      env: { NO_COLOR: "1" },
    }).output();
    const log = new TextDecoder().decode(stderr).replace(/\n+Stack backtrace:[^]*/, "");
    if (log.includes("Setting up base binary")) throw new NoRuntimeBaseError();
    if (!success) throw new Error(`deno compile ${path}.ts: ${log}`);
    return log;
  } finally {
    await Deno.remove(pruned);
  }
}

/** `SHA256  NAME` of every file in the folder, as `sha256sum -c` reads it. */
async function writeChecksums(folder: string): Promise<void> {
  const files = Deno.readDirSync(folder).filter(({ name, isFile }) => isFile && name !== "SHA256SUMS");
  const names = Array.from(files, ({ name }) => name);
  const lines = await Promise.all(
    names.toSorted().map(async (name) => {
      const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(`${folder}/${name}`));
      return `${new Uint8Array(digest).toHex()}  ${name}\n`;
    }),
  );
  await Deno.writeTextFile(`${folder}/SHA256SUMS`, lines.join(""));
}

/** Makes the executables of the programs in a folder. */
async function build(paths: Iterable<ProgramPath>, { format, target, output, verbose }: Arguments): Promise<void> {
  await Deno.mkdir(output, { recursive: true });
  const folder = await Deno.realPath(output);
  const suffix = (target ?? Deno.build.os).includes("windows") ? ".exe" : "";
  let selfExtract = format === "self-extracting";
  for (const path of paths) {
    const file = `${folder}/${executableName(path)}${suffix}`;
    await Deno.remove(file).catch(() => {}); // one that runs cannot be written, one of another format is not overwritten
    if (!selfExtract) {
      try {
        const log = await compile(path, file, target);
        if (verbose) console.log(log);
      } catch (error) {
        if (!(error instanceof NoRuntimeBaseError) || format === "denort" || target !== undefined) throw error;
        console.error(`compile: ${error.message}: self-extracting files instead`);
        selfExtract = true;
      }
    }
    if (selfExtract) {
      const bytes = await selfExtracting(executableName(path), path, PROGRAMS[path], ROOT);
      await Deno.writeFile(file, bytes, { mode: 0o755 });
    }
    console.log(`${file}  ${((await Deno.stat(file)).size / 2 ** 20).toFixed(1)} MiB`);
  }
  await writeChecksums(folder);
}

if (import.meta.main) {
  let unknown: string | undefined;
  const args: Arguments = parseArgs(Deno.args, {
    string: ["format", "target", "output", "_"],
    boolean: ["help", "verbose"],
    alias: { help: "h" },
    default: { format: "auto", output: `${ROOT}dist` },
    unknown: (arg: string, key?: string) => key === undefined || (unknown = arg, false),
  });
  const wrong = unknown !== undefined || !FORMATS.includes(args.format) ||
    (args.format === "self-extracting" && args.target !== undefined);
  if (wrong || args.help) {
    console[wrong ? "error" : "log"](USAGE);
    Deno.exit(wrong ? 2 : 0);
  }
  const names = args._.length > 0 ? args._ : Object.keys(PROGRAMS);
  try {
    await build(new Set(names.flatMap(select)), args);
  } catch (error) {
    console.error(`compile: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}

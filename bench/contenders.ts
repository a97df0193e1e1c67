/**
 * What is measured: our programs with exactly their documented permissions, and the peers beside them.
 * @module
 */
import { programName, type ProgramPath, PROGRAMS } from "../lib/programs.ts";
import { isInstalled, outputOf, ROOT } from "./processes.ts";

/** Where the C programs are built; not in git. */
export const OUT = "bench/out";
/** The interpreter itself: `python3` may be a script that looks for it first. */
const PYTHON = isInstalled("python3") ? outputOf("python3", "-c", "import sys; print(sys.executable)") : "python3";

/** A server and the row that it has in the tables. */
export interface Contender {
  readonly name: string;
  readonly command: readonly string[];
  /** What must be installed for it. */
  readonly needs?: "gcc" | "python3" | "ngircd";
}

/** One of our servers. */
export function ours(path: ProgramPath, ...args: string[]): Contender {
  return {
    name: programName(path),
    command: denoRun(PROGRAMS[path].permissions, `${path}.ts`, "-p", "0", "-q", ...args),
  };
}

/** A module run with those permissions. */
export function denoRun(permissions: readonly string[], ...command: string[]): string[] {
  return [Deno.execPath(), "run", ...permissions, ...command];
}

/** The peers; each prints the same `listening on` line as our servers. */
export const PEERS = {
  epoll: { name: "C epoll", command: [`${OUT}/tcp_echo_epoll`], needs: "gcc" },
  selectors: { name: "Python selectors", command: [PYTHON, "bench/peers/tcp_echo_selectors.py"], needs: "python3" },
  threads: {
    name: "Python ThreadingTCPServer",
    command: [PYTHON, "bench/peers/tcp_echo_threads.py"],
    needs: "python3",
  },
  plain: { name: "Deno, plain loop", command: denoRun(["-N"], "bench/peers/tcp_echo_plain.ts") },
  udp: { name: "C recvfrom", command: [`${OUT}/udp_echo`], needs: "gcc" },
  ngircd: { name: "ngircd", command: ["sh", "bench/peers/ngircd.sh"], needs: "ngircd" },
  naiveChat: { name: "one write a member", command: denoRun(["-N"], "bench/peers/chat_naive.ts") },
  singleWrite: { name: "one write a frame", command: denoRun(["-N"], "bench/peers/framed_echo_single_write.ts") },
} satisfies Record<string, Contender>;

/** The load generators. */
export const LOADERS = {
  tcp: `${OUT}/tcp_load`,
  udp: `${OUT}/udp_load`,
  idle: `${OUT}/idle_connections`,
  chat: `${OUT}/chat_load`,
};

/** Builds every C program. */
export async function build(): Promise<void> {
  await Deno.mkdir(`${ROOT}${OUT}`, { recursive: true });
  for (const folder of ["bench/peers", "bench/load"]) {
    for await (const { name } of Deno.readDir(`${ROOT}${folder}`)) {
      if (!name.endsWith(".c")) continue;
      const args = ["-O2", "-Wall", "-Wextra", "-Werror", "-o", `${OUT}/${name.slice(0, -2)}`, `${folder}/${name}`];
      const { success } = await new Deno.Command("gcc", { args, cwd: ROOT }).spawn().status;
      if (!success) throw new Error(`cannot build ${folder}/${name}`);
    }
  }
}

/** The contenders that can run here; each other one is named with its reason. */
export function available<Some extends { readonly name: string; readonly needs?: string }>(
  contenders: readonly Some[],
): Some[] {
  return contenders.filter(({ name, needs }) => {
    if (needs === undefined || isInstalled(needs)) return true;
    console.error(`${name} is left out: ${needs} is not installed`);
    return false;
  });
}

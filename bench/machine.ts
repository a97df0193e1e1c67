/**
 * Where the figures come from.
 * @module
 */
import { isInstalled, outputOf, PINNED } from "./processes.ts";

/** Of the CPU times in /proc: USER_HZ, the same on every Linux that Deno runs on. */
const TICKS_PER_SECOND = 100;

/** The machine and the versions, one line each. */
export async function describeMachine(): Promise<string> {
  const cpuinfo = await Deno.readTextFile("/proc/cpuinfo");
  const model = /model name\s*:\s*(.+)/.exec(cpuinfo)?.[1] ?? Deno.build.arch;
  const pinning = PINNED ? "servers on CPU 0, loaders on CPU 1" : "servers and loaders share what there is";
  const versions = [`Deno ${Deno.version.deno}`, `V8 ${Deno.version.v8}`, ...["gcc", "python3"].map(versionOf)];
  return [
    `- ${model}, ${navigator.hardwareConcurrency} CPUs: ${pinning}`,
    `- Linux ${Deno.osRelease()}`,
    `- ${versions.join(", ")}`,
  ].join("\n");
}

/** Watches how much CPU time others take; what it returns ends the watch and says so. */
export async function watchOthers(): Promise<() => Promise<string>> {
  const began = performance.now();
  const before = await foreignTicks();
  return async () => {
    const seconds = (await foreignTicks() - before) / TICKS_PER_SECOND;
    const share = 1000 * seconds / (performance.now() - began);
    return `- other processes and the hypervisor took ${Math.max(0, 100 * share).toFixed(0)} % of a CPU during the run`;
  };
}

/** CPU time since the start of the system that neither this process nor its ended children took. */
async function foreignTicks(): Promise<number> {
  const numbers = async (path: string, skip: RegExp) =>
    (await Deno.readTextFile(path)).replace(skip, "").split(/\s+/).map(Number);
  const [user, nice, system, _idle, _waiting, ...interruptsAndStolen] = (await numbers("/proc/stat", /^cpu +/)).slice(
    0,
    8,
  );
  const ours = (await numbers("/proc/self/stat", /^.*\) /s)).slice(11, 15); // user and system, then those of children
  // A process is charged for the interrupts that it is interrupted by, and on a loopback these are the network's work.
  const sum = (ticks: readonly number[]) => ticks.reduce((total, count) => total + count, 0);
  return sum([user!, nice!, system!, ...interruptsAndStolen]) - sum(ours);
}

function versionOf(tool: string): string {
  if (!isInstalled(tool)) return `no ${tool}`;
  return `${tool} ${/\d+\.\d+\.\d+/.exec(outputOf(tool, "--version"))?.[0]}`;
}

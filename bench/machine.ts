/**
 * Where the figures come from.
 * @module
 */
import { isInstalled, outputOf, PINNED } from "./processes.ts";

/** The machine and the versions, one line each. */
export async function describeMachine(): Promise<string> {
  const cpuinfo = await Deno.readTextFile("/proc/cpuinfo");
  const model = /model name\s*:\s*(.+)/.exec(cpuinfo)?.[1] ?? Deno.build.arch;
  const pinning = PINNED ? "servers on CPU 0, loaders on CPU 1" : "servers and loaders share what there is";
  const versions = [`Deno ${Deno.version.deno}`, `V8 ${Deno.version.v8}`, ...["gcc", "python3"].map(versionOf)];
  return [
    `- ${model}, ${navigator.hardwareConcurrency} CPUs: ${pinning}`,
    `- Linux ${Deno.osRelease()}; load average before the run: ${Deno.loadavg()[0]!.toFixed(2)}`,
    `- ${versions.join(", ")}`,
  ].join("\n");
}

function versionOf(tool: string): string {
  if (!isInstalled(tool)) return `no ${tool}`;
  return `${tool} ${/\d+\.\d+\.\d+/.exec(outputOf(tool, "--version"))?.[0]}`;
}

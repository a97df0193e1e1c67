/**
 * The self-extracting form of a program: `launcher.sh || parts`, each part a file compressed by gzip: the program as one
 * bundled module, its worker if it has one, and the Deno runtime that runs this script.
 * @module
 */
import { concat } from "@std/bytes";
import { gzipSync } from "node:zlib";
import config from "../deno.json" with { type: "json" };
import type { Program } from "../lib/programs.ts";

/** One file to unpack. */
interface Part {
  /** Where, in the cache folder; shell variables are expanded. */
  readonly file: string;
  readonly sha256: string;
  readonly gzip: Uint8Array;
}

/** The runtime is the same in every program: compressed once. */
let runtime: Part | undefined;

/** The bytes of a self-extracting executable called `name` for the script at `path` in the folder `root`. */
export async function selfExtracting(
  name: string,
  path: string,
  { permissions, secure = permissions, worker, unstableNet }: Program,
  root: string,
): Promise<Uint8Array> {
  runtime ??= await makePart("$runtime", await Deno.readFile(Deno.execPath()));
  const parts = [await makePart("$program/main.js", await bundle(`${root}${path}.ts`))];
  if (worker !== undefined) {
    const file = worker.slice(worker.lastIndexOf("/") + 1);
    parts.push(await makePart(`$program/${file}.ts`, await bundle(`${root}${worker}.ts`)));
  }
  const values = {
    NAME: name,
    VERSION: config.version,
    PROGRAM: `${name}-${(await sha256(parts.map(({ sha256 }) => sha256).join())).slice(0, 16)}`,
    RUNTIME: `deno-${runtime.sha256.slice(0, 16)}`,
    FLAGS: [...(unstableNet ? ["--unstable-net"] : []), ...secure].join(" "),
  };
  const template = await Deno.readTextFile(new URL("launcher.sh", import.meta.url));
  const launcher = fill(template, values, [...parts, runtime]);
  return concat([launcher, ...[...parts, runtime].map(({ gzip }) => gzip)]);
}

/** The launcher with its placeholders filled; where the parts start depends on its own length. */
function fill(template: string, values: Record<string, string>, parts: readonly Part[]): Uint8Array {
  const text = template.replace(/@([A-Z]+)@/g, (placeholder, key) => values[key] ?? placeholder);
  const encode = (length: number) => {
    let start = length + 1; // tail -c +N counts from 1
    const lines = parts.map(({ file, sha256, gzip }) => {
      const line = `part "$cache/${file}" ${sha256} ${String(start).padStart(12)} ${gzip.length}`;
      start += gzip.length;
      return line;
    });
    return new TextEncoder().encode(text.replace("@PARTS@", lines.join(" &&\n    ")));
  };
  return encode(encode(0).length);
}

/** The script and all that it imports as one module. Not minified: that can drop a `using` and leave open what it should close. */
async function bundle(script: string): Promise<Uint8Array> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform", "deno", script],
  }).output();
  if (!success) throw new Error(`bundle ${script}: ${new TextDecoder().decode(stderr)}`);
  return stdout;
}

async function makePart(file: string, bytes: Uint8Array): Promise<Part> {
  return { file, sha256: await sha256(bytes), gzip: gzipSync(bytes, { level: 6 }) };
}

async function sha256(data: Uint8Array | string): Promise<string> {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data as Uint8Array<ArrayBuffer>;
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

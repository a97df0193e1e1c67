/**
 * Runs the transcripts of docs/observing.md: each fenced block of commands against the server that the page names, compared
 * with what the page shows.
 * @module
 */
import { type ProgramPath, PROGRAMS } from "../../lib/programs.ts";
import { assert } from "../assert.ts";
import { inTime, ROOT, type RunningServer, startServer, testWith } from "../harness.ts";

interface Block {
  readonly server: string;
  readonly tools: readonly string[];
  /** A capture that runs while the next block does. */
  readonly background: boolean;
  readonly command: string;
  readonly output: readonly string[];
}

/** The blocks of the page, in order; the comments above a block say what it needs. */
function parse(page: string): Block[] {
  const blocks: Block[] = [];
  let server = "";
  let tools: string[] = [];
  let background = false;
  for (const match of page.matchAll(/<!-- (\w+)(?:: (.*?))? -->|```console\n([^]*?)```/g)) {
    const [, key, value, block] = match;
    if (key === "server") server = value!;
    if (key === "tools") tools = value!.split(" ");
    if (key === "background") background = true;
    if (block === undefined) continue;
    const lines = block.trimEnd().split("\n");
    // A command goes on while its quotes are open.
    let end = 1;
    while (lines.slice(0, end).join("\n").split("'").length % 2 === 0) end++;
    const command = lines.slice(0, end).join("\n").slice(2);
    blocks.push({ server, tools, background, command, output: lines.slice(end) });
    [tools, background] = [[], false];
  }
  return blocks;
}

/** Whether the output reads as the page shows it: `…` is anything, also several lines when it stands alone. */
function matches(output: string, shown: readonly string[]): boolean {
  const pattern = shown.map((line) =>
    line === "…" ? "(?:.*\\n)*?" : `${line.split("…").map((part) => RegExp.escape(part.trim())).join(".*?")}\\s*?\\n`
  );
  const spaced = pattern.join("").replaceAll(/(\\x20)+/g, "\\s+");
  return new RegExp(`^${spaced}$`).test(output.endsWith("\n") ? output : `${output}\n`);
}

function spawn(block: Block, server: RunningServer): Deno.ChildProcess {
  const port = PROGRAMS[block.server.split(" ")[0] as ProgramPath].port;
  const command = block.command.replaceAll(`${port}`, `${server.port}`).replace(/^deno /, `${Deno.execPath()} `);
  return new Deno.Command("sh", {
    args: ["-c", block.background ? command : `{ ${command}\n} 2>&1`],
    cwd: ROOT,
    env: { NO_COLOR: "1", LC_ALL: "C" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  })
    .spawn();
}

async function check(block: Block, server: RunningServer, process: Deno.ChildProcess): Promise<void> {
  const stdout = await inTime(new Response(process.stdout).text(), `the end of ${block.command}`);
  const port = PROGRAMS[block.server.split(" ")[0] as ProgramPath].port;
  const output = stdout.replaceAll("\r", "").replaceAll(`${server.port}`, `${port}`);
  assert(matches(output, block.output), `${block.command} printed\n${output}\ninstead of\n${block.output.join("\n")}`);
}

/** Resolves when the capture listens. */
async function listening(stderr: ReadableStream<Uint8Array>): Promise<void> {
  const reader = stderr.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; !text.includes("listening on");) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`the capture ended: ${text}`);
    text += value;
  }
  reader.releaseLock();
}

const blocks = parse(await Deno.readTextFile(`${ROOT}docs/observing.md`));
for (const [i, block] of blocks.entries()) {
  if (block.background) continue;
  const capture = blocks[i - 1]?.background ? blocks[i - 1] : undefined;
  const tools = [...new Set([...block.tools, ...capture?.tools ?? []])];
  const name = `docs/observing.md: ${(capture ?? block).command.split("\n")[0]}`;
  testWith(tools, name, async () => {
    const [path, ...args] = block.server.split(" ");
    await using server = await startServer(path as ProgramPath, args);
    const watching = capture === undefined ? undefined : spawn(capture, server);
    if (watching !== undefined) await inTime(listening(watching.stderr), "the capture");
    const process = spawn(block, server);
    await check(block, server, process);
    await Promise.all([process.stderr.cancel(), process.status]);
    if (capture === undefined || watching === undefined) return;
    await check(capture, server, watching);
    await watching.status;
  });
}

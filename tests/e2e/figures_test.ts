import { assert, assertEquals } from "../assert.ts";
import { ROOT } from "../harness.ts";

/** The cells of each row of a text's tables, titles included. */
function rowsOf(text: string): string[][] {
  const lines = text.split("\n").filter((line) => /^\| (?!-)/.test(line));
  return lines.map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}

/** What `file` says from the first `beginning` to the next heading. */
async function part(file: string, beginning: string): Promise<string> {
  const text = await Deno.readTextFile(`${ROOT}${file}`);
  const [, after = ""] = text.split(beginning, 2);
  assert(after.includes("\n| "), `${file} has no table after ${beginning}`);
  return after.split("\n#", 1)[0]!;
}

Deno.test("docs/protocols/tcp_echo.md: its figures are those of bench/RESULTS.md", async () => {
  const measured = rowsOf(await part("bench/RESULTS.md", "\n512 connections\n"));
  const shown = rowsOf(await part("docs/protocols/tcp_echo.md", "With 512 connections"));
  for (const [name, ...figures] of shown.slice(1)) {
    assertEquals(measured.find(([row]) => row === name)?.slice(-figures.length), figures, name);
  }
});

Deno.test("docs/security.md: its figures are those of the benchmarks that it names", async () => {
  const [titles, ...shown] = rowsOf(await part("docs/security.md", "\n## Speed or sandbox\n"));
  for (const [machine, ...figures] of shown) {
    const [, file] = /\(\.\.\/(.*)\)/.exec(machine!)!;
    const measured = rowsOf(await part(file!, "\nOne direction, 256 KiB a write\n"));
    const cpu = titles!.slice(1).map((title) => measured.find(([name]) => name === title)?.at(-1));
    assertEquals(figures, cpu, machine);
  }
});

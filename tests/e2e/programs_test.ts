import { type ProgramPath, PROGRAMS, runCommand } from "../../lib/programs.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import { programsIn, testEach } from "../each.ts";
import { ROOT } from "../harness.ts";

const FOLDERS = ["servers", "clients"] as const;
const SCRIPTS = FOLDERS.flatMap(programsIn).map((path) => ({ path }));

testEach(
  SCRIPTS,
  "every script: first line and documentation run it with its permissions, and name its page",
  async ({ path }) => {
    const source = await Deno.readTextFile(`${ROOT}${path}.ts`);
    assertEquals(source.split("\n", 1)[0], `#!/usr/bin/env -S deno run ${PROGRAMS[path].permissions.join(" ")}`);
    const documentation = source.slice(0, source.indexOf("@module")).replaceAll("\n * ", " ");
    assertStringIncludes(documentation, `Run: \`${runCommand(path)}`);
    const [page = "no page"] = /docs\/[\w/]+\.md/.exec(documentation) ?? [];
    await Deno.stat(`${ROOT}${page}`);
  },
);

testEach(SCRIPTS, "every script: can be run by its name", async ({ path }) => {
  const { mode } = await Deno.stat(`${ROOT}${path}.ts`);
  assert(mode === null || (mode & 0o111) === 0o111, "it is not executable");
});

Deno.test("every script in servers/ and clients/ is in the table of programs, but for the workers", async () => {
  for (const folder of FOLDERS) {
    const scripts = (await Array.fromAsync(Deno.readDir(`${ROOT}${folder}`), ({ name }) => name))
      .filter((name) => name.endsWith(".ts") && !name.endsWith("_worker.ts"));
    const missing = scripts.filter((name) => !(`${folder}/${name.slice(0, -3)}` in PROGRAMS));
    assertEquals(missing, []);
  }
});

Deno.test("every worker in the table is there", async () => {
  for (const path of Object.keys(PROGRAMS) as ProgramPath[]) {
    const { worker } = PROGRAMS[path] as { worker?: string };
    if (worker !== undefined) await Deno.stat(`${ROOT}${worker}.ts`);
  }
});

Deno.test("deno.lock pins what deno.json imports, and nothing else", async () => {
  const { specifiers, workspace } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.lock`));
  assertEquals(Object.keys(specifiers).toSorted(), workspace.dependencies.toSorted());
});

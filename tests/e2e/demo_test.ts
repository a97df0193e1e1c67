import { assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { type ProgramPath, PROGRAMS } from "../../lib/programs.ts";
import { ROOT } from "../harness.ts";

Deno.test("deno task demo: shows every program at work and ends with 0", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "demo"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stdout);
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  for (const path of Object.keys(PROGRAMS) as ProgramPath[]) assertStringIncludes(text, `${path}.ts`);
  assertMatch(text, /\nEverything was as shown, in \d+\.\d s\.\n$/);
});

import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "../assert.ts";
import { type ProgramPath, PROGRAMS } from "../../lib/programs.ts";
import { TestFolder } from "../folder.ts";
import { ROOT, startTool, testWith } from "../harness.ts";
import { Screen } from "../screen.ts";

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

/** The tour with its folders in one of the test. */
const demoIn = ({ path }: TestFolder) =>
  ["env", [`TMPDIR=${path}`, Deno.execPath(), "run", "-N", "-R", "-W", "--allow-run", "scripts/demo.ts"]] as const;
const FILES = /photo\.jpg: 60000 bytes/; // when it has a folder, and a server

/** Asserts that no file and no server is left. */
async function assertNothingLeft({ path }: TestFolder, shown: string): Promise<void> {
  assertEquals(Array.from(Deno.readDirSync(path)), []);
  for (const [, port] of shown.matchAll(/listening on tcp:.*:(\d+)/g)) {
    await assertRejects(() => Deno.connect({ port: Number(port) }), Deno.errors.ConnectionRefused);
  }
}

testWith(["env"], "demo: SIGTERM ends what it has started, and leaves nothing behind", async () => {
  await using folder = new TestFolder();
  const demo = startTool(...demoIn(folder));
  await demo.printed("== chat: ");
  await demo.printed(FILES);
  const { code, stdout, stderr } = await demo.stop();
  assertEquals([code, stderr], [1, "demo: interrupted"]);
  await assertNothingLeft(folder, stdout);
});

testWith(["env", "python3"], "demo: so does Ctrl-C, which what it has started hears too", async () => {
  await using folder = new TestFolder();
  const [command, args] = demoIn(folder);
  await using demo = new Screen(command, ...args);
  await demo.find(/== chat: /);
  await demo.find(FILES);
  await demo.type("\x03");
  const { code, lines } = await demo.ended();
  assertEquals([code, lines.at(-1)!.replace("^C", "")], [1, "demo: interrupted"]); // the key's echo may be lines before
  await assertNothingLeft(folder, lines.join("\n"));
});

import { assertEquals, assertStringIncludes } from "../assert.ts";
import { ROOT, runTool } from "../harness.ts";

Deno.test("deno doc --lint mod.ts: every public symbol is documented", async () => {
  const { code, stderr } = await runTool(Deno.execPath(), ["doc", "--lint", "mod.ts"]);
  assertEquals(code, 0, stderr);
});

Deno.test("deno publish --dry-run: nothing to complain about, and only the library goes out", async () => {
  // --allow-dirty: what is tested is the working tree.
  const { code, stderr } = await runTool(Deno.execPath(), ["publish", "--dry-run", "--allow-dirty"]);
  assertEquals(code, 0, stderr);
  assertStringIncludes(stderr, "Success");
  const files = [...stderr.matchAll(/file:\/\/(\S+)/g)].map(([, file]) => file!.slice(ROOT.length));
  const allowed = /^(mod\.ts|deno\.json|LICENSE|README\.md|lib\/.*\.ts)$/;
  assertEquals(files.filter((file) => !allowed.test(file)), []);
  assertEquals(/^(warning|error)\b/im.test(stderr), false, stderr);
});

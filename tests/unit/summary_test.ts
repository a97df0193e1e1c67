import { Summary } from "../../scripts/test.ts";
import { assertEquals } from "../assert.ts";

Deno.test("Summary: the counts of a layer, wherever its output is cut", () => {
  const output = "one ... ok (1ms)\n\nok | 12 passed (3 steps) | 0 failed | 4 ignored (2s)\n\n";
  for (let cut = 0; cut <= output.length; cut++) {
    const summary = new Summary();
    for (const text of [output.slice(0, cut), output.slice(cut)]) summary.receive(text);
    assertEquals(summary.counts, [12, 0, 4], `cut at ${cut}`);
  }
  const failed = new Summary();
  failed.receive("FAILED | 1 passed | 2 failed (3s)\n");
  assertEquals(failed.counts, [1, 2, 0]);
});

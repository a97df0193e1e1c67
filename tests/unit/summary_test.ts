import { countsOf } from "../../scripts/test.ts";
import { assertEquals } from "../assert.ts";

Deno.test("countsOf: what the last line of a layer counts, also of a layer with steps, skipped or failed tests", () => {
  const cases: [output: string, counts: number[]][] = [
    ["one ... ok (1ms)\n\nok | 12 passed (3 steps) | 0 failed | 4 ignored (2s)\n\n", [12, 0, 4]],
    ["FAILED | 1 passed | 2 failed (3s)\n", [1, 2, 0]],
    ["ok | 1 passed | 0 failed (1s)\nok | 2 passed | 0 failed (1s)\n", [2, 0, 0]],
    ["one ... ok (1ms)\n", [0, 0, 0]],
  ];
  for (const [output, counts] of cases) assertEquals(countsOf(output), counts, output);
});

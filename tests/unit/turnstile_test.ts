import { TURN_BUDGET } from "../../lib/net/self_pipe.ts";
import { Turnstile } from "../../lib/net/turnstile.ts";
import { assert, assertEquals } from "../assert.ts";

Deno.test("Turnstile: as many as a turn completes begin at once, the next ones in their order, so many a look", async () => {
  using turnstile = new Turnstile();
  const begun: number[] = [];
  const pass = (i: number) => turnstile.pass()?.then(() => begun.push(i));
  for (let i = 0; i < TURN_BUDGET; i++) assertEquals(pass(i), undefined);
  const late = Array.from({ length: 2 * TURN_BUDGET }, (_, i) => pass(i));
  assertEquals(begun, []);
  await late[0];
  assert(begun.length <= TURN_BUDGET, `${begun.length} at once`);
  const last = pass(late.length);
  assert(last !== undefined, "who comes now must not overtake those that wait");
  await last;
  assertEquals(begun, Array.from({ length: late.length + 1 }, (_, i) => i));
});

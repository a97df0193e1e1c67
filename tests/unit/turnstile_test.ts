import { TURN_BUDGET } from "../../lib/net/self_pipe.ts";
import { Turnstile } from "../../lib/net/turnstile.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";

Deno.test("Turnstile: as many as a turn completes begin at once, the next ones in their order, so many a look", async () => {
  using turnstile = new Turnstile();
  const begun: number[] = [];
  const pass = (i: number) => turnstile.pass(() => Promise.resolve(begun.push(i)));
  for (let i = 0; i < TURN_BUDGET; i++) pass(i);
  const before = begun.length; // all of them, unless this machine was busy for longer than a turn
  assert(before <= TURN_BUDGET);
  const late = Array.from({ length: 2 * TURN_BUDGET }, (_, i) => pass(TURN_BUDGET + i));
  assertEquals(begun.length, before);
  await late[0];
  assert(begun.length <= before + TURN_BUDGET, `${begun.length - before} at once`);
  await pass(3 * TURN_BUDGET); // who comes now must not overtake those that wait
  assertEquals(begun, Array.from({ length: 3 * TURN_BUDGET + 1 }, (_, i) => i));
});

Deno.test("Turnstile: where much work follows a read, fewer begin before the next look", async () => {
  using turnstile = new Turnstile();
  let begun = 0;
  const reads = Array.from({ length: TURN_BUDGET }, () => {
    for (const end = performance.now() + 1; performance.now() < end;); // its work
    return turnstile.pass(() => Promise.resolve(begun++));
  });
  assert(begun < TURN_BUDGET / 4, `${begun} began`);
  await Promise.all(reads);
});

Deno.test("Turnstile: a read that fails in its turn holds up no other; nor does the end of the server", async () => {
  using turnstile = new Turnstile();
  for (let i = 0; i < TURN_BUDGET; i++) turnstile.pass(() => Promise.resolve());
  const failing = turnstile.pass(() => Promise.reject(new Deno.errors.BadResource("closed meanwhile")));
  const last = turnstile.pass(() => Promise.resolve("read"));
  turnstile[Symbol.dispose]();
  await assertRejects(() => failing, Deno.errors.BadResource);
  assertEquals(await last, "read");
});

import { FailureCounter } from "../../lib/failure_counter.ts";
import { assertEquals } from "../assert.ts";

Deno.test("FailureCounter counts each source by itself, for a minute from its first failure on", () => {
  let now = 1000;
  const counter = new FailureCounter(() => now);
  assertEquals([counter.add("a"), counter.add("a"), counter.add("b")], [1, 2, 1]);
  now += 59_999;
  assertEquals(counter.add("a"), 3);
  now += 1;
  assertEquals([counter.add("a"), counter.add("a"), counter.add("b")], [1, 2, 1]);
});

Deno.test("FailureCounter remembers 1024 sources: of more, the one that has been counted longest is forgotten", () => {
  const counter = new FailureCounter(() => 0);
  for (let i = 0; i < 1024; i++) assertEquals(counter.add(`${i}`), 1);
  assertEquals(counter.add("0"), 2);
  assertEquals(counter.add("another"), 1);
  assertEquals([counter.add("1"), counter.add("1023")], [2, 2]);
  assertEquals(counter.add("0"), 1);
});

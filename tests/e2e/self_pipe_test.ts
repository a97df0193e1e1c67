import { SelfPipe } from "../../lib/net/self_pipe.ts";
import { assert, assertEquals } from "../assert.ts";
import { runTool, testWith } from "../harness.ts";
import { testWithCables } from "../netns.ts";

/** In so many turns the event loop looks at its sockets anyway, whatever else it has to do. */
const LOOKS_EVERY = 61;
const FIXTURE = ["run", "--no-prompt", "-N", "tests/e2e/fixtures/turns_until_read.ts"];

for (const cpus of ["as many CPUs as there are", "one CPU"]) {
  const [name, args] = cpus === "one CPU"
    ? ["taskset", ["-c", "0", Deno.execPath(), ...FIXTURE]] as const
    : [Deno.execPath(), FIXTURE] as const;
  testWith(
    cpus === "one CPU" ? ["taskset"] : [],
    `SelfPipe: after a look, what has arrived is there: ${cpus}`,
    async () => {
      const { code, stdout, stderr } = await runTool(name, args);
      assertEquals([code, stderr], [0, ""]);
      const counts: number[] = JSON.parse(stdout);
      const median = counts.toSorted((a, b) => a - b)[10]!;
      assert(median < LOOKS_EVERY / 8, `${counts}`);
    },
  );
}

Deno.test("SelfPipe: looks at the same time are one; it works without a pipe too", async () => {
  const pipe = new SelfPipe();
  const first = pipe.look();
  assertEquals(pipe.look() === first, true);
  await first;
  const last = pipe.look();
  pipe[Symbol.dispose]();
  await last;
  await pipe.look();
});

Deno.test(
  { name: "SelfPipe: without the permission it works too, and asks nobody", permissions: { net: false } },
  async () => {
    using pipe = new SelfPipe();
    await pipe.look();
  },
);

testWithCables("SelfPipe: neither without a loopback nor when it goes down is a look without end", async () => {
  const fixture = ["run", "--no-prompt", "-N", "--allow-run=ip", "tests/e2e/fixtures/looks_without_loopback.ts"];
  const { code, stdout, stderr } = await runTool("unshare", ["--net", Deno.execPath(), ...fixture]);
  assertEquals([code, stdout, stderr], [0, "looked\n".repeat(4), ""]);
});

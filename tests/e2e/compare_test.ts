import { assert, assertEquals } from "../assert.ts";
import { ROOT } from "../harness.ts";

const COUNT = 60;

Deno.test("deno task compare: what the tables show follows from what the wiretap did", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "compare", "--count", `${COUNT}`],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
  const rows = new TextDecoder().decode(stdout).split("\n").filter((line) => line.startsWith("|")).map((line) =>
    line.split("|").slice(1, -1).map((cell) => cell.trim())
  );
  const find = (condition: string, transport: string) => {
    const row = rows.find(([name, kind]) => name === condition && kind === transport);
    assert(row !== undefined, `there is no row ${condition}, ${transport}`);
    const [, , arrived, , reordered, doubled, reads, kept] = row.map((cell) => parseInt(cell!));
    return { arrived: arrived!, reordered: reordered!, doubled: doubled!, reads: reads!, kept: kept! };
  };
  const whole = { arrived: COUNT, reordered: 0, doubled: 0 };
  const order = ({ arrived, reordered, doubled }: typeof whole) => ({ arrived, reordered, doubled });

  assertEquals(find("nothing", "UDP"), { ...whole, reads: COUNT, kept: COUNT });
  for (const condition of ["nothing", "20 ms delay", "split to 10 B", "glued for 20 ms"]) {
    assertEquals(order(find(condition, "TCP")), whole, condition);
  }
  assert(find("split to 10 B", "TCP").kept < COUNT, "pieces of 10 bytes are no messages of 64");
  assert(find("glued for 20 ms", "TCP").reads < COUNT / 2, "20 ms glue several messages of 3 ms each");
  assert(find("stalled half-way", "TCP").arrived <= COUNT / 2);
  assert(find("20 % lost", "UDP").arrived < COUNT);
  assert(find("10 % reordered", "UDP").reordered > 0);
  assert(find("10 % doubled", "UDP").doubled > 0);
  for (const condition of ["20 % lost", "10 % reordered", "10 % doubled"]) {
    const { reads, kept } = find(condition, "UDP");
    assertEquals(kept, reads, "what arrives of UDP is a whole message");
  }
});

Deno.test("docs/tcp_vs_udp.md holds the tables and the pictures of a run", async () => {
  const page = await Deno.readTextFile(`${ROOT}docs/tcp_vs_udp.md`);
  assert(/<!-- results -->\n\n\| each way [^]*\| largest message /.test(page));
  for (const [, image] of page.matchAll(/!\[.*?\]\((images\/\w+\.svg)\)/g)) {
    assert((await Deno.readTextFile(`${ROOT}docs/${image}`)).startsWith("<svg "), image);
  }
});

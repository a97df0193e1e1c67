/**
 * Downloads and the disk that they go to: it becomes full, or somebody else puts a file there first.
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import { runTool, testWith } from "../harness.ts";
import { FaultProxy } from "./fault_proxy.ts";
import { Client } from "./files_ways.ts";
import { FileServer, noise, sha256 } from "./files_wire.ts";

const MIB = 2 ** 20;

testWith(["root", "mount"], "files: a disk that becomes full keeps a download; freed, it goes on", async () => {
  await using server = await FileServer.start();
  await using client = new Client();
  const content = noise(6 * MIB);
  await server.folder.write("a", content);
  const disk = client.path("disk");
  await Deno.mkdir(disk);
  const mounted = await runTool("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", disk]);
  if (mounted.code !== 0) return console.log(`skipped: mount: ${mounted.stderr}`);
  try {
    await Deno.writeFile(`${disk}/other`, new Uint8Array(5 * MIB));
    const full = await client.run(server.process, "get", "a", `${disk}/a`);
    assertEquals(full.code, 75, full.stderr);
    assertStringIncludes(full.stderr, "a: kept at ");
    assertEquals(full.stderr.includes("trying again"), false, full.stderr);
    const names = Array.from(Deno.readDirSync(disk), ({ name }) => name);
    assertEquals(names.filter((name) => !name.startsWith(".")), ["other"]);
    await Deno.remove(`${disk}/other`);
    const { code, stdout, stderr } = await client.run(server.process, "get", "a", `${disk}/a`);
    assertEquals(code, 0, stderr);
    const resumed = Number(/resumed from (\d+)/.exec(stdout)![1]);
    assert(resumed > 2 * MIB && resumed < 4 * MIB, stdout);
    assertEquals(sha256(await Deno.readFile(`${disk}/a`)), sha256(content));
  } finally {
    await runTool("umount", [disk]);
  }
});

Deno.test("files: a file that appears during a download stays, and is no reason to try again", async () => {
  await using server = await FileServer.start();
  await using client = new Client();
  await server.folder.write("a", noise(4 * MIB));
  const happened = async () => void await client.folder.write("a", "mine");
  using proxy = new FaultProxy(() => server.process, [{ side: "server", after: 2 * MIB, kind: "pause", happened }]);
  const { code, stderr } = await client.run(proxy, "get", "a", client.path("a"));
  assertEquals(code, 1, stderr);
  assertStringIncludes(stderr, "it has appeared meanwhile");
  assertEquals([stderr.includes("trying again"), proxy.connections], [false, 1], stderr);
  assertEquals(new TextDecoder().decode(client.read("a")), "mine");
});

/**
 * Transfers and the disk that they go to: it becomes full, it fails, or somebody else puts a file there first.
 * @module
 */
import { PARTIAL } from "../../lib/files/replies.ts";
import { type ProgramPath, PROGRAMS } from "../../lib/programs.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { run, runTool, startServer, testWith } from "../harness.ts";
import { FaultProxy } from "./fault_proxy.ts";
import { Client } from "./files_ways.ts";
import { FileServer, noise, sha256, Wire } from "./files_wire.ts";

const MIB = 2 ** 20;

/** A command of `deno run` for a program. */
function denoRun(path: ProgramPath): string[] {
  return [Deno.execPath(), "run", "--no-prompt", ...PROGRAMS[path].permissions, `${path}.ts`];
}

/** A program whose disk fails after `size` bytes of any file, in 512, and is not full. */
function withLimit(path: ProgramPath, size: number): { argv: [string, ...string[]] } {
  const limit = 'trap "" XFSZ; ulimit -f "$0" && exec "$@"';
  return { argv: ["sh", "-c", limit, `${size / 512}`, ...denoRun(path)] };
}

testWith(["sh"], "files: a server's disk that fails keeps an upload: 451, the user decides", async () => {
  await using root = new TestFolder();
  await using client = new Client();
  const content = noise(3 * MIB);
  const path = await client.folder.write("a", content);
  {
    await using server = await startServer("servers/files", ["--root", root.path], withLimit("servers/files", 2 * MIB));
    const { code, stderr } = await client.run(server, "put", path);
    assertEquals(code, 75, stderr);
    assertMatch(
      stderr,
      /^files: a: stopped at 66\.7 %: the server says: 451 the server's disk: file too large\nfiles: a: kept at 66\.7 % \(run the same command again: it goes on from there\)\n$/,
    );
    using wire = await Wire.to(server);
    assertEquals((await wire.ask(`UPLOAD b ${content.length} WAIT`)).code, 150);
    await wire.send(content.subarray(0, 2 * MIB + 1));
    assertEquals((await wire.reply()).code, 451);
    await wire.ended(); // in the middle of a body
    using next = await Wire.to(server);
    assertEquals(PARTIAL.parse((await next.ask(`STAT b ${content.length}`)).text).offset, 2 * MIB);
  }
  {
    await using server = await startServer("servers/files", ["--root", root.path], withLimit("servers/files", 512));
    using wire = await Wire.to(server);
    assertEquals((await wire.ask("UPLOAD c 5 WAIT")).code, 451); // not even the record fits
    await wire.assertInStep();
  }
  await using server = await startServer("servers/files", ["--root", root.path]);
  const { code, stdout, stderr } = await client.run(server, "put", path);
  assertEquals(code, 0, stderr);
  assertStringIncludes(stdout, `resumed from ${2 * MIB}, 0 breaks`);
  assertEquals(await Deno.readFile(`${root.path}/a`), content);
});

testWith(["sh"], "files: a client's disk that fails keeps a download, the user decides", async () => {
  await using server = await FileServer.start();
  await using client = new Client();
  const content = noise(3 * MIB);
  await server.folder.write("a", content);
  const { hostname, port } = server.process;
  for (const options of [[], ["--no-verify"]]) {
    const args = [hostname, `${port}`, "get", "a", client.path("a"), "--owner", client.path("owner"), ...options];
    const failed = await run("clients/files", args, withLimit("clients/files", 2 * MIB));
    assertEquals(failed.code, 75, failed.stderr);
    assertMatch(
      failed.stderr,
      /^files: a: stopped at [\d.]+ %: the disk here: file too large\nfiles: a: kept at [\d.]+ % \(run the same .*\)\n$/,
    );
    const { code, stdout, stderr } = await run("clients/files", args);
    assertEquals(code, 0, stderr);
    assertStringIncludes(stdout, `resumed from ${2 * MIB}, 0 breaks`);
    assertEquals(client.read("a"), content);
    await Deno.remove(client.path("a"));
  }
});

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

testWith(
  ["strace"],
  "files: a file that cannot be read in the middle of its download is cut there, nothing else",
  async () => {
    await using root = new TestFolder();
    const content = noise(8 * MIB);
    const path = await root.write("a", content);
    if ((await runTool("strace", ["true"])).code !== 0) return console.log("skipped: strace may not trace");
    const fault = ["-D", "-f", "-qq", "-P", path, "-o", "/dev/null", "-e", "inject=read:error=EIO:when=4+"];
    const argv = ["strace", ...fault, ...denoRun("servers/files")] as const;
    await using server = await startServer("servers/files", ["--root", root.path], { argv });
    using wire = await Wire.to(server);
    assertEquals((await wire.ask("DOWNLOAD a")).code, 150);
    const body = await wire.rest();
    assert(body.length > 0 && body.length < content.length, `${body.length} bytes came`);
    assertEquals(sha256(body), sha256(content.subarray(0, body.length)));
    await server.logged("Cannot send the file: input/output error");
  },
);

/** The calls whose order makes a file durable, and those that tell of it. */
const CALLS = "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat,write,sendto";

/** A program whose calls are in the file `log` when it has ended. */
function traced(path: ProgramPath, log: string): { argv: [string, ...string[]] } {
  return { argv: ["strace", "-D", "-f", "-y", "-s", "20", "-e", CALLS, "-o", log, ...denoRun(path)] };
}

/** Asserts that calls that match stand in the log in this order, the last one of each kind. */
async function assertOrder(log: string, calls: readonly RegExp[]): Promise<void> {
  const lines = (await Deno.readTextFile(log)).split("\n");
  const places = calls.map((call) => lines.findLastIndex((line) => call.test(line)));
  assert(!places.includes(-1), `${places}`);
  assertEquals(places, places.toSorted((a, b) => a - b), lines.filter((_, i) => places.includes(i)).join("\n"));
}

testWith(
  ["strace"],
  "files: a file is on the disk before it has its name, and has it before anybody is told",
  async () => {
    await using root = new TestFolder();
    await using client = new Client();
    const log = client.path("log");
    if ((await runTool("strace", ["-o", log, "true"])).code !== 0) return console.log("skipped: strace may not trace");
    const path = await client.folder.write("a", noise(MIB));
    {
      await using server = await startServer("servers/files", ["--root", root.path], traced("servers/files", log));
      assertEquals((await client.run(server, "put", path)).code, 0);
    }
    const folder = (path: string) => new RegExp(`fsync.*<${path}>`);
    await assertOrder(log, [/fsync.*\.part>/, /rename.*\.part", .*\/a"/, folder(root.path), /"226 stored/]);
    await using server = await startServer("servers/files", ["--root", root.path]);
    const args = [server.hostname, `${server.port}`, "get", "a", client.path("b"), "--owner", client.path("owner")];
    const { code, stderr } = await run("clients/files", args, traced("clients/files", log));
    assertEquals(code, 0, stderr);
    await assertOrder(log, [
      /fsync.*\.download>/,
      /link.*\.download", .*\/b"/,
      folder(client.folder.path),
      /"a: 1048576 /,
    ]);
  },
);

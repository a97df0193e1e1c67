/**
 * The files client: its commands, its prompt, and what it asks the user.
 * @module
 */
import { assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { type Output, ROOT, run, testWith } from "../harness.ts";
import { type Fault, FaultProxy } from "./fault_proxy.ts";
import { FileServer, noise, sha256 } from "./files_wire.ts";
import type { Target } from "./hostile.ts";

const folder = new TestFolder();
Deno.test.afterAll(() => folder[Symbol.asyncDispose]());
const OWNER = ["--owner", `${folder.path}/owner`];

function client({ hostname, port }: Target, args: readonly string[], stdin = ""): Promise<Output> {
  return run("clients/files", [hostname, `${port}`, ...args, ...OWNER], { stdin });
}

Deno.test("clients/files: ls, stat, hash, echo, time", async () => {
  await using server = await FileServer.start();
  await server.folder.write("two words", "hello");
  const ask = async (...args: string[]) => {
    const { code, stdout, stderr } = await client(server.process, args);
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    return stdout.trimEnd();
  };
  assertEquals(await ask("echo", "two  blanks", "ü"), "two  blanks ü");
  assertMatch(await ask("time"), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assertMatch(await ask("ls"), /^ +5 {2}\d{4}-\S+ {2}two words$/);
  const digest = sha256(new TextEncoder().encode("hello"));
  assertEquals(await ask("hash", "two words"), `${digest}  two words`);
  assertEquals(await ask("stat", "two words"), "two words: complete, 5 bytes");
});

Deno.test("clients/files: the command that starts the server has the option that it needs", async () => {
  const { stderr } = await client({ hostname: "127.0.0.1", port: 1 }, ["ls"]);
  assertStringIncludes(stderr, "servers/files.ts --root DIR --port 1)\n");
});

Deno.test("clients/files: of a server that says nothing one line tells what was waited for, exit code 1", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { code, stderr } = await client(silent.addr, ["ls", "--timeout", "200ms"]);
  assertEquals([code, stderr], [1, "files: wait for the greeting: no byte has moved for 200 ms\n"]);
});

Deno.test("clients/files: several files; what fails does not end the others, exit code 1", async () => {
  await using server = await FileServer.start();
  const [a, b] = [await folder.write("a", "1"), await folder.write("b", "2")];
  const { code, stdout, stderr } = await client(server.process, ["mput", a, `${folder.path}/nope`, b]);
  assertEquals(code, 1);
  assertEquals(server.files(), ["a", "b"]);
  assertEquals(stdout.trimEnd().split("\n").length, 2);
  assertMatch(stderr, /^files: read .*nope: [^\n]+\n$/);
});

const UNREADABLE = "/sys/class/net/lo/speed"; // Linux opens it, and reads no byte of it

Deno.test({
  name: "clients/files: a file that the disk does not give ends its upload at once, and its name is told",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using server = await FileServer.start();
    const { hostname, port } = server.process;
    for (const flags of [[], ["--no-verify"]]) {
      const args = [hostname, `${port}`, "put", UNREADABLE, "--timeout", "0", ...OWNER, ...flags];
      const { code, stderr } = await run("clients/files", args, { permissions: ["-A"] }); // nobody is trusted with less there
      assertEquals([code, stderr], [1, `files: read ${UNREADABLE}: invalid argument\n`]);
    }
    const a = await folder.write("after", "1");
    assertEquals((await client(server.process, ["put", a])).code, 0);
  },
});

Deno.test("clients/files: put and get take another name, mput and mget several files", async () => {
  await using server = await FileServer.start();
  await using place = new TestFolder();
  const [a, b] = [await place.write("a", "1"), await place.write("b", "22")];
  const ask = async (...args: string[]) => {
    const output = await client(server.process, args);
    assertEquals(output.code, 0, output.stderr);
    return output.stdout.trimEnd().split("\n").map((line) => line.split(":", 1)[0]);
  };
  assertEquals(await ask("put", a, "c"), ["c"]);
  assertEquals(await ask("put", a), ["a"]);
  assertEquals(await ask("mput", a, b), ["a", "b"]);
  assertEquals(server.files(), ["a", "b", "c"]);
  assertEquals(await ask("get", "c", `${place.path}/d`), ["c"]);
  assertEquals(Deno.readTextFileSync(`${place.path}/d`), "1");
  const there = { cwd: place.path, argv: [Deno.execPath(), "run", "-A", `${ROOT}clients/files.ts`] } as const;
  await Promise.all(["a", "b"].map((name) => Deno.remove(`${place.path}/${name}`)));
  const { hostname, port } = server.process;
  const several = await run("clients/files", [hostname, `${port}`, "mget", "a", "nope", "b", ...OWNER], there);
  assertEquals([several.code, Deno.readTextFileSync(`${place.path}/b`)], [1, "22"], several.stderr);
  for (const verb of ["put", "get"]) {
    const { code, stderr } = await client(server.process, [verb, "a", "b", "c"]);
    assertEquals(code, 2);
    assertMatch(
      stderr,
      new RegExp(`^files: ${verb} is used otherwise: [^\\n]+ \\(several files: m${verb} [^\\n]+\\)\\n$`),
    );
  }
});

Deno.test("clients/files: --json prints one object a line, for every command", async () => {
  await using server = await FileServer.start();
  await using place = new TestFolder();
  const path = await place.write("a", "hello");
  const digest = sha256(new TextEncoder().encode("hello"));
  const ask = async (...args: string[]) => {
    const { code, stdout, stderr } = await client(server.process, [...args, "--json"]);
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    return stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  };
  const transfer = {
    command: "put",
    file: path,
    name: "a",
    size: 5,
    sha256: digest,
    alreadyThere: false,
    moved: 5,
    breaks: 0,
    resumedFrom: 0,
  };
  const [{ seconds, totalSeconds, ...put }] = await ask("put", path);
  assertEquals(put, transfer);
  assertEquals([seconds > 0, totalSeconds >= seconds], [true, true]);
  const [again] = await ask("put", path);
  assertEquals([again.alreadyThere, again.moved, again.sha256, again.resumedFrom], [true, 0, digest, 5]);
  const [unverified] = await ask("put", path, "b", "--no-verify");
  assertEquals(unverified.sha256, null);
  const got = `${place.path}/got`;
  const [{ seconds: _1, totalSeconds: _2, ...get }] = await ask("get", "a", got);
  assertEquals(get, { ...transfer, command: "get", file: got });
  const [{ changed, ...listed }, other] = await ask("ls");
  assertEquals(listed, { name: "a", size: 5, sha256: digest });
  assertEquals([new Date(changed).toISOString(), other.name], [changed, "b"]);
  assertEquals(await ask("stat", "a"), [{ name: "a", complete: true, size: 5, sha256: digest }]);
  assertEquals(await ask("hash", "a", "0"), [{ name: "a", bytes: 0, sha256: sha256(new Uint8Array()) }]);
  assertEquals(await ask("echo", "a", "b"), [{ text: "a b" }]);
  assertEquals(Object.keys((await ask("time"))[0]), ["time"]);
});

Deno.test("clients/files: a command on a link that is lost is said once more on a new one, not for ever", async () => {
  await using server = await FileServer.start();
  const cut: Fault = { side: "client", after: "ECHO one\r\n".length, kind: "cut" };
  using once = new FaultProxy(() => server.process, [cut]);
  const { code, stdout, stderr } = await client(once, ["echo", "one"]);
  assertEquals([code, stdout, once.connections], [0, "one\n", 2], stderr);
  using always = new FaultProxy(() => server.process, Array(9).fill(cut));
  const lost = await client(always, ["echo", "one"]);
  assertEquals([lost.code, lost.stdout, always.connections], [1, "", 2]);
});

Deno.test("clients/files: refusals of the server are one line, exit code 1", async () => {
  await using server = await FileServer.start();
  const file = await folder.write("c", "1");
  for (const args of [["get", "nope", `${folder.path}/d`], ["put", file, "../up"], ["stat", "nope"]]) {
    const { code, stderr } = await client(server.process, args);
    assertEquals(code, 1, stderr);
    assertMatch(stderr, /^files: the server says: 55[03] [^\n]+\n$/);
  }
  const outside = await client(server.process, ["get", "../../etc/passwd"]);
  assertEquals(outside.code, 2, outside.stderr);
});

Deno.test("clients/files: a file whose name has a line end in it is no command to the server", async () => {
  await using server = await FileServer.start();
  await using place = new TestFolder();
  const [odd, plain] = [await place.write("x\nUPLOAD y 0", "1"), await place.write("plain", "2")];
  const { code, stderr } = await client(server.process, ["mput", odd, plain]);
  assertEquals([code, server.files()], [1, ["plain"]]);
  assertMatch(stderr, /^files: Cannot say "x\\nUPLOAD y 0" in a line: it has control characters\n$/);
  const echo = await client(server.process, ["echo", "one\nTIME"]);
  assertEquals([echo.code, echo.stdout], [1, ""]);
});

Deno.test("clients/files: commands from a pipe and from -m: the first failure is the end", async () => {
  await using server = await FileServer.start();
  const piped = await client(server.process, [], 'echo one\n\nhelp\necho "two"\nquit\necho three\n');
  assertEquals(piped.code, 0, piped.stderr);
  assertMatch(piped.stdout, /^one\nput FILE[^]*\ntwo\n$/);
  const wrong = await client(server.process, ["-m", "echo one", "-m", "nope", "-m", "echo two"]);
  assertEquals([wrong.code, wrong.stdout], [2, "one\n"]);
  assertStringIncludes(wrong.stderr, 'unknown command "nope"');
});

Deno.test("clients/files: rm-partial removes what was kept, with the owner's secret only", async () => {
  await using server = await FileServer.start();
  const file = await folder.write("e", noise(6 * 2 ** 20));
  const early: Fault = { side: "server", after: 10, kind: "cut" };
  using proxy = new FaultProxy(() => server.process, [
    { side: "client", after: 3 * 2 ** 20, kind: "cut" },
    ...Array(10).fill(early),
  ]);
  const second = await folder.write("second", "1");
  const broken = await client(proxy, ["mput", file, second]);
  assertEquals([broken.code, broken.stderr.includes("second")], [75, false]); // it is not begun
  const stat = await client(server.process, ["stat", "e"]);
  assertMatch(stat.stdout, /^e: partial, \d+ of 6291456 bytes$/m);
  const stranger = ["--owner", `${folder.path}/stranger`];
  const args = ["127.0.0.1", `${server.process.port}`, "rm-partial", "e", ...stranger];
  assertEquals((await run("clients/files", args)).code, 1);
  assertEquals((await client(server.process, ["rm-partial", "e"])).stdout, "e: removed on the server\n");
  assertEquals(server.files(), []);
});

testWith(["root", "mount"], "clients/files: a full disk here keeps what has come, exit code 75", async () => {
  await using server = await FileServer.start();
  await server.folder.write("f", noise(2 ** 20));
  await using small = new TestFolder();
  const mount = await new Deno.Command("mount", { args: ["-t", "tmpfs", "-o", "size=512k", "tmpfs", small.path] })
    .output();
  assertEquals(mount.success, true);
  try {
    const { code, stderr } = await client(server.process, ["get", "f", `${small.path}/f`]);
    assertEquals(code, 75, stderr);
    assertStringIncludes(stderr, "no space left");
    await new Deno.Command("mount", { args: ["-o", "remount,size=4m", small.path] }).output();
    const again = await client(server.process, ["get", "f", `${small.path}/f`]);
    assertEquals(again.code, 0, again.stderr);
    assertMatch(again.stdout, /resumed from [1-9]/);
  } finally {
    await new Deno.Command("umount", { args: [small.path] }).output();
  }
});

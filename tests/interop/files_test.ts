/**
 * The file server and clients that are not ours: nc, telnet, socat, curl's telnet, nmap, ss, and Python from the page alone.
 * @module
 */
import { PROGRAMS } from "../../lib/programs.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { FileServer, noise } from "../e2e/files_wire.ts";
import { TestFolder } from "../folder.ts";
import { type Output, ROOT, runTool, startTool, testWith } from "../harness.ts";
import { Screen } from "../screen.ts";

const PEER = "tests/interop/peers/files.py";
const DOC = await Deno.readTextFile(`${ROOT}docs/protocols/files.md`);
const CONTENT = noise(1_000_003);

/** The commands of the page's section, as written but for the port. */
function commands(port: number): string[] {
  const [, block = ""] = /```sh\n([^`]*)```/.exec(DOC) ?? [];
  const port9008 = `${PROGRAMS["servers/files"].port}`;
  return block.trimEnd().split("\n").map((line) => line.replaceAll(port9008, `${port}`).replace(/ +# .*$/, ""));
}

/** Runs a shell command with variables. */
async function shell(command: string, variables: Record<string, string | number>, folder: string): Promise<Output> {
  const sets = Object.entries(variables).map(([name, value]) => `${name}='${value}'`).join("; ");
  return await runTool("sh", ["-c", `cd '${folder}' && ${sets}; ${command}`]);
}

testWith(["nc", "awk"], "docs/protocols/files.md: each command with nc does what it says", async () => {
  await using server = await FileServer.start("-q");
  await using here = new TestFolder();
  const [upload, ask, resume, download, resumeDownload, framed, ...rest] = commands(server.process.port);
  assertEquals(rest, []);
  const variables = { F: "f.bin", S: CONTENT.length };
  const sh = (command: string, more: Record<string, string | number> = {}) =>
    shell(command, { ...variables, ...more }, here.path);
  const out = () => Deno.readFile(`${here.path}/out`);
  await here.write("f.bin", CONTENT);
  assertMatch((await sh(upload!)).stdout, /^220 .*\r\n(110 .*\r\n)*226 stored 1000003 .*\r\n221 bye\r\n$/);
  assertEquals(server.read("f.bin"), CONTENT);
  await sh(download!);
  assertEquals(await out(), CONTENT);
  await Deno.truncate(`${here.path}/out`, 400_000);
  await sh(resumeDownload!);
  assertEquals(await out(), CONTENT);
  await sh(framed!);
  assertEquals(await out(), CONTENT);
  Deno.removeSync(`${server.folder.path}/f.bin`);
  await sh(upload!.replace("cat $F", "head -c 400000 $F").replace(" echo QUIT;", "").replace("nc ", "nc -N "));
  const offset = (await sh(ask!)).stdout.trim();
  assertEquals(offset, "400000");
  assertMatch((await sh(resume!, { O: offset })).stdout, /\r\n226 stored 1000003 /);
  assertEquals(server.read("f.bin"), CONTENT);
});

testWith(["nc"], "docs/protocols/files.md: its first talk is what happens", async () => {
  await using server = await FileServer.start("-q");
  const [, command = "", expected = ""] = /```console\n\$ (.*)\n([^`]*)```/.exec(DOC) ?? [];
  const { stdout } = await runTool("sh", ["-c", command.replace("9008", `${server.process.port}`)]);
  const withoutRate = (text: string) => text.replaceAll(/ [\d.]+ Mbit\/s [\d.]+ s/g, "").replaceAll("\r", "");
  assertEquals(withoutRate(stdout), withoutRate(expected));
});

testWith(["python3"], "files: a client in Python, made from the page: both ways, broken off and gone on", async () => {
  await using server = await FileServer.start("-q");
  await using here = new TestFolder();
  const source = await here.write("source", CONTENT);
  const python = (...args: string[]) => runTool("python3", [PEER, `${server.process.port}`, ...args]);
  const cut = await python("upload", source, "отчёт 1", "--cut", "300000");
  assertEquals([cut.code, cut.stdout], [75, "from 0\n"], cut.stderr);
  const whole = await python("upload", source, "отчёт 1");
  assertEquals([whole.code, whole.stdout], [0, "from 300000\nstored\n"], whole.stderr);
  assertEquals(server.read("отчёт 1"), CONTENT);
  const again = await python("upload", source, "отчёт 1");
  assertStringIncludes(again.stderr, "555 ");
  const target = `${here.path}/target`;
  const half = await python("download", "отчёт 1", target, "--cut", "500000");
  assertEquals([half.code, half.stdout], [75, "from 0\n"], half.stderr);
  const rest = await python("download", "отчёт 1", target);
  assertEquals([rest.code, rest.stdout], [0, "from 500000\nfetched\n"], rest.stderr);
  assertEquals(await Deno.readFile(target), CONTENT);
  const said = await python("say", "ECHO hi", "LIST", "quit");
  assertMatch(said.stdout, /^200 hi\n1000003 .* "отчёт 1"\n212 1 files\n221 bye\n$/);
});

testWith(["telnet"], "files: telnet: every command, and an end that it understands", async () => {
  await using server = await FileServer.start();
  await server.folder.write("a", "hello\n");
  await using telnet = startTool("telnet", ["127.0.0.1", `${server.process.port}`]);
  await telnet.printed("220 netlab files");
  for (
    const [line, answer] of [["echo hi", "200 hi"], ["LIST", "212 1 files"], ["STAT a", "213 complete 6"], [
      "download a",
      "226 sent 6",
    ]] as const
  ) {
    await telnet.type(`${line}\n`);
    await telnet.printed(answer);
  }
  assert(telnet.stdout.all.includes("hello"));
  await telnet.type("quit\n");
  await telnet.printed("221 bye");
  await telnet.logged("Connection closed by foreign host");
  await telnet.stop();
});

testWith(["telnet", "python3"], "files: telnet in a terminal shows what comes after Ctrl-C", async () => {
  await using server = await FileServer.start();
  await using telnet = new Screen("telnet", "127.0.0.1", `${server.process.port}`);
  await telnet.find(/220 netlab files/);
  await telnet.type("echo before\r");
  await telnet.find(/200 before/);
  await telnet.type("\x03"); // telnet shows nothing until its TIMING-MARK is answered
  await telnet.type("echo after\r");
  await telnet.find(/200 after/);
  await telnet.type("quit\r");
  await telnet.find(/221 bye/);
});

testWith(["socat"], "files: socat with line ends of its own", async () => {
  await using server = await FileServer.start("-q");
  const address = `TCP:127.0.0.1:${server.process.port},crlf`;
  const { stdout } = await runTool("socat", ["-t5", "-", address], "ECHO hi\nQUIT\n");
  assertMatch(stdout, /^220 .*\n200 hi\n221 bye\n$/);
});

testWith(["nmap"], "files: nmap sees the open port", async () => {
  await using server = await FileServer.start("-q");
  const { stdout } = await runTool("nmap", ["-Pn", "-p", `${server.process.port}`, "127.0.0.1"]);
  assertMatch(stdout, new RegExp(`^${server.process.port}/tcp\\s+open`, "m"));
});

testWith(["ss"], "files: ss sees the listening socket and the connection", async () => {
  await using server = await FileServer.start("-q");
  using _wire = await server.connect();
  const { stdout } = await runTool("ss", ["-tan", `sport = :${server.process.port}`]);
  assertMatch(stdout, /LISTEN/);
  assertMatch(stdout, /ESTAB/);
});

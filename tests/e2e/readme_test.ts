import { type ProgramPath, PROGRAMS, runCommand } from "../../lib/programs.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { ROOT, run, runTool, startServer, startTool, testWith } from "../harness.ts";

interface Row {
  readonly path: ProgramPath;
  readonly idea: string;
  /** What "run it" shows. */
  readonly command: string;
  /** What "talk to it" shows, if anything. */
  readonly talk: string;
}

const README = await Deno.readTextFile(`${ROOT}README.md`);
const ROWS: Row[] = README.split("\n").filter((line) => line.startsWith("| [`")).map((line) => {
  const [, script, idea, command, talk] = line.replaceAll("\\|", "\0").split("|").map((cell) =>
    cell.trim().replaceAll("\0", "|")
  );
  const code = (cell: string) => /^`(.*)`$/.exec(cell)?.[1] ?? "";
  return {
    path: /`(.*)`/.exec(script!)![1] as ProgramPath,
    idea: idea!.replaceAll("`", ""),
    command: code(command!),
    talk: code(talk!),
  };
});

Deno.test("README: the table has every program, with its idea and its command", () => {
  assertEquals(ROWS.map(({ path }) => path).toSorted(), Object.keys(PROGRAMS).toSorted() as ProgramPath[]);
  for (const { path, idea, command } of ROWS) {
    assertEquals(idea, PROGRAMS[path].idea);
    assert(command === runCommand(path) || command.startsWith(`${runCommand(path)} `), command);
  }
});

/** The line of the README, outside the table, that begins like this. */
function lineOf(beginning: string): string {
  return README.split("\n").find((line) => line.startsWith(beginning))!;
}

for (const { path, talk, command } of ROWS.filter(({ talk }) => talk.includes("| nc"))) {
  testWith(["nc"], `README: ${path} answers ${talk}`, async () => {
    await using target = await startServer("servers/tcp_echo");
    await using folder = new TestFolder();
    const places: Record<string, string> = { "127.0.0.1:9001": `127.0.0.1:${target.port}`, shared: folder.path };
    const args = argumentsOf(path, command).map((arg) => places[arg] ?? arg);
    if (path === "servers/jim") args.push("--db", ":memory:");
    await using server = await startServer(path, args);
    const { code, stdout } = await runTool("sh", ["-c", talk.replace(`${PROGRAMS[path].port}`, `${server.port}`)]);
    assertEquals(code, 0);
    assertStringIncludes(stdout, talk.includes("hello") ? "hello" : '"goodbye"');
  });
}

/** What follows the script's name in its command. */
function argumentsOf(path: ProgramPath, command: string): string[] {
  return command.slice(runCommand(path).length).split(" ").filter((arg) => arg !== "");
}

for (const { path, command } of ROWS.filter(({ command }) => command.includes(" -m "))) {
  Deno.test(`README: ${command} gets its answer`, async () => {
    await using folder = new TestFolder();
    const options = { env: { XDG_CONFIG_HOME: folder.path } };
    const serverPath = path.replace("clients/", "servers/") as ProgramPath;
    const { command: serverCommand } = ROWS.find(({ path }) => path === serverPath)!;
    await using server = await startServer(serverPath, argumentsOf(serverPath, serverCommand), options);
    const args = argumentsOf(path, command);
    const { code, stdout } = await run(path, [server.hostname, `${server.port}`, ...args], options);
    assertEquals(code, 0);
    assertEquals(stdout.trimEnd().split("\n"), args.filter((_, i) => args[i - 1] === "-m"));
  });
}

testWith(["openssl"], "README: hmac_auth takes the secret that is made as it says, on both sides", async () => {
  await using folder = new TestFolder();
  const made = await runTool("sh", ["-c", `cd '${folder.path}' && ${lineOf("(umask 077;")}`]);
  assertEquals(made.code, 0, made.stderr);
  const [serverRow, clientRow] = ROWS.filter(({ command }) => command.endsWith("--secret-file secret.key"));
  const secret = (row: Row) => argumentsOf(row.path, row.command).with(1, `${folder.path}/secret.key`);
  await using server = await startServer(serverRow!.path, secret(serverRow!));
  const args = [server.hostname, `${server.port}`, ...secret(clientRow!), "-m", "hello"];
  const { code, stdout } = await run(clientRow!.path, args);
  assertEquals([code, stdout], [0, "welcome\nhello\n"]);
});

Deno.test("README: what the client of files puts is there", async () => {
  await using folder = new TestFolder();
  await using config = new TestFolder();
  await using server = await startServer("servers/files", ["--root", folder.path]);
  const { path, command } = ROWS.find(({ path }) => path === "clients/files")!;
  const args = [server.hostname, `${server.port}`, ...argumentsOf(path, command)];
  const { code } = await run(path, args, { env: { XDG_CONFIG_HOME: config.path } });
  assertEquals(code, 0);
  assertEquals(await Deno.readTextFile(`${folder.path}/README.md`), README);
});

Deno.test("README: the library can be imported as it says", async () => {
  await using folder = new TestFolder();
  await Deno.writeTextFile(`${folder.path}/deno.json`, lineOf('{ "links"').replace("../netlab", ROOT));
  const program = 'import { encodeFrame } from "@netlab/netlab"; console.log(encodeFrame(Uint8Array.of(7)).toHex());';
  await Deno.writeTextFile(`${folder.path}/main.ts`, program);
  const { code, stdout, stderr } = await runTool(Deno.execPath(), ["run", "--check", `${folder.path}/main.ts`]);
  assertEquals([code, stdout], [0, "0000000107\n"], stderr);
});

testWith(["python3"], "README: its web server knows what .ts is", async () => {
  const [, script] = /'(.*)'/.exec(lineOf("python3 -c"))!;
  await using site = startTool("python3", ["-u", "-c", script!.replace("test(S", "test(S, port=0")]);
  const [, url] = /\((http:.*?)\/?\)/.exec(await site.printed(/^Serving HTTP/))!;
  const response = await fetch(`${url}/servers/tcp_echo.ts`);
  await response.body?.cancel();
  await site.stop("SIGINT");
  assertEquals(response.headers.get("content-type"), "application/typescript");
});

import config from "../../deno.json" with { type: "json" };
import { type Program, type ProgramPath, PROGRAMS } from "../../lib/programs.ts";
import { executableName } from "../../scripts/compile.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { exchange, exchangeName, EXCHANGES } from "../exchanges.ts";
import { inTime, type Output, ROOT, run, type RunOptions, runTool, startServer } from "../harness.ts";

const PATHS = Object.keys(PROGRAMS) as ProgramPath[];

async function compile(args: string[], env: Record<string, string> = {}, checkout = ROOT): Promise<Output> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "-R", "-W", "-E", "--allow-run", `${checkout}scripts/compile.ts`, ...args],
    cwd: checkout,
    env: { NO_COLOR: "1", ...env },
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** How a program of `folder` is run: in an empty folder, with an empty environment. */
function launcher(folder: TestFolder, cwd: TestFolder): (path: ProgramPath) => RunOptions {
  return (path) => ({ argv: [`${folder.path}/${executableName(path)}`], cwd: cwd.path, clearEnv: true });
}

Deno.test("compile --format self-extracting: every program is one file that needs neither Deno nor an environment", async (t) => {
  await using dist = new TestFolder();
  await using empty = new TestFolder();
  const built = await compile(["--format", "self-extracting", "--output", dist.path]);
  assertEquals(built.code, 0, built.stderr);
  const launch = launcher(dist, empty);

  await t.step("SHA256SUMS holds for all of them", async () => {
    const { code, stdout } = await runTool("sh", ["-c", `cd "${dist.path}" && sha256sum -c SHA256SUMS`]);
    assertEquals([code, stdout.trim().split("\n").length], [0, PATHS.length]);
  });
  for (const path of PATHS) {
    await t.step(`${executableName(path)} prints its --version and --help`, async () => {
      const version = await run(path, ["--version"], launch(path));
      assertEquals(version.stdout, `${path.split("/")[1]} ${config.version}\n`);
      const help = await run(path, ["--help"], launch(path));
      assertEquals([help.code, help.stderr], [0, ""]);
      assertStringIncludes(help.stdout, PROGRAMS[path].idea);
    });
  }
  for (const each of EXCHANGES) {
    await t.step(
      `${exchangeName(each)}: they do their job`,
      () => exchange(launch, each),
    );
  }
  for (const path of PATHS) {
    await t.step(`${executableName(path)} starts with exactly its permissions`, async () => {
      const { stdout } = await runTool("head", ["-c", "4000", `${dist.path}/${executableName(path)}`]);
      const { permissions, secure = permissions, unstableNet }: Program = PROGRAMS[path];
      const flags = [...(unstableNet ? ["--unstable-net"] : []), ...secure].join(" ");
      assertStringIncludes(stdout, `--no-npm \\\n  ${flags} "$cache/$program/main.js" "$@"\n`);
    });
  }
});

Deno.test("compile: the checkout may be in a folder whose name no URL has as it is", async () => {
  await using folder = new TestFolder();
  const checkout = `${folder.path}/100% my läb/`;
  await Deno.symlink(ROOT, checkout.slice(0, -1));
  const args = ["servers/tcp_echo", "--format", "self-extracting", "--output", folder.path];
  const { code, stderr } = await compile(args, {}, checkout);
  assertEquals([code, stderr], [0, ""]);
});

Deno.test("a self-extracting program: first starts, damaged and missing caches", async (t) => {
  await using dist = new TestFolder();
  await using empty = new TestFolder();
  await using home = new TestFolder();
  assertEquals((await compile(["servers/tcp_echo", "--format", "self-extracting", "--output", dist.path])).code, 0);
  const version = (env: Record<string, string>) =>
    run("servers/tcp_echo", ["--version"], { ...launcher(dist, empty)("servers/tcp_echo"), env });
  const works = { code: 0, stdout: `tcp_echo ${config.version}\n`, stderr: "" };
  const cache = `${home.path}/.cache/netlab`;
  const runtime = async () => {
    for await (const { name } of Deno.readDir(cache)) if (/^deno-[0-9a-f]{16}$/.test(name)) return `${cache}/${name}`;
    throw new Error("no runtime in the cache");
  };

  await t.step("four first starts at the same time", async () => {
    const starts = Array.from({ length: 4 }, () => version({ HOME: home.path }));
    assertEquals(await Promise.all(starts), [works, works, works, works]);
    const names = Array.from(Deno.readDirSync(cache), ({ name }) => name);
    assertEquals(names.filter((name) => /\.\d+$/.test(name)), [], "nothing half done is left");
  });
  await t.step("the program makes files as its user wants them, and only the cache is private", async () => {
    const files = ["servers/files", "--format", "self-extracting", "--output", dist.path];
    assertEquals((await compile(files)).code, 0);
    const argv = ["sh", "-c", 'umask 022 && exec "$@"', "sh", `${dist.path}/files`] as const;
    const options = { argv, env: { HOME: home.path }, clearEnv: true };
    await Deno.mkdir(`${home.path}/shared`);
    await using server = await startServer("servers/files", ["--root", `${home.path}/shared`], options);
    using conn = await server.connect();
    await conn.write(new TextEncoder().encode("UPLOAD a.txt 5\nhelloQUIT\n"));
    const replies = await inTime(new Response(conn.readable).text(), "the server's replies");
    assertStringIncludes(replies, "226 stored 5");
    const modeOf = async (path: string) => (await Deno.stat(path)).mode! & 0o777;
    assertEquals([await modeOf(`${home.path}/shared/a.txt`), await modeOf(cache)], [0o644, 0o700]);
  });
  await t.step("a cut runtime and a changed program are unpacked anew", async () => {
    const file = await runtime();
    await Deno.chmod(file, 0o700);
    await Deno.truncate(file, 1000);
    assertEquals(await version({ HOME: home.path }), works);
    for await (const { name } of Deno.readDir(cache)) {
      if (!name.startsWith("tcp_echo-")) continue;
      await Deno.chmod(`${cache}/${name}/main.js`, 0o700);
      await Deno.writeTextFile(`${cache}/${name}/main.js`, "console.log('changed')");
    }
    assertEquals(await version({ HOME: home.path }), works);
  });
  await t.step(
    "XDG_CACHE_HOME comes first; without HOME, or where it cannot be written, the temporary folder",
    async () => {
      await using other = new TestFolder();
      assertEquals(await version({ HOME: home.path, XDG_CACHE_HOME: other.path }), works);
      assert((await Deno.stat(`${other.path}/netlab`)).isDirectory);
      assertEquals(await version({ TMPDIR: other.path }), works);
      assertEquals(await version({ HOME: "/proc", TMPDIR: other.path }), works);
    },
  );
  await t.step("a cache folder that others prepared is not used", async () => {
    await using other = new TestFolder();
    const id = (await runTool("id", ["-u"])).stdout.trim();
    await Deno.symlink(home.path, `${other.path}/netlab-${id}`);
    const { code, stderr } = await version({ HOME: "/proc", TMPDIR: other.path });
    assertEquals(code, 1);
    assertMatch(stderr, /^tcp_echo: unpack into a cache folder: none can be written .*\n$/);
  });
  await t.step("nowhere to unpack: one clear line", async () => {
    const { code, stdout, stderr } = await version({ HOME: "/proc", TMPDIR: "/proc" });
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /^tcp_echo: unpack into a cache folder: none can be written .*\n$/);
  });
});

Deno.test({
  name: "a self-extracting program: a full or read-only cache folder is one clear line" +
    (isRoot() ? "" : " (skipped: mounting a small file system needs root)"),
  ignore: !isRoot(),
  async fn() {
    await using dist = new TestFolder();
    await using small = new TestFolder();
    assertEquals((await compile(["servers/tcp_echo", "--format", "self-extracting", "--output", dist.path])).code, 0);
    assertEquals((await runTool("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", small.path])).code, 0);
    try {
      const version = (env: Record<string, string>) =>
        run("servers/tcp_echo", ["--version"], { ...launcher(dist, small)("servers/tcp_echo"), env });
      const { code, stderr } = await version({ HOME: small.path, TMPDIR: small.path });
      assertEquals(code, 1);
      assertMatch(stderr, /^tcp_echo: unpack into a cache folder: none can be written \(is the disk full\?.*\n$/);
      assertEquals((await runTool("mount", ["-o", "remount,ro", small.path])).code, 0);
      assertEquals((await version({ HOME: small.path, TMPDIR: small.path })).stderr, stderr);
      await using other = new TestFolder();
      assertEquals((await version({ HOME: small.path, TMPDIR: other.path })).code, 0, "there is another folder");
    } finally {
      await runTool("umount", [small.path]);
    }
  },
});

function isRoot(): boolean {
  return Deno.uid() === 0;
}

const withBase = await (async () => {
  await using dist = new TestFolder();
  const { code } = await compile(["servers/tcp_echo", "--format", "denort", "--output", dist.path]);
  return code === 0;
})();

Deno.test({
  name: "deno compile: the compiled programs do their job" +
    (withBase ? "" : " (skipped: there is no runtime base: it cannot be downloaded, and DENORT_BIN names none)"),
  ignore: !withBase,
  async fn(t) {
    await using dist = new TestFolder();
    await using empty = new TestFolder();
    const { code, stderr } = await compile(["--format", "denort", "--output", dist.path]);
    assertEquals(code, 0, stderr);
    for (const each of EXCHANGES) await t.step(exchangeName(each), () => exchange(launcher(dist, empty), each));
  },
});

// The stand-in is no runtime: what is compiled here does not run. It shows that `deno compile` takes every program, and what
// it embeds.
Deno.test("deno compile onto a stand-in base (which does not run): each program embeds what it needs and nothing else", async (t) => {
  await using dist = new TestFolder();
  const { code, stdout, stderr } = await compile(["--format", "denort", "--verbose", "--output", dist.path], {
    DENORT_BIN: "/bin/true",
  });
  assertEquals(code, 0, stderr);
  const logs = stdout.split(/^Embedded Files$/m).slice(1);
  assertEquals(logs.length, PATHS.length);
  for (const [i, path] of PATHS.entries()) {
    await t.step(path, () => {
      const { worker }: Program = PROGRAMS[path];
      const scripts = [...logs[i]!.matchAll(/(\w+)\.ts\b/g)].map(([, name]) => name!);
      for (const needed of [path, ...(worker === undefined ? [] : [worker])]) {
        assert(scripts.includes(needed.split("/")[1]!), `${needed} is missing in ${logs[i]}`);
      }
      for (const foreign of ["fast-check", "tests", "bench", "scripts/", "README"]) {
        assert(!logs[i]!.includes(foreign), `${foreign} is embedded: ${logs[i]}`);
      }
    });
  }
});

Deno.test("compile --target is passed through", async () => {
  await using dist = new TestFolder();
  const args = ["servers/tcp_echo", "--format", "denort", "--output", dist.path, "--target"];
  const base = { DENORT_BIN: "/bin/true" };
  assertEquals((await compile([...args, "aarch64-unknown-linux-gnu"], base)).code, 0);
  const unknown = await compile([...args, "pdp11"], base);
  assertEquals(unknown.code, 1);
  assertStringIncludes(unknown.stderr, "invalid value 'pdp11' for '--target'");
});

Deno.test("compile: a wrong name is refused with the names that there are", async () => {
  const { code, stderr } = await compile(["nothing"]);
  assertEquals(code, 2);
  assertMatch(stderr, /^compile: there is no program nothing \(there are tcp_echo, thread_echo, /);
  for (const args of [["--fromat", "auto"], ["--format", "zip"], ["--format", "self-extracting", "--target", "x"]]) {
    const usage = await compile(args);
    assertEquals([usage.code, usage.stdout], [2, ""]);
    assertMatch(usage.stderr, /^usage: deno task compile /);
  }
});

Deno.test({
  name: "compile --format auto: without a runtime base one line says so, and the file extracts itself" +
    (withBase ? " (skipped: there is a runtime base)" : ""),
  ignore: withBase,
  async fn() {
    await using dist = new TestFolder();
    const { code, stderr } = await compile(["servers/tcp_echo", "--output", dist.path]);
    assertEquals([code, stderr.trimEnd().split("\n").length], [0, 1], stderr);
    assertMatch(stderr, /^compile: the runtime base cannot be downloaded, and there is no \$DENORT_BIN/);
    assertEquals((await run("servers/tcp_echo", ["--version"], { argv: [`${dist.path}/tcp_echo`] })).code, 0);
    const forced = await compile(["servers/tcp_echo", "--format", "denort", "--output", dist.path]);
    assertEquals([forced.code, forced.stderr.trimEnd().split("\n").length], [1, 1], forced.stderr);
  },
});

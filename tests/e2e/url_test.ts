import type { ProgramPath } from "../../lib/programs.ts";
import { type Program, PROGRAMS } from "../../lib/programs.ts";
import { assertEquals } from "../assert.ts";
import { exchange, exchangeName, EXCHANGES } from "../exchanges.ts";
import { ROOT, run, runTool } from "../harness.ts";

/** The checkout as a web site, for programs that are run from a URL. */
function serveCheckout(): Deno.HttpServer<Deno.NetAddr> {
  const types: Record<string, string> = { ts: "application/typescript", json: "application/json" };
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const { pathname } = new URL(request.url);
    const type = types[pathname.slice(pathname.lastIndexOf(".") + 1)];
    if (type === undefined || pathname.includes("..")) return new Response("not found", { status: 404 });
    return await Deno.readFile(`${ROOT}${pathname}`).then(
      (body) => new Response(body, { headers: { "content-type": type } }),
      () => new Response("not found", { status: 404 }),
    );
  });
}

/** A Deno cache of its own that shares the npm packages of the real one. */
async function emptyCache(): Promise<string> {
  const folder = await Deno.makeTempDir();
  const { stdout } = await runTool(Deno.execPath(), ["info", "--json"]);
  await Deno.symlink(JSON.parse(stdout).npmCache, `${folder}/npm`);
  return folder;
}

/** The flags of the one-liner: those of the program, and `--unstable-net`, which no deno.json turns on here. */
function flags(path: ProgramPath, url: string): string[] {
  const { permissions, unstableNet }: Program = PROGRAMS[path];
  return ["--import-map", `${url}/deno.json`, ...(unstableNet ? ["--unstable-net"] : []), ...permissions];
}

Deno.test("from a URL: deno run --import-map URL/deno.json [flags] URL/PROGRAM.ts does each program's job", async (t) => {
  await using site = serveCheckout();
  const url = `http://127.0.0.1:${site.addr.port}`;
  const cache = await emptyCache();
  try {
    const launch = (path: ProgramPath) => ({
      argv: [Deno.execPath(), "run", "--no-prompt", "--quiet", ...flags(path, url), `${url}/${path}.ts`] as const,
      cwd: cache,
      env: { DENO_DIR: cache },
    });
    for (const each of EXCHANGES) await t.step(exchangeName(each), () => exchange(launch, each));
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
});

Deno.test("deno install -g: a program becomes a command", async () => {
  await using site = serveCheckout();
  const url = `http://127.0.0.1:${site.addr.port}`;
  const cache = await emptyCache();
  try {
    const path = "clients/tcp_echo";
    const installed = await runTool(Deno.execPath(), [
      ...["install", "--quiet", "--global", "--root", cache, "--name", "netlab-echo", ...flags(path, url)],
      `${url}/${path}.ts`,
    ]);
    assertEquals(installed.code, 0, installed.stderr);
    const { code, stdout } = await run(path, ["--version"], { argv: [`${cache}/bin/netlab-echo`], cwd: cache });
    assertEquals([code, stdout.split(" ")[0]], [0, "tcp_echo"]);
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
});

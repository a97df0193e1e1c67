/**
 * The files client with a folder of its own, and transfers in both directions.
 * @module
 */
import { partialName } from "../../lib/files/partial.ts";
import { TestFolder } from "../folder.ts";
import { type Output, run, type RunningProgram, start } from "../harness.ts";
import type { Fault } from "./fault_proxy.ts";
import type { FileServer } from "./files_wire.ts";
import type { Target } from "./hostile.ts";

/** A test for each of the subjects. */
export function testEach<Subject extends { readonly name: string }>(
  subjects: readonly Subject[],
  what: string,
  test: (subject: Subject) => Promise<void>,
): void {
  for (const subject of subjects) Deno.test(`${what}: ${subject.name}`, () => test(subject));
}

/** A client's folder, and the client in it. */
export class Client implements AsyncDisposable {
  readonly folder = new TestFolder();

  async [Symbol.asyncDispose](): Promise<void> {
    await this.folder[Symbol.asyncDispose]();
  }

  path(name: string): string {
    return `${this.folder.path}/${name}`;
  }

  #args({ hostname, port }: Target, args: readonly string[]): [string[], { env: Record<string, string> }] {
    return [[hostname, `${port}`, ...args], { env: { XDG_CONFIG_HOME: this.path("config") } }];
  }

  run(target: Target, ...args: string[]): Promise<Output> {
    return run("clients/files", ...this.#args(target, args));
  }

  start(target: Target, ...args: string[]): RunningProgram {
    return start("clients/files", ...this.#args(target, args));
  }

  /** The names in its folder. */
  files(): string[] {
    return Array.from(Deno.readDirSync(this.folder.path), ({ name }) => name).filter((name) => name !== "config")
      .sort();
  }

  read(name: string): Uint8Array {
    return Deno.readFileSync(this.path(name));
  }

  /** Where what comes of a download is kept. */
  partial(name: string, remote = name): string {
    return this.path(partialName({ name, size: 0, token: `127.0.0.1\0${remote}` }, "download"));
  }
}

/** A transfer of `content` as `a`, in one of both directions. */
export interface Way {
  readonly name: "put" | "get";
  readonly side: Fault["side"];
}
/** Both of them. */
export const WAYS: Way[] = [{ name: "put", side: "client" }, { name: "get", side: "server" }];

/** Puts the content where the transfer begins, and gives its arguments. */
export async function prepare(
  { name }: Way,
  content: Uint8Array,
  client: Client,
  server: FileServer,
): Promise<string[]> {
  if (name === "put") return ["put", await client.folder.write("a", content)];
  await server.folder.write("a", content);
  return ["get", "a", client.path("a")];
}

/** The names where the transfer ends. */
export function arrived({ name }: Way, client: Client, server: FileServer): string[] {
  return name === "put" ? server.files() : client.files();
}

/** The file that has come. */
export function readArrived({ name }: Way, client: Client, server: FileServer): Uint8Array {
  return name === "put" ? server.read("a") : client.read("a");
}

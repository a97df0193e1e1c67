/**
 * A place for a test's files.
 * @module
 */

/** A folder of a test, removed at its end. */
export class TestFolder implements AsyncDisposable {
  /** Where it is. */
  readonly path = Deno.makeTempDirSync({ prefix: "netlab " }); // with a space, as people have them

  /** Writes a file that only its owner can read, and gives its path. */
  async write(name: string, content: string | Uint8Array, mode = 0o600): Promise<string> {
    const file = `${this.path}/${name}`;
    await Deno.writeFile(file, typeof content === "string" ? new TextEncoder().encode(content) : content, { mode });
    return file;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

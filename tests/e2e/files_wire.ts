/**
 * A client of the file server that says exactly what a test wants it to say.
 * @module
 */
import { createHash } from "node:crypto";
import { encodeText } from "../../lib/bytes.ts";
import { type ReplyLine, ReplyReader } from "../../lib/files/replies.ts";
import { TcpConnection, writeAll } from "../../lib/net/tcp.ts";
import { assert, assertEquals } from "../assert.ts";
import { TestFolder } from "../folder.ts";
import { inTime, type RunningServer, startServer } from "../harness.ts";
import type { Target } from "./hostile.ts";

/** What a reply of the last line, and of any number of lines before it, says. */
export interface Reply {
  readonly code: number;
  readonly text: string;
  /** The lines before the last. */
  readonly lines: readonly string[];
}

/** A connection to a file server. */
export class Wire implements Disposable {
  readonly connection: TcpConnection;
  readonly #reader = new ReplyReader();
  readonly #buffer = new Uint8Array(2 ** 20);

  constructor(connection: TcpConnection) {
    this.connection = connection;
  }

  /** Connects, and takes the greeting. */
  static async to(target: Target): Promise<Wire> {
    const wire = new Wire(new TcpConnection(await Deno.connect({ hostname: target.hostname, port: target.port })));
    assertEquals((await wire.reply()).code, 220);
    return wire;
  }

  [Symbol.dispose](): void {
    this.connection.close();
  }

  /** Sends text or bytes as they are. */
  async send(...parts: (string | Uint8Array)[]): Promise<void> {
    const bytes = parts.map((part) => typeof part === "string" ? encodeText(part) : part);
    const sending = async () => {
      for (const part of bytes) await writeAll(this.connection, part);
    };
    await inTime(sending(), "the server to take what is sent");
  }

  /** Sends a line and resolves to the reply. */
  async ask(line: string): Promise<Reply> {
    await this.send(`${line}\r\n`);
    return await this.reply();
  }

  /** The next line of a reply. */
  async line(): Promise<ReplyLine> {
    for (let line;;) {
      if ((line = this.#reader.next()) !== undefined) return line;
      assert(await this.#fill(), "the server has closed the connection");
    }
  }

  /** The next reply, past those that only tell how things go. */
  async reply(): Promise<Reply> {
    for (const lines: string[] = [];;) {
      const { code, text, more } = await this.line();
      if (code === 102 || code === 110) continue;
      if (!more) return { code, text, lines };
      lines.push(text);
    }
  }

  /** So many bytes of a body. */
  async body(count: number): Promise<Uint8Array> {
    const body = new Uint8Array(count);
    for (let filled = 0; filled < count;) {
      const bytes = this.#reader.takeBody(count - filled);
      body.set(bytes, filled);
      filled += bytes.length;
      if (bytes.length === 0) assert(await this.#fill(), `the server has closed the connection after ${filled} bytes`);
    }
    return body;
  }

  /** All that comes until the server closes the connection. */
  async rest(): Promise<Uint8Array> {
    while (await this.#fill());
    return this.#reader.takeBody(Infinity);
  }

  /** Resolves when the server has closed the connection and said nothing more. */
  async ended(): Promise<void> {
    const rest = await this.rest();
    assertEquals(new TextDecoder().decode(rest), "");
  }

  async #fill(): Promise<boolean> {
    const reset = (error: unknown) => {
      if (error instanceof Deno.errors.ConnectionReset) return null;
      throw error;
    };
    const count = await inTime(this.connection.read(this.#buffer).catch(reset), "the server");
    if (count !== null) this.#reader.receive(this.#buffer.subarray(0, count));
    return count !== null;
  }

  /** Asserts that the server still understands: the next command is the next command. */
  async assertInStep(): Promise<void> {
    assertEquals(await this.ask("ECHO in step"), { code: 200, text: "in step", lines: [] });
  }
}

/** A server with a folder of its own. */
export class FileServer implements AsyncDisposable {
  private constructor(readonly folder: TestFolder, readonly process: RunningServer) {}

  static async start(...args: string[]): Promise<FileServer> {
    const folder = new TestFolder();
    return new FileServer(folder, await startServer("servers/files", ["--root", folder.path, ...args]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
    await this.folder[Symbol.asyncDispose]();
  }

  connect(): Promise<Wire> {
    return Wire.to(this.process);
  }

  /** The names in its folder, but for the lock. */
  files(): string[] {
    return Array.from(Deno.readDirSync(this.folder.path), ({ name }) => name).filter((name) => name !== ".lock").sort();
  }

  read(name: string): Uint8Array {
    return Deno.readFileSync(`${this.folder.path}/${name}`);
  }
}

/** The SHA-256, as hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Bytes that look random, the same every time. */
export function noise(count: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(count);
  const words = new Uint32Array(bytes.buffer, 0, Math.floor(count / 4));
  for (let i = 0, x = seed; i < words.length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    words[i] = x ^= x << 5;
  }
  return bytes;
}

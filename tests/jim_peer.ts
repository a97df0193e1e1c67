/**
 * A client of JIM for tests: it says exactly what it is told to, and shows every object that comes.
 * @module
 */
import { decodeText, encodeText } from "../lib/bytes.ts";
import { ReceiveBuffer } from "../lib/receive_buffer.ts";
import { assertEquals } from "./assert.ts";
import { inTime } from "./harness.ts";

/** An object on the wire. */
// deno-lint-ignore no-explicit-any
export type JimObject = Record<string, any>;

/** A connection on which each side writes an object a line. */
export class JimPeer implements Disposable {
  readonly conn: Deno.TcpConn;
  /** Objects that came while something else was waited for, oldest first. */
  readonly events: JimObject[] = [];
  readonly #buffer = new ReceiveBuffer();
  readonly #chunk = new Uint8Array(16 * 1024);

  private constructor(conn: Deno.TcpConn) {
    this.conn = conn;
  }

  static async connect({ hostname, port }: { hostname: string; port: number }): Promise<JimPeer> {
    return new JimPeer(await Deno.connect({ hostname, port }));
  }

  /** Connects and logs in as a guest. */
  static async logIn(server: { hostname: string; port: number }, name: string): Promise<JimPeer> {
    const peer = await JimPeer.connect(server);
    assertEquals((await peer.ask({ action: "presence", user: { account_name: name } })).response, 200);
    return peer;
  }

  /** Writes text as it is. */
  async write(text: string | Uint8Array): Promise<void> {
    const bytes = typeof text === "string" ? encodeText(text) : text;
    for (let written = 0; written < bytes.length;) {
      written += await inTime(this.conn.write(bytes.subarray(written)), "the server to take what is written");
    }
  }

  /** Writes objects, each on a line, in one go. */
  async send(...objects: JimObject[]): Promise<void> {
    await this.write(objects.map((object) => `${JSON.stringify({ time: 1, ...object })}\n`).join(""));
  }

  /** The next object; undefined when the server has closed. */
  async next(): Promise<JimObject | undefined> {
    return this.events.shift() ?? await this.#read();
  }

  async #read(): Promise<JimObject | undefined> {
    for (;;) {
      const line = this.#buffer.takeLine(1e6);
      if (line !== undefined) return JSON.parse(decodeText(line));
      const count = await inTime(this.conn.read(this.#chunk), "an object");
      if (count === null) return undefined;
      this.#buffer.receive(this.#chunk.subarray(0, count));
    }
  }

  /** The next object that is an answer; what comes before it waits in `events`. */
  async answer(): Promise<JimObject> {
    for (;;) {
      const object = await this.#read();
      if (object === undefined) throw new Error("the server has closed the connection");
      if ("response" in object) return object;
      this.events.push(object);
    }
  }

  /** Sends a request and resolves to its answer. */
  async ask(object: JimObject): Promise<JimObject> {
    await this.send(object);
    return await this.answer();
  }

  /** The code of the answer. */
  async code(object: JimObject): Promise<number> {
    return (await this.ask(object)).response;
  }

  /** Sends a message and resolves to the answer. */
  tell(to: string, message: string): Promise<JimObject> {
    return this.ask({ action: "msg", to, message });
  }

  /** All messages that concern this user after an id, asked for page by page. */
  async history(after = 0): Promise<JimObject[]> {
    const messages: JimObject[] = [];
    for (let page: JimObject[] = [{}]; page.length > 0; messages.push(...page)) {
      const last = messages.at(-1)?.id ?? after;
      const { quantity } = await this.ask({ action: "history", after: last, limit: 100 });
      page = [];
      while (page.length < quantity) page.push((await this.next())!);
    }
    return messages;
  }

  /** Resolves to what comes until the server has closed. */
  async untilClosed(): Promise<JimObject[]> {
    const objects: JimObject[] = [];
    for (let object; (object = await this.next()) !== undefined;) objects.push(object);
    return objects;
  }

  close(): void {
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    try {
      this.conn.close();
    } catch {
      // it is closed
    }
  }
}

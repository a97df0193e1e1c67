/**
 * A JIM client at a terminal or in a pipe: connects, and connects anew whenever the connection is lost.
 * @module
 */
import { GOODBYE_MS, JimClient, type JimClientOptions } from "../../jim/client.ts";
import { completeCommand } from "../../jim/client_commands.ts";
import { A, type Dialect } from "../../jim/dialects.ts";
import { ClientWire, type ServerSaid } from "../../jim/wire.ts";
import { encodeText } from "../../bytes.ts";
import { AuthenticationError, ProtocolError, TruncatedError } from "../../errors.ts";
import type { ProgramPath } from "../../programs.ts";
import { printable, printableJson } from "../../text.ts";
import { formatDuration } from "../../units.ts";
import { EXIT, stopSignal } from "../cli.ts";
import { notice, printReply } from "../client.ts";
import { attempt, AttemptError, isNetworkError, reason } from "../failure.ts";
import { type SocketConnection, writeAll } from "../tcp.ts";
import { Terminal } from "../terminal.ts";
import { Condition, delay, withDeadline } from "../timing.ts";

/** How long to wait before connecting anew, in ms: at first, and at most after doubling. */
const RETRY_MS = { first: 500, most: 8000 };
/** The most that one read takes, in bytes. */
const READ_SIZE = 64 * 1024;
/** How often the client is told that time passes, in ms. */
const TICK_MS = 250;

/** One run of the client. */
export interface ConversationOptions extends Omit<JimClientOptions, "now" | "clock"> {
  readonly path: ProgramPath;
  /** Connects to the server. */
  readonly connect: () => Promise<SocketConnection>;
  /** What to send; without any, what is typed or piped. */
  readonly messages: readonly string[];
  /** Shows the objects that come, and not what they mean. */
  readonly json: boolean;
}

/**
 * Talks until the user says goodbye, and resolves to the exit code: 1 if anything was refused that a pipe wanted.
 * @throws {AttemptError} if the server cannot be reached at first, or does not let the user in
 */
export async function converseOverJim(options: ConversationOptions): Promise<number> {
  using conversation = await Conversation.open(options);
  return await conversation.run();
}

class Conversation implements Disposable {
  readonly #options: ConversationOptions;
  readonly #client: JimClient;
  readonly #terminal: Terminal;
  readonly #changed = new Condition();
  readonly #over = new AbortController();
  #failure: unknown;
  #connection: SocketConnection | undefined;
  #listening: Promise<string> | undefined;
  #retryMs = RETRY_MS.first;
  #toldMost = false;

  private constructor(
    options: ConversationOptions,
    { client, connection, terminal }: { client: JimClient; connection: SocketConnection; terminal: Terminal },
  ) {
    this.#options = options;
    this.#client = client;
    this.#connection = connection;
    this.#terminal = terminal;
  }

  static async open(options: ConversationOptions): Promise<Conversation> {
    const client = new JimClient({ ...options, now: Date.now, clock: () => performance.now() });
    const connection = await options.connect(); // it may ask about the server's key: nobody else may read the answer
    const complete = (line: string) => completeCommand(line, client.vocabulary);
    const terminal = await Terminal.open(options.messages, { complete });
    return new Conversation(options, { client, connection, terminal });
  }

  async run(): Promise<number> {
    const stop = stopSignal();
    stop.addEventListener("abort", () => this.#act(() => this.#client.quit({ now: true })));
    const clock = setInterval(() => this.#act(() => this.#client.tick()), TICK_MS);
    const ended = new Promise<void>((resolve) => this.#over.signal.addEventListener("abort", () => resolve()));
    this.#take().catch((error) => this.#end(error));
    this.#stayConnected().catch((error) => this.#end(error));
    await ended;
    clearInterval(clock);
    await this.#listening?.catch(() => {}); // its connection takes its leave
    if (this.#failure !== undefined) throw this.#failure;
    return this.#client.refused && !this.#terminal.interactive ? EXIT.failed : EXIT.done;
  }

  #end(failure?: unknown): void {
    this.#failure ??= failure;
    this.#over.abort();
    this.#connection?.close();
    this.#changed.notify();
  }

  /** Does something with the client, then what the client wants. */
  #act(action: () => void): void {
    if (this.#over.signal.aborted) return;
    const { prompt } = this.#client;
    action();
    for (let effect; (effect = this.#client.next()) !== undefined;) this.#perform(effect);
    if (this.#client.prompt !== prompt) this.#terminal.prompt(this.#client.prompt);
    this.#changed.notify();
  }

  #perform(effect: NonNullable<ReturnType<JimClient["next"]>>): void {
    const { json, path } = this.#options;
    switch (effect.type) {
      case "send":
        return this.#send(effect.bytes);
      case "show":
        return json ? undefined : this.#print(effect.line);
      case "object":
        return json ? this.#print(printableJson(effect.object)) : undefined;
      case "tell":
        return this.#terminal.above(() => notice(path, effect.line));
      case "ask-password":
        return void this.#askPassword().catch((error) => this.#end(error));
      case "logged-in":
        this.#retryMs = RETRY_MS.first;
        this.#toldMost = false;
        return;
      case "hang-up":
        return this.#connection?.close(effect.reason);
      case "end":
        return this.#end(effect.failure === undefined ? undefined : new AuthenticationError(effect.failure));
    }
  }

  #print(line: string): void {
    this.#terminal.above(() => printReply(encodeText(line))).catch((error) => this.#end(error));
  }

  #send(bytes: Uint8Array): void {
    const connection = this.#connection;
    if (connection !== undefined) writeAll(connection, bytes).catch((error) => connection.close(reason(error)));
  }

  async #askPassword(): Promise<void> {
    const password = await this.#terminal.secret(`password of ${this.#options.name}: `);
    this.#act(() => this.#client.password(password));
    this.#terminal.prompt(this.#client.prompt);
  }

  /** Takes what is typed at once, and each line of a pipe when all is done that the one before it wanted. */
  async #take(): Promise<void> {
    const { signal } = this.#over;
    this.#terminal.prompt(this.#client.prompt);
    while (!signal.aborted) {
      while (!this.#terminal.interactive && this.#client.busy && !signal.aborted) await this.#changed.wait();
      await this.#terminal.ready(signal);
      if (signal.aborted) return;
      const line = this.#terminal.take();
      if (line === null) return this.#act(() => this.#client.quit({ now: this.#terminal.interactive }));
      this.#act(() => this.#client.line(new TextDecoder().decode(line)));
      this.#terminal.prompt(this.#client.prompt);
    }
  }

  async #stayConnected(): Promise<void> {
    for (const { signal } = this.#over; this.#connection !== undefined && !signal.aborted;) {
      const why = await (this.#listening = this.#listen(this.#connection));
      this.#act(() => this.#client.disconnected());
      for (let what = `connection lost: ${why}`; !signal.aborted && this.#connection === undefined;) {
        this.#tellRetry(what);
        await delay(this.#retryMs, signal);
        this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MS.most);
        try {
          this.#connection = await this.#options.connect();
        } catch (error) {
          if (!isBreak(error)) throw error; // it is not the server that it was: nothing that time heals
          what = reason(error);
        }
      }
    }
  }

  /** Says why there is no connection; but not every 8 s for ever. */
  #tellRetry(what: string): void {
    if (this.#toldMost) return;
    this.#toldMost = this.#retryMs === RETRY_MS.most;
    const how = this.#toldMost ? `every ${formatDuration(this.#retryMs)}` : `in ${formatDuration(this.#retryMs)}`;
    this.#terminal.above(() => notice(this.#options.path, printable(`${what}: trying again ${how}`)));
  }

  /** Hears the server until the connection is lost, and resolves to why. */
  async #listen(connection: SocketConnection): Promise<string> {
    await using _ = connection;
    this.#act(() => this.#client.connected());
    try {
      const buffer = new Uint8Array(READ_SIZE);
      for (let count; (count = await connection.read(buffer)) !== null;) {
        this.#act(() => this.#client.receive(buffer.subarray(0, count!)));
      }
      return "the server has closed it";
    } catch (error) {
      if (connection.closedBecause === undefined && !isBreak(error)) throw error;
      return connection.closedBecause ?? reason(error);
    } finally {
      this.#connection = undefined;
    }
  }

  [Symbol.dispose](): void {
    this.#connection?.close();
    this.#terminal[Symbol.dispose]();
  }
}

/** Whether the link was lost or could not be made, by no fault of either side. */
function isBreak(error: unknown): boolean {
  if (error instanceof AttemptError) return isBreak(error.cause);
  return isNetworkError(error) || error instanceof TruncatedError;
}

/** One presence. */
export interface PresenceOptions {
  readonly connect: () => Promise<SocketConnection>;
  /** How long to wait for the answer, in ms; 0: as long as it takes. */
  readonly timeout: number;
  readonly name: string;
  readonly dialect?: Dialect | undefined;
  /** Shows the answer as it has come. */
  readonly json: boolean;
}

/**
 * Sends one presence, prints the answer, says goodbye, and resolves to the exit code: 0 for an answer 2xx.
 * @throws {AttemptError} if there is no answer
 */
export async function presentOnce({ connect, timeout, name, dialect = A, json }: PresenceOptions): Promise<number> {
  await using connection = await connect();
  const wire = new ClientWire({ dialect });
  const status = dialect === A ? {} : { status: "online" };
  const send = (request: Parameters<ClientWire["encode"]>[0]) =>
    writeAll(connection, wire.encode(request, { time: Math.floor(Date.now() / 1000), from: name }));
  const { answer, object } = await attempt("wait for the answer", async () => {
    await send({ action: "presence", name, ...status });
    return await withDeadline(timeout, readAnswer(connection, wire));
  });
  await printReply(encodeText(json ? printableJson(object) : printable(`${answer.code} ${answer.text}`.trimEnd())));
  await send({ action: "quit" }).then(() => withDeadline(GOODBYE_MS, readToEnd(connection))).catch(() => {});
  return answer.code >= 200 && answer.code < 300 ? EXIT.done : EXIT.failed;
}

/** Reads until the server has closed the connection: the name is then free again. */
async function readToEnd(connection: SocketConnection): Promise<void> {
  for (const buffer = new Uint8Array(1024); await connection.read(buffer) !== null;);
}

async function readAnswer(connection: SocketConnection, wire: ClientWire): Promise<ServerSaid & { type: "answer" }> {
  const buffer = new Uint8Array(READ_SIZE);
  for (let count; (count = await connection.read(buffer)) !== null;) {
    wire.receive(buffer.subarray(0, count));
    for (let said; (said = wire.next()) !== undefined;) {
      if (said.type === "answer") return said;
      if (said.type === "garbage") throw new ProtocolError(`the server does not speak JIM: ${said.text}`);
    }
  }
  throw new TruncatedError("the server has closed the connection");
}

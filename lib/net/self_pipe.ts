/**
 * The self-pipe trick (D. J. Bernstein): a process writes itself a byte, so that its event loop finds it among its sockets.
 * @module
 */

/** The most operations that Deno completes in one turn of its event loop (the cooperative budget of tokio). */
export const TURN_BUDGET = 128;

/** How long the pipe may take to be made, and the time between two checks of it, in ms: the loopback may go down. */
const TIMEOUT_MS = 1000;
const HOST = "127.0.0.1";
const BYTE = new Uint8Array(1);

/** Both ends of the pipe, which is a TCP connection: Deno has no pipe whose end the event loop looks at. */
interface Ends {
  readonly near: Deno.TcpConn;
  readonly far: Deno.TcpConn;
}

/**
 * Lets long work make the event loop look at its sockets, so that what has arrived for others does not wait for its end.
 *
 * As long as anything else is to be done, Deno looks in every 61st turn of its loop only (the event interval of tokio),
 * however long the turns are. setImmediate does not make it look. Waiting for another thread does in 50 µs, unless that has
 * done its work before the loop is idle, as on one CPU. A timer takes 1.4 ms or more. A byte in a socket cannot be missed: 20 µs.
 */
export class SelfPipe implements Disposable {
  readonly #buffer = new Uint8Array(1);
  #ends: Promise<Ends | undefined> | undefined;
  #looking: Promise<void> | undefined;
  #checked: Promise<void> | undefined; // that look was under way at the last check
  #timer: ReturnType<typeof setInterval> | undefined; // one for all looks: one for each would double its time

  /** Resolves when the event loop has looked. The pipe is made when it is first needed; without one it looks in most cases. */
  look(): Promise<void> {
    return this.#looking ??= this.#look().finally(() => this.#looking = undefined);
  }

  async #look(): Promise<void> {
    const ends = await (this.#ends ??= this.#open());
    if (ends === undefined) return await waitForThread();
    const arrival = ends.far.read(this.#buffer);
    await Promise.all([arrival, ends.near.write(BYTE)]).catch(waitForThread); // it may be closed meanwhile
  }

  #open(): Promise<Ends | undefined> {
    this.#timer = setInterval(this.#check, TIMEOUT_MS);
    Deno.unrefTimer(this.#timer);
    return connectToSelf();
  }

  /** Closes a pipe in which the same byte is under way as at the last check: all reads of a server may wait for it. */
  readonly #check = (): void => {
    if (this.#looking !== undefined && this.#looking === this.#checked) this[Symbol.dispose]();
    this.#checked = this.#looking;
  };

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    const ends = this.#ends;
    this.#ends = Promise.resolve(undefined);
    ends?.then((pair) => {
      pair?.near.close();
      pair?.far.close();
    });
  }
}

async function waitForThread(): Promise<void> {
  await crypto.subtle.digest("SHA-256", BYTE);
}

/** Undefined: there is no loopback, no descriptor is left, or it is not permitted. */
async function connectToSelf(): Promise<Ends | undefined> {
  if (Deno.permissions.querySync({ name: "net", host: HOST }).state !== "granted") return undefined; // nobody is asked
  using ends = new DisposableStack();
  try {
    using listener = Deno.listen({ hostname: HOST, port: 0 });
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const near = ends.use(await Deno.connect({ hostname: HOST, port: listener.addr.port, signal }));
    const far = ends.use(await listener.accept());
    if (far.remoteAddr.port !== near.localAddr.port) return undefined; // a stranger was first
    near.setNoDelay(true);
    ends.move();
    return { near, far };
  } catch {
    return undefined;
  }
}

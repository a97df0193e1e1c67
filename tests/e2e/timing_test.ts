import { lookAtSockets } from "../../lib/net/timing.ts";
import { assert } from "../assert.ts";

/** In so many turns the event loop looks at its sockets anyway, whatever else it has to do. */
const LOOKS_EVERY = 61;

Deno.test("lookAtSockets: what has arrived is there a few turns later, not when the event loop looks by itself", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  using client = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  using server = await listener.accept();
  const counts: number[] = [];
  for (let i = 0; i < 20; i++) {
    let arrived = false;
    const reading = server.read(new Uint8Array(1)).then(() => arrived = true);
    await lookAtSockets(); // the read waits now
    await client.write(Uint8Array.of(1));
    let turns = 0;
    for (; !arrived; turns++) await lookAtSockets();
    await reading;
    counts.push(turns);
  }
  const median = counts.toSorted((a, b) => a - b)[10]!;
  assert(median < LOOKS_EVERY / 8, `${counts}`);
});

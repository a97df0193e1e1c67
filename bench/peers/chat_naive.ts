/**
 * The simplest chat server of JIM: each message goes to every member at once, in a write of its own, one after the other.
 * It knows no accounts and keeps nothing.
 * @module
 */
import { encodeText } from "../../lib/bytes.ts";
import { JsonStream } from "../../lib/json_stream.ts";
import { writeAll } from "../../lib/net/tcp.ts";

const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
console.log(`listening on tcp://127.0.0.1:${listener.addr.port}`);
const members = new Set<Deno.TcpConn>();

async function serve(conn: Deno.TcpConn): Promise<void> {
  const stream = new JsonStream({});
  const buffer = new Uint8Array(1024);
  const say = (to: Deno.TcpConn, object: unknown) => writeAll(to, encodeText(`${JSON.stringify(object)}\n`));
  let name: unknown;
  for (let count; (count = await conn.read(buffer)) !== null;) {
    stream.receive(buffer.subarray(0, count));
    for (let said; (said = stream.next()) !== undefined;) {
      if (said.type !== "object") continue;
      const { action, user, to, message } = said.object as { [key: string]: unknown; user?: { account_name: string } };
      const time = Date.now() / 1000;
      if (action === "presence") name = user?.account_name;
      if (action === "join") members.add(conn);
      if (action === "msg") {
        for (const member of members) {
          if (member !== conn) await say(member, { action, time, to, from: name, message });
        }
      }
      await say(conn, { response: 200, time, alert: "OK" });
    }
  }
}

for await (const conn of listener) {
  conn.setNoDelay(true);
  serve(conn).catch(() => {}).finally(() => {
    members.delete(conn);
    conn.close();
  });
}

/**
 * TCP echo as short as Deno allows, with one small buffer a connection: what an idle one costs Deno itself.
 * @module
 */
async function echo(conn: Deno.TcpConn): Promise<void> {
  using _ = conn;
  const buffer = new Uint8Array(128);
  for (let count; (count = await conn.read(buffer)) !== null;) await conn.write(buffer.subarray(0, count));
}

const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
console.log(`listening on tcp://127.0.0.1:${listener.addr.port}`);
for await (const conn of listener) echo(conn).catch(() => {});

import { Rooms, Watchers } from "../../lib/jim/rooms.ts";
import { assert, assertEquals } from "../assert.ts";

Deno.test("Rooms remembers who is in a room, and forgets who is in none", () => {
  const rooms = new Rooms<string>(new Map([["#tea", ["bob"]], ["#empty", []]]));
  assertEquals([rooms.size, rooms.find("#tea")?.online.size, rooms.find("#none")], [2, 0, undefined]);
  const [bob, eve] = [rooms.of("bob"), rooms.of("eve")];
  assertEquals([Array.from(bob, ({ name }) => name), eve.size], [["#tea"], 0]);
  for (const name of ["bob", "eve"]) rooms.forget(name);
  assert(rooms.of("bob") === bob);
  assert(rooms.of("eve") !== eve);
});

Deno.test("Watchers tells who watches a name", () => {
  const watchers = new Watchers<string>();
  for (const user of ["ann", "eve"]) watchers.add(user, "bob");
  watchers.remove("ann", "bob");
  watchers.remove("ann", "nobody");
  assertEquals([[...watchers.of("bob")], [...watchers.of("ann")]], [["eve"], []]);
});

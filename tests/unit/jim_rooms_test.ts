import { Rooms, Watchers } from "../../lib/jim/rooms.ts";
import { assert, assertEquals } from "../assert.ts";

Deno.test("Rooms remembers who is in a room, and forgets who is in none", () => {
  const rooms = new Rooms<string>(new Map([["#tea", ["bob"]], ["#milk", ["bob", "ann"]]]));
  assertEquals([rooms.size, rooms.find("#tea")?.online.size, rooms.find("#none")], [2, 0, undefined]);
  const [bob, eve] = [rooms.of("bob"), rooms.of("eve")];
  assertEquals([Array.from(bob, ({ name }) => name), eve.size], [["#tea", "#milk"], 0]);
  for (const name of ["bob", "eve"]) rooms.forget(name);
  assert(rooms.of("bob") === bob);
  assert(rooms.of("eve") !== eve);
});

Deno.test("Rooms: a room is gone when its last member leaves, and another one may have its name", () => {
  const rooms = new Rooms<string>(new Map());
  const tea = rooms.join("bob", "#tea");
  assert(rooms.join("bob", "#tea") === tea && rooms.join("ann", "#tea") === tea);
  for (const name of ["bob", "bob", "eve"]) rooms.leave(name, tea);
  assert(rooms.find("#tea") === tea);
  rooms.leave("ann", tea);
  assertEquals([rooms.size, rooms.find("#tea")], [0, undefined]);
  const again = rooms.join("eve", "#tea");
  rooms.leave("ann", tea);
  assert(rooms.find("#tea") === again);
});

Deno.test("Rooms tells which one was deserted first: nobody is online, and it is not kept", () => {
  const rooms = new Rooms<string>(new Map([["#tea", ["bob"]], ["#milk", ["bob", "ann"]]]));
  const deserted = () => rooms.deserted?.name;
  const [tea, milk] = [rooms.find("#tea")!, rooms.find("#milk")!];
  assertEquals(deserted(), "#tea");
  rooms.arrive("bob", tea);
  assertEquals(deserted(), "#milk");
  rooms.depart("bob", tea);
  assertEquals(deserted(), "#milk");
  rooms.keep(milk);
  assertEquals(deserted(), "#tea");
  rooms.leave("bob", tea);
  assertEquals(deserted(), undefined);
  for (const user of ["ann", "bob"]) rooms.arrive(user, milk);
  for (const user of ["ann", "bob"]) {
    assertEquals(deserted(), undefined);
    rooms.depart(user, milk);
  }
  assertEquals(deserted(), "#milk");
});

Deno.test("Watchers tells who watches a name", () => {
  const watchers = new Watchers<string>();
  for (const user of ["ann", "eve"]) watchers.add(user, "bob");
  watchers.remove("ann", "bob");
  watchers.remove("ann", "nobody");
  assertEquals([[...watchers.of("bob")], [...watchers.of("ann")]], [["eve"], []]);
});

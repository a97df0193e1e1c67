/**
 * Who belongs to whom on a server: the rooms and their members, and who wants to know when somebody comes and goes.
 * @module
 */

/** A room, and those of its members who are online. */
export interface Room<User> {
  readonly name: string;
  readonly online: Set<User>;
  /** How many members it has, online or not: without any it is none. */
  members: number;
}

/** All rooms of a server. A member is a name; `User` is what stands for one who is online. */
export class Rooms<User> {
  readonly #rooms = new Map<string, Room<User>>();
  /** The rooms of each member, online or not. */
  readonly #memberships = new Map<string, Set<Room<User>>>();
  /** Those without anybody online, in the order in which they became so. */
  readonly #deserted = new Set<Room<User>>();

  /** Begins with the rooms that are known, each with the names of its members; nobody is online. */
  constructor(known: ReadonlyMap<string, Iterable<string>>) {
    for (const [name, members] of known) {
      for (const member of members) this.join(member, name);
    }
  }

  /** How many there are. */
  get size(): number {
    return this.#rooms.size;
  }

  /** The room of that name, if there is one. */
  find(name: string): Room<User> | undefined {
    return this.#rooms.get(name);
  }

  /** Adds a member to a room, which is made if there is none. */
  join(member: string, name: string): Room<User> {
    const room = this.#rooms.get(name) ?? this.#make(name);
    const rooms = this.#roomsOf(member);
    if (!rooms.has(room)) room.members++;
    rooms.add(room);
    return room;
  }

  #make(name: string): Room<User> {
    const room = { name, online: new Set<User>(), members: 0 };
    this.#rooms.set(name, room);
    this.#deserted.add(room);
    return room;
  }

  /** Removes a member of a room, and with the last one the room. */
  leave(member: string, room: Room<User>): void {
    if (!this.#roomsOf(member).delete(room) || --room.members > 0) return;
    this.#rooms.delete(room.name);
    this.#deserted.delete(room);
  }

  /** A member of a room is online. */
  arrive(user: User, room: Room<User>): void {
    room.online.add(user);
    this.#deserted.delete(room);
  }

  /** It is no longer. */
  depart(user: User, room: Room<User>): void {
    room.online.delete(user);
    if (room.online.size === 0) this.#deserted.add(room);
  }

  /** The room whose members have all been offline for the longest time, but for those that are kept. */
  get deserted(): Room<User> | undefined {
    return this.#deserted.values().next().value;
  }

  /** Until somebody comes and goes again, a room counts no more as deserted. */
  keep(room: Room<User>): void {
    this.#deserted.delete(room);
  }

  /** The rooms of a member, as they are and as they change. */
  of(member: string): ReadonlySet<Room<User>> {
    return this.#roomsOf(member);
  }

  #roomsOf(member: string): Set<Room<User>> {
    const rooms = this.#memberships.get(member) ?? new Set();
    this.#memberships.set(member, rooms);
    return rooms;
  }

  /** Forgets a member who is in no room. */
  forget(member: string): void {
    if (this.#memberships.get(member)?.size === 0) this.#memberships.delete(member);
  }
}

/** Who watches whom: by a name, those online who have it in their contacts. */
export class Watchers<User> {
  readonly #watchers = new Map<string, Set<User>>();

  /** Those who watch a name. */
  of(name: string): ReadonlySet<User> {
    return this.#watchers.get(name) ?? NOBODY;
  }

  /** From now on `user` watches a name. */
  add(user: User, name: string): void {
    const watchers = this.#watchers.get(name);
    if (watchers === undefined) this.#watchers.set(name, new Set([user]));
    else watchers.add(user);
  }

  /** From now on it does not. */
  remove(user: User, name: string): void {
    const watchers = this.#watchers.get(name);
    watchers?.delete(user);
    if (watchers?.size === 0) this.#watchers.delete(name);
  }
}

const NOBODY: ReadonlySet<never> = new Set();

import {
  AuthenticationError,
  FrameTooLargeError,
  ProtocolError,
  TruncatedError,
  UsageError,
} from "../../lib/errors.ts";
import { attempt, AttemptError, isExpected, isNetworkError, reason } from "../../lib/net/failure.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";

Deno.test("ProtocolError: every fault of the peer is one, under its own name", () => {
  for (const PeerError of [ProtocolError, FrameTooLargeError, TruncatedError, AuthenticationError]) {
    const error = new PeerError("Cannot go on: it is over");
    assert(error instanceof ProtocolError);
    assertEquals(`${error}`, `${PeerError.name}: Cannot go on: it is over`);
  }
});

Deno.test("UsageError: carries its cause and its hint", () => {
  const cause = new RangeError("7");
  const error = new UsageError("7 is too many", { cause, hint: "take 6" });
  assertEquals([error.name, error.message, error.hint, error.cause], ["UsageError", "7 is too many", "take 6", cause]);
  assertEquals(new UsageError("no").hint, undefined);
});

Deno.test("reason: what happened, as half a line without the system's decoration", () => {
  const cases: [unknown, string][] = [
    [new Deno.errors.ConnectionReset("Connection reset by peer (os error 104)"), "connection reset by peer"],
    [new Error("First\n  second\n"), "first; second"],
    [
      new ProtocolError("Cannot accept frame of 5 bytes: limit is 4 bytes"),
      "Cannot accept frame of 5 bytes: limit is 4 bytes",
    ],
    [new AttemptError("Wait", new Error("Too long")), "Wait: too long"],
    [new AttemptError("read a.txt", new Error("No such file: stat 'a.txt'")), "read a.txt: no such file"],
    [new AttemptError("read it", new Error("No such file: stat 'a.txt'")), "read it: no such file: stat 'a.txt'"],
    ["thrown text", "thrown text"],
    [undefined, "undefined"],
  ];
  for (const [error, text] of cases) assertEquals(reason(error), text);
});

Deno.test("attempt: passes the value on, or tells what was tried and what may help", async () => {
  assertEquals(await attempt("add", () => 2), 2);
  const cause = new Error("No");
  const error = await assertRejects(() => attempt("add", () => Promise.reject(cause), () => "try 1"), AttemptError);
  assertEquals([error.message, error.hint, error.cause], ["add: no", "try 1", cause]);
});

Deno.test("isNetworkError: what the system or the network refused, and nothing that is a bug", () => {
  assert(isNetworkError(new Deno.errors.ConnectionReset("reset")));
  assert(isNetworkError(Object.assign(new Error("No buffer space available (os error 105)"), { code: "ENOBUFS" })));
  assert(isNetworkError(new Error("failed to lookup address information: Name or service not known")));
  for (const bug of [new TypeError("undefined is no function"), new RangeError("7"), new ProtocolError("no"), "text"]) {
    assert(!isNetworkError(bug));
  }
});

Deno.test("isExpected: whatever the network, a peer or the user is to blame for, also when something was attempted", () => {
  for (
    const error of [new Deno.errors.ConnectionReset("reset"), new TruncatedError("cut"), new UsageError("too long")]
  ) {
    assert(isExpected(error));
    assert(isExpected(new AttemptError("send a line", error)));
  }
  for (const bug of [new TypeError("x is undefined"), new RangeError("offset is out of bounds"), "text", undefined]) {
    assert(!isExpected(bug));
    assert(!isExpected(new AttemptError("send a line", bug)));
  }
});

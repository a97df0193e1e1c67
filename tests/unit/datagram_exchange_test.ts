import fc from "fast-check";
import { encodeText } from "../../lib/bytes.ts";
import { DatagramExchange, type ExchangeReply } from "../../lib/datagram_exchange.ts";
import { assertEquals } from "../assert.ts";

const TIMEOUT = 1000;

/** An exchange that has asked each of the texts and been answered, and has asked the last one `tries` times. */
function asked(texts: readonly string[], { tries = 1, answers = texts.slice(0, -1) } = {}): DatagramExchange {
  const exchange = new DatagramExchange({ timeout: TIMEOUT, retries: 3 });
  texts.forEach((text, i) => {
    exchange.ask(encodeText(text), 0);
    if (answers[i] !== undefined) assertEquals(exchange.receive(encodeText(answers[i])), "answer");
  });
  for (let now = TIMEOUT; exchange.tries < tries; now += TIMEOUT) exchange.next(now);
  return exchange;
}

function receive(exchange: DatagramExchange, ...texts: string[]): ExchangeReply[] {
  return texts.map((text) => exchange.receive(encodeText(text)));
}

Deno.test("DatagramExchange asks again after each time-out, and gives up after the last", () => {
  fc.assert(fc.property(fc.nat(5), fc.integer({ min: 1, max: 5000 }), fc.nat(), (retries, timeout, start) => {
    const exchange = new DatagramExchange({ timeout, retries });
    exchange.ask(encodeText("hello"), start);
    for (let tries = 1; tries <= retries + 1; tries++) {
      const end = start + tries * timeout;
      assertEquals([exchange.tries, exchange.next(end - timeout), exchange.next(end - 1)], [tries, "wait", "wait"]);
      assertEquals(exchange.patience(end - 1), 1);
      assertEquals(exchange.next(end), tries <= retries ? "again" : "unanswered");
    }
  }));
});

Deno.test("DatagramExchange waits for ever with a time-out of 0", () => {
  const exchange = new DatagramExchange({ timeout: 0, retries: 3 });
  exchange.ask(encodeText("hello"), 0);
  assertEquals([exchange.next(1e12), exchange.patience(1e12)], ["wait", undefined]);
});

Deno.test("DatagramExchange: the answer ends the question, before and after the time-out, and once it was given up", () => {
  for (const now of [1, TIMEOUT, 9 * TIMEOUT]) {
    const exchange = asked(["hello"]);
    assertEquals(receive(exchange, "hello"), ["answer"]);
    assertEquals([exchange.next(now), exchange.answer], ["answered", encodeText("hello")]);
  }
});

Deno.test("DatagramExchange: of r replies to s tries the first is the answer, up to the s-th are late, the rest are doubled", () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 9 }), (tries, replies) => {
    const kinds = receive(asked(["hello"], { tries }), ...Array(replies).fill("hello"));
    assertEquals(kinds, kinds.map((_, i) => i === 0 ? "answer" : i < tries ? "late" : "doubled"));
  }));
});

Deno.test("DatagramExchange knows the replies to earlier questions while it waits for the answer to a later one", () => {
  const exchange = asked(["one", "two"]);
  assertEquals(receive(exchange, "one", "two", "two", "one"), ["doubled", "answer", "doubled", "doubled"]);
});

Deno.test("DatagramExchange: a reply to an earlier question that was asked twice is late", () => {
  const exchange = asked(["one"], { tries: 2 });
  receive(exchange, "one");
  exchange.ask(encodeText("two"), 0);
  assertEquals(receive(exchange, "one", "one", "two"), ["late", "doubled", "answer"]);
});

Deno.test("DatagramExchange: equal questions are answered one by one, and share what is late", () => {
  assertEquals(receive(asked(["hi", "hi"]), "hi", "hi"), ["answer", "doubled"]);
  const exchange = asked(["hi"], { tries: 2 });
  receive(exchange, "hi");
  exchange.ask(encodeText("hi"), 0);
  assertEquals(receive(exchange, "hi", "hi", "hi"), ["answer", "late", "doubled"]);
});

Deno.test("DatagramExchange takes what is no echo for the answer of another kind of server, and knows it again", () => {
  const exchange = asked(["one", "two"], { answers: ["ONE"] });
  assertEquals(receive(exchange, "ONE", "TWO", "TWO", "two"), ["doubled", "answer", "doubled", "doubled"]);
  assertEquals(exchange.answer, encodeText("TWO"));
});

Deno.test("DatagramExchange: nothing answers when nothing was asked, or twice", () => {
  const exchange = new DatagramExchange({ timeout: TIMEOUT, retries: 0 });
  assertEquals([exchange.next(0), ...receive(exchange, "hello")], ["answered", "unexpected"]);
  exchange.ask(encodeText("hello"), 0);
  assertEquals(receive(exchange, "hello", "what?"), ["answer", "unexpected"]);
});

Deno.test("DatagramExchange keeps its own copy of the answer", () => {
  const exchange = asked(["hello"]);
  const buffer = encodeText("hello");
  exchange.receive(buffer);
  buffer.fill(0);
  assertEquals(exchange.answer, encodeText("hello"));
});

Deno.test("DatagramExchange forgets old questions", () => {
  const exchange = asked(["old", ...Array.from({ length: 30 }, (_, i) => `${i}`), "new"]);
  assertEquals(receive(exchange, "new", "29", "old"), ["answer", "doubled", "unexpected"]);
});

Deno.test("DatagramExchange over a link that loses, delays and doubles: answered if any reply of a try comes in time", () => {
  // Of each try: after how many ms each copy of its reply comes.
  const tries = fc.array(fc.array(fc.integer({ min: 1, max: 3 * TIMEOUT }), { maxLength: 3 }), {
    minLength: 4,
    maxLength: 4,
  });
  fc.assert(fc.property(tries, (delays) => {
    const exchange = new DatagramExchange({ timeout: TIMEOUT, retries: 3 });
    exchange.ask(encodeText("hello"), 0);
    const arrivals = [...delays[0]!];
    let now = 0;
    for (let step; (step = exchange.next(now)) !== "answered" && step !== "unanswered";) {
      if (step === "again") arrivals.push(...delays[exchange.tries - 1]!.map((delay) => now + delay));
      now = Math.min(now + exchange.patience(now)!, ...arrivals);
      if (arrivals.includes(now)) exchange.receive(encodeText("hello"));
    }
    const first = Math.min(...delays.flatMap((each, i) => each.map((delay) => i * TIMEOUT + delay)));
    assertEquals(exchange.next(now), first <= 4 * TIMEOUT ? "answered" : "unanswered");
    assertEquals(now, Math.min(first, 4 * TIMEOUT));
  }));
});

import { type ScryptInput, ScryptPasswords } from "../../lib/net/jim/passwords.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../assert.ts";

Deno.test("ScryptPasswords: the right password is the one that was kept, and no other", async () => {
  const passwords = new ScryptPasswords();
  const kept = await passwords.hash("sésame");
  assertMatch(kept, /^\$scrypt\$ln=14,r=8,p=5\$[\w+/]{22}==\$[\w+/]{43}=$/);
  assertEquals(await passwords.verify("sésame", kept), true);
  assertEquals(await passwords.verify("se\u0301same", kept), true, "the same characters, composed otherwise");
  for (const wrong of ["sesame", "sésame ", ""]) assertEquals(await passwords.verify(wrong, kept), false);
  assert(kept !== await passwords.hash("sésame"), "no salt");
});

Deno.test("ScryptPasswords: agrees with RFC 7914 §12 (the first half of its third key)", async () => {
  const salt = new TextEncoder().encode("SodiumChloride").toBase64();
  const key = Uint8Array.fromHex("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2").toBase64();
  assertEquals(await new ScryptPasswords().verify("pleaseletmein", `$scrypt$ln=14,r=8,p=1$${salt}$${key}`), true);
});

Deno.test("ScryptPasswords: an unknown name takes the same computation as a wrong password", async () => {
  const inputs: ScryptInput[] = [];
  const passwords = new ScryptPasswords((_, input) => {
    inputs.push(input);
    return Promise.resolve(new Uint8Array(32)); // what the key of nobody is: even then the answer is no
  });
  const kept = await passwords.hash("sesame");
  assertEquals(await passwords.verify("wrong", kept), true);
  assertEquals(await passwords.verify("wrong", undefined), false);
  const costs = inputs.map(({ ln, r, p, salt }) => ({ ln, r, p, salt: salt.length }));
  assertEquals(costs, Array(3).fill({ ln: 14, r: 8, p: 5, salt: 16 }));
});

Deno.test("ScryptPasswords: two are computed at the same time, the others in turn; a failure makes way for the next", async () => {
  const running: PromiseWithResolvers<Uint8Array>[] = [];
  const passwords = new ScryptPasswords(() => {
    running.push(Promise.withResolvers());
    return running.at(-1)!.promise;
  });
  const hashes = Array.from({ length: 4 }, () => passwords.hash("x"));
  assertEquals(running.length, 2);
  running[0]!.reject(new Error("no memory"));
  await assertRejects(() => hashes[0]!, Error, "no memory");
  assertEquals(running.length, 3);
  running[1]!.resolve(new Uint8Array(32));
  await hashes[1];
  assertEquals(running.length, 4);
  running.slice(2).forEach(({ resolve }) => resolve(new Uint8Array(32)));
  await Promise.all(hashes.slice(1));
});

import { concat } from "@std/bytes";
import { openAes, sealAes } from "../../lib/aes.ts";
import { AuthenticationError } from "../../lib/errors.ts";
import { assertEquals, assertThrows } from "../assert.ts";
import { testWithVectors } from "../vectors.ts";

interface Vectors {
  readonly testGroups: readonly {
    readonly keySize: number;
    readonly ivSize: number;
    readonly tests: readonly Record<"key" | "iv" | "aad" | "msg" | "ct" | "tag" | "result", string>[];
  }[];
}

testWithVectors(
  ["wycheproof_aes_gcm_test.json"],
  "AES-256-GCM: all of Wycheproof with the nonces that we have",
  (content) => {
    const groups = (content as Vectors).testGroups.filter(({ keySize, ivSize }) => keySize === 256 && ivSize === 96);
    const cases = groups.flatMap(({ tests }) => tests);
    assertEquals(cases.length, 66);
    for (const test of cases) {
      const [key, nonce, associatedData, message, ciphertext, tag] = [
        test.key,
        test.iv,
        test.aad,
        test.msg,
        test.ct,
        test.tag,
      ]
        .map((text) => Uint8Array.fromHex(text!)) as [
          Uint8Array,
          Uint8Array,
          Uint8Array,
          Uint8Array,
          Uint8Array,
          Uint8Array,
        ];
      const options = { key, nonce, associatedData };
      const sealed = concat([ciphertext, tag]);
      if (test.result === "valid") {
        assertEquals(sealAes(message, options).toHex(), sealed.toHex());
        assertEquals(openAes(sealed, options).toHex(), message.toHex());
      } else {
        assertThrows(() => openAes(sealed, options), AuthenticationError);
      }
    }
  },
);

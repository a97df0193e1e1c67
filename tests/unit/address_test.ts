import fc from "fast-check";
import { formatAddress, networkOf, parseAddress } from "../../lib/address.ts";
import { UsageError } from "../../lib/errors.ts";
import { assertEquals, assertThrows } from "../assert.ts";

Deno.test("formatAddress: host:port, IPv6 in brackets, an IPv4-mapped address as IPv4", () => {
  const cases: [string, string][] = [
    ["127.0.0.1", "127.0.0.1:9001"],
    ["localhost", "localhost:9001"],
    ["::", "[::]:9001"],
    ["[::1]", "[::1]:9001"],
    ["fe80::1%eth0", "[fe80::1%eth0]:9001"],
    ["::ffff:192.0.2.1", "192.0.2.1:9001"],
    ["::FFFF:192.0.2.1", "192.0.2.1:9001"],
    ["64:ff9b::192.0.2.1", "[64:ff9b::192.0.2.1]:9001"],
  ];
  for (const [hostname, text] of cases) assertEquals(formatAddress({ hostname, port: 9001 }), text);
});

Deno.test("parseAddress: reads what formatAddress writes", () => {
  const hostname = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6().filter((address) => !/^::ffff:\d+\./i.test(address)));
  fc.assert(fc.property(hostname, fc.integer({ min: 1, max: 65_535 }), (hostname, port) => {
    assertEquals(parseAddress(formatAddress({ hostname, port })), { hostname, port });
  }));
});

Deno.test("parseAddress: refuses what lacks a host, a port or the brackets of IPv6", () => {
  const texts = [
    "",
    "localhost",
    ":9001",
    "localhost:",
    "localhost:http",
    "a:0",
    "a:65536",
    "a:-1",
    "a:9001 ",
    "a:b:1",
  ];
  for (const text of [...texts, "::1:9001", "[::1]", "[::1]9001", "[a]:9001", "[]:9001"]) {
    assertThrows(() => parseAddress(text), UsageError, "is no address");
  }
});

Deno.test("networkOf: an IPv4 address is one by itself, an IPv6 address one with all of its /64", () => {
  const cases: [string, string][] = [
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::", "2001:db8:1:2::/64"],
    ["2001:db8::5:6", "2001:db8:0:0::/64"],
    ["2001:db8:1::4:5:6:7", "2001:db8:1:0::/64"],
    ["::3:4:5:6:7:8", "0:0:3:4::/64"],
    ["::1", "0:0:0:0::/64"],
    ["::", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ];
  for (const [address, network] of cases) assertEquals(networkOf(address), network);
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { type Candidates, someImagePeers } from "../../../seeder/inventory/image-peers.ts";

const at = (host: string) => ({ host, port: 7_411 });
const candidates = (hosts: (string | undefined)[]): Candidates => ({
  count: hosts.length,
  endpointAt: (index) => {
    const host = hosts[index];
    return host === undefined ? undefined : at(host);
  },
});
const told = (hosts: (string | undefined)[], asker = "10.0.0.99", count = 16, random = Math.random) =>
  someImagePeers(candidates(hosts), at(asker), count, random)
    .map(({ host }) => host)
    .sort();

test("few peers are all told, but not those that serve none", () => {
  expect(told(["10.0.0.1", undefined, "10.0.0.2"])).toEqual(["10.0.0.1", "10.0.0.2"]);
});

test("of many peers some are told, by chance", () => {
  const hosts = Array.from({ length: 250 }, (_, index) => `10.0.0.${index}`);
  expect(told(hosts, "10.0.1.1", 2, () => 0)).toEqual(["10.0.0.0"]);
  let draw = 0;
  expect(told(hosts, "10.0.1.1", 2, () => (draw++ % 2 ? 0.5 : 0.25))).toEqual(["10.0.0.125", "10.0.0.62"]);
});

test("an address on the seeder's own machine is told there only", () => {
  expect(told(["127.0.0.1", "10.0.0.1"])).toEqual(["10.0.0.1"]);
  expect(told(["127.0.0.1", "10.0.0.1"], "127.0.0.1")).toEqual(["10.0.0.1", "127.0.0.1"]);
});

test("whoever the candidates are, what is told is of them, bounded, and told once", () => {
  const hosts = fc.array(
    fc.option(fc.constantFrom("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"), { nil: undefined }),
  );
  fc.assert(
    fc.property(
      hosts,
      fc.nat(4),
      fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
      (hosts, count, draws) => {
        const some = told(hosts, "10.0.0.99", count, () => draws.next().value as number);
        expect(new Set(some).size).toBe(some.length);
        expect(some.length).toBeLessThanOrEqual(count);
        for (const host of some) expect(hosts).toContain(host);
      },
    ),
  );
});

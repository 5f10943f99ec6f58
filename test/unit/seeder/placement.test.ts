import fc from "fast-check";
import { expect, test } from "vitest";
import { spreadWeight } from "../../../seeder/placement/heat.ts";
import { HostNames } from "../../../seeder/placement/host-names.ts";
import { normalization } from "../../../seeder/placement/normalize.ts";
import { type ImagePart, readiness } from "../../../seeder/placement/readiness.ts";
import { RecentLaunches } from "../../../seeder/placement/recent-launches.ts";
import { type HostFacts, type WeighOptions, weighHosts } from "../../../seeder/placement/weigh.ts";

const options: WeighOptions = {
  cacheMultiplier: 1,
  spreadMultiplier: 2,
  hotLaunches: 8,
  countInFlight: true,
  inFlightHalfSeconds: 30,
  bootImageWorth: 0.5,
};
const cached: ImagePart = { kind: "cached" };
const absent: ImagePart = { kind: "absent" };
const active = (fraction: number, etaSeconds?: number): ImagePart => ({ kind: "active", fraction, etaSeconds });

const host = (name: string, part: ImagePart, more: Partial<HostFacts> = {}): HostFacts => ({
  host: name,
  standing: "up",
  part,
  hasBootImage: false,
  recentLaunches: 0,
  otherFetches: 0,
  ...more,
});
const namesOf = (weighed: { facts: HostFacts }[]) => weighed.map(({ facts }) => facts.host);

test("a cached image weighs 1, an absent one 0, as in the first paper", () => {
  expect(readiness(cached, false, options)).toBe(1);
  expect(readiness(absent, false, options)).toBe(0);
  const paper = { ...options, countInFlight: false, bootImageWorth: 0 };
  expect(readiness(active(0.9, 1), true, paper)).toBe(0);
});

test("what is on its way weighs the more the more of it is there, and the sooner it will be ready", () => {
  const fraction = fc.double({ min: 0, max: 1, noNaN: true });
  const eta = fc.option(fc.nat(100_000), { nil: undefined });
  const seconds = (value: number | undefined) => value ?? Number.POSITIVE_INFINITY;
  fc.assert(
    fc.property(fraction, fraction, eta, eta, fc.boolean(), (f1, f2, e1, e2, boot) => {
      const [less, more] = f1 <= f2 ? [f1, f2] : [f2, f1];
      const [sooner, later] = seconds(e1) <= seconds(e2) ? [e1, e2] : [e2, e1];
      const worse = readiness(active(less, later), boot, options);
      const better = readiness(active(more, sooner), boot, options);
      expect(worse).toBeLessThanOrEqual(better);
      expect(worse).toBeGreaterThan(0);
      expect(better).toBeLessThan(1);
    }),
  );
});

test("a queued, stalled or expected fetch is next to nothing, a paused one nothing", () => {
  for (const part of [{ kind: "queued", fraction: 0.9 }, active(0.9), { kind: "expected" }] satisfies ImagePart[]) {
    expect(readiness(part, false, options)).toBeGreaterThan(0);
    expect(readiness(part, false, options)).toBeLessThanOrEqual(0.1);
  }
  expect(readiness({ kind: "paused", fraction: 0.9 }, true, options)).toBe(0);
});

test("a boot image brings any node nearer to a cached image, and none past it", () => {
  expect(readiness(absent, true, options)).toBe(0.5);
  const without = readiness(active(0.5, 30), false, options);
  const withBoot = readiness(active(0.5, 30), true, options);
  expect([without < withBoot, withBoot < 1]).toEqual([true, true]);
  expect(readiness(cached, true, options)).toBe(1);
});

test("N stretches weights to 0 and 1, but not those that hardly differ, and leaves equals", () => {
  const normalized = (weights: number[], rangeMin = 0) => {
    const normalize = normalization(weights, rangeMin);
    return weights.map((weight) => Number(normalize(weight).toFixed(2)));
  };
  expect(normalized([2, 3, 4])).toEqual([0, 0.5, 1]);
  expect(normalized([0.5, 0.51], 0.1)).toEqual([0, 0.1]);
  expect(normalized([0.7, 0.7])).toEqual([0.7, 0.7]);
});

test("a host is cooler the less was launched there, and never without weight", () => {
  expect([spreadWeight(0, 0, 8), spreadWeight(8, 0, 8)]).toEqual([1, 0.5]);
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e6, noNaN: true }), fc.nat(2_000), (launches, fetches) => {
      expect(spreadWeight(launches + 1, fetches, 8)).toBeLessThan(spreadWeight(launches, fetches, 8));
      expect(spreadWeight(launches, fetches + 1, 8)).toBeLessThan(spreadWeight(launches, fetches, 8));
      expect(spreadWeight(launches, fetches, 8)).toBeGreaterThan(0);
    }),
  );
});

test("cached goes before on its way, that before queued, absent, and what is lost or unknown", () => {
  const hosts = [
    host("unknown", absent, { standing: "unknown" }),
    host("absent", absent),
    host("queued", { kind: "queued", fraction: 0 }),
    host("late", active(0.2, 300)),
    host("soon", active(0.6, 10)),
    host("cached", cached),
    host("lost", cached, { standing: "lost" }),
  ];
  const weighed = weighHosts(hosts, options, 1n);
  expect(namesOf(weighed).slice(0, 5)).toEqual(["cached", "soon", "late", "queued", "absent"]);
  expect(weighed.slice(5).map(({ score, weight }) => [score, weight])).toEqual([
    [0, 0],
    [0, 0],
  ]);
  expect(weighed[0]).toMatchObject({ weight: 1, score: 3, cache: 1, cacheNormalized: 1, spread: 1 });
});

const part: fc.Arbitrary<ImagePart> = fc.oneof(
  fc.constantFrom(cached, absent, { kind: "expected" } as const),
  fc.record({ kind: fc.constantFrom("queued" as const, "paused" as const), fraction: fc.double({ min: 0, max: 1 }) }),
  fc.record({
    kind: fc.constant("active" as const),
    fraction: fc.double({ min: 0, max: 1, noNaN: true }),
    etaSeconds: fc.option(fc.nat(10_000), { nil: undefined }),
  }),
);
const facts: fc.Arbitrary<Omit<HostFacts, "host">> = fc.record({
  standing: fc.constantFrom("up" as const, "up" as const, "lost" as const, "unknown" as const),
  part: fc.oneof(part, fc.constantFrom(cached, absent)),
  hasBootImage: fc.boolean(),
  recentLaunches: fc.double({ min: 0, max: 50, noNaN: true }),
  otherFetches: fc.nat(5),
});
const crowd = fc
  .array(facts, { maxLength: 30 })
  .map((all) => all.map((each, index) => ({ ...each, host: `h${index}` })));
const seed = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

test("the order is by score, weights run from 0 to 1, and the order of the question does not matter", () => {
  const shuffled = crowd.chain((hosts) =>
    fc.tuple(fc.constant(hosts), fc.shuffledSubarray(hosts, { minLength: hosts.length })),
  );
  fc.assert(
    fc.property(shuffled, seed, ([hosts, inOtherOrder], seed) => {
      const weighed = weighHosts(hosts, options, seed);
      expect(weighHosts(inOtherOrder, options, seed)).toEqual(weighed);
      expect(weighHosts(hosts, options, seed, 3)).toEqual(weighed.slice(0, 3));
      expect(namesOf(weighed).toSorted()).toEqual(hosts.map(({ host }) => host).toSorted());
      for (const [index, { weight, score, cacheNormalized, spread }] of weighed.entries()) {
        expect(score).toBeLessThanOrEqual(weighed[index - 1]?.score ?? Number.POSITIVE_INFINITY);
        for (const each of [weight, cacheNormalized, spread]) {
          expect(each).toBeGreaterThanOrEqual(0);
          expect(each).toBeLessThanOrEqual(1);
        }
      }
      const up = weighed.filter(({ facts }) => facts.standing === "up");
      const scores = new Set(up.map(({ score }) => score));
      if (scores.size > 1) expect([up[0]?.weight, up.at(-1)?.weight]).toEqual([1, 0]);
      for (const { facts, score } of weighed) if (facts.standing !== "up") expect(score).toBe(0);
    }),
  );
});

test("equals come in random order: each of three is first about as often", () => {
  const hosts = ["a", "b", "c"].map((name) => host(name, absent));
  const firsts = new Map<string, number>();
  for (let seed = 0n; seed < 3_000n; seed++) {
    const first = namesOf(weighHosts(hosts, options, seed))[0] as string;
    firsts.set(first, (firsts.get(first) ?? 0) + 1);
  }
  for (const name of ["a", "b", "c"]) expect(firsts.get(name)).toBeGreaterThan(800);
});

/** Launches one after the other, each where the weights say, each told of; nothing is reported meanwhile. */
function burst(nodes: HostFacts[], count: number): Map<string, number> {
  const launches = new RecentLaunches(60_000);
  const chosen = new Map<string, number>();
  for (let index = 0; index < count; index++) {
    const now = nodes.map((node) => {
      const part: ImagePart =
        node.part.kind === "absent" && launches.isExpected(node.host, "image", 0) ? { kind: "expected" } : node.part;
      return { ...node, part, recentLaunches: launches.launchesOn(node.host, 0) };
    });
    const best = weighHosts(now, options, BigInt(index))[0]!.facts.host;
    launches.record({ digest: "image", nodeId: best, atMs: 0, count: 1 });
    chosen.set(best, (chosen.get(best) ?? 0) + 1);
  }
  return chosen;
}

const nodesWith = (parts: ImagePart[]) =>
  Array.from({ length: 24 }, (_, index) => host(`node-${index}`, parts[index] ?? absent));

test("a burst goes to the nodes that have the image or soon will, not all to one, and causes no fetch elsewhere", () => {
  const chosen = burst(nodesWith([cached, active(0.6, 12), active(0.3, 40)]), 12);
  expect([...chosen.keys()].toSorted()).toEqual(["node-0", "node-1", "node-2"]);
  expect(Math.max(...chosen.values())).toBeLessThan(9);
});

test("a burst where two nodes are fetching the image causes no more than a few further fetches", () => {
  const chosen = burst(nodesWith([active(0.4, 20), active(0.5, 25)]), 24);
  expect(chosen.size).toBeLessThan(10);
  expect(Math.max(...chosen.values())).toBeLessThan(12);
});

test("a burst larger than the nodes that have the image bear goes on to others", () => {
  const chosen = burst(nodesWith([cached]), 24);
  expect(chosen.get("node-0")).toBeLessThan(16);
  expect(chosen.get("node-0")).toBeGreaterThan(5);
  expect(chosen.size).toBeLessThan(16);
});

test("a burst of an image that nobody has does not cause a fetch for each launch, nor go to one node", () => {
  const chosen = burst(nodesWith([]), 12);
  expect([chosen.size > 2, chosen.size < 12]).toEqual([true, true]);
});

test("a launch counts half after each half-life, in whatever order launches are told", () => {
  const launches = new RecentLaunches(1_000);
  launches.record({ digest: "x", nodeId: "n", atMs: 1_000, count: 4 });
  launches.record({ digest: "x", nodeId: "n", atMs: 0, count: 2 });
  expect(launches.launchesOn("n", 1_000)).toBe(5);
  expect(launches.launchesOn("n", 2_000)).toBe(2.5);
  expect(launches.launchesOn("elsewhere", 0)).toBe(0);
  expect([launches.isExpected("n", "x", 2_000), launches.isExpected("n", "x", 60_000)]).toEqual([true, false]);
  expect(launches.isExpected("n", "y", 2_000)).toBe(false);
});

test("launches of nodes beyond number are remembered for some of them only", () => {
  const launches = new RecentLaunches(1_000, 10);
  for (let index = 0; index < 15; index++) {
    launches.record({ digest: `i${index}`, nodeId: `n${index}`, atMs: index, count: 1 });
  }
  expect(launches.launchesOn("n4", 15)).toBe(0);
  expect(launches.launchesOn("n5", 15)).toBeGreaterThan(0.9);
});

test("hosts are found by name in any case, and with or without a domain", () => {
  const nodes = ["compute-1.example.org", "Compute-2", "compute-3.a.org", "compute-3.b.org", "10.0.0.1", "x", "X"];
  const names = new HostNames(nodes.map((name) => ({ id: name, name })));
  const find = (host: string) => names.find(host).map(({ name }) => name);
  expect(find("compute-1")).toEqual(["compute-1.example.org"]);
  expect(find("COMPUTE-1.Example.org")).toEqual(["compute-1.example.org"]);
  expect(find("compute-1.other.org")).toEqual([]);
  expect(find("compute-2.example.org")).toEqual(["Compute-2"]);
  expect(find("compute-3")).toEqual(["compute-3.a.org", "compute-3.b.org"]);
  expect(find("compute-3.b.org")).toEqual(["compute-3.b.org"]);
  expect(find("10")).toEqual([]);
  expect([find("x"), find("X")]).toEqual([["x"], ["X"]]);
  expect(find("")).toEqual([]);
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { ImagePeers } from "../../../seeder/inventory/image-peers.ts";

const at = (host: string) => ({ host, port: 7_411 });
const place = (host: string | undefined, held: string[] | undefined, fetching: string[] = []) => ({
  endpoint: host === undefined ? undefined : at(host),
  lostAtMs: 1_000,
  held,
  fetching,
});
const hosts = (peers: ImagePeers, digest: string, forId: string, nowMs = 0, count = 16) =>
  peers
    .some(digest, forId, count, nowMs, Math.random)
    .map(({ host }) => host)
    .sort();

test("a node is told of those that have the image or fetch it, but not of itself nor of those that are lost", () => {
  const peers = new ImagePeers();
  peers.report("a", place("10.0.0.1", ["x"]));
  peers.report("b", place("10.0.0.2", [], ["x"]));
  peers.report("c", place("10.0.0.3", ["y"]));
  peers.report("d", place(undefined, ["x"]));
  peers.report("e", place("10.0.0.5", [], ["x"]));
  expect(hosts(peers, "x", "e")).toEqual(["10.0.0.1", "10.0.0.2"]);
  expect(hosts(peers, "x", "e", 1_001)).toEqual([]);
  peers.report("b", place("10.0.0.2", undefined));
  peers.forget("a");
  expect(hosts(peers, "x", "e")).toEqual([]);
});

test("of a node whose holdings are as they were, they are still known", () => {
  const peers = new ImagePeers();
  peers.report("a", place("10.0.0.1", ["x"]));
  peers.report("a", place("10.0.0.1", undefined, ["y"]));
  expect([hosts(peers, "x", "z"), hosts(peers, "y", "z")]).toEqual([["10.0.0.1"], ["10.0.0.1"]]);
});

test("an address on the seeder's own machine is told there only", () => {
  const peers = new ImagePeers();
  peers.report("local", place("127.0.0.1", ["x"]));
  peers.report("near", place("127.0.0.1", [], ["x"]));
  peers.report("far", place("10.0.0.9", [], ["x"]));
  expect(hosts(peers, "x", "far")).toEqual([]);
  expect(hosts(peers, "x", "near")).toEqual(["10.0.0.9", "127.0.0.1"]);
});

test("whatever is reported and forgotten, what is told is true, bounded, and told once", () => {
  const digests = fc.uniqueArray(fc.constantFrom("x", "y", "z"));
  const step = fc.record({
    node: fc.nat(6),
    held: fc.option(digests, { nil: undefined }),
    fetching: digests,
    forget: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.nat(4), (steps, count) => {
      const peers = new ImagePeers();
      const truth = new Map<string, { held: string[]; fetching: string[] }>();
      for (const { node, held, fetching, forget } of steps) {
        const id = `10.0.0.${node}`;
        if (forget) {
          peers.forget(id);
          truth.delete(id);
          continue;
        }
        peers.report(id, place(id, held, fetching));
        truth.set(id, { held: held ?? truth.get(id)?.held ?? [], fetching });
        const has = [...truth].filter(([, part]) => part.held.includes("x") || part.fetching.includes("x"));
        const told = hosts(peers, "x", "nobody", 0, count);
        expect(new Set(told).size).toBe(told.length);
        expect(told.length).toBeLessThanOrEqual(count);
        for (const host of told) expect(has.map(([id]) => id)).toContain(host);
        if (has.length <= count) expect(told).toHaveLength(has.length);
      }
    }),
  );
});

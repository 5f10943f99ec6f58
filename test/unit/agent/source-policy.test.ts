import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  chooseSource,
  quietMsMax,
  type SourceRules,
  type SourceSituation,
} from "../../../agent/fetch/source-policy.ts";

const rules: SourceRules = { fallback: "budgeted", swarmPatienceMs: 5_000, stallMs: 10_000, demandPatienceMs: 1_000 };
const fresh: SourceSituation = {
  infoKnown: false,
  torrentRefused: false,
  lackingPieces: 0,
  peersMet: false,
  peersUseful: true,
  swarmQuietMs: 0,
  swarmBytesPerSecond: 0,
  httpBytesPerSecond: 0,
  httpJoined: false,
  demandWaitedMs: 0,
};
const choose = (situation: Partial<SourceSituation>, changed: Partial<SourceRules> = {}) =>
  chooseSource({ ...fresh, ...situation }, { ...rules, ...changed });

describe("an image with a magnet link", () => {
  test("comes by the swarm while there is patience left", () => {
    expect(choose({ swarmQuietMs: 4_999 })).toBe("swarm");
  });
  test("has the origin asked for its torrent when no peer is found that tells what the pieces are", () => {
    expect(choose({ swarmQuietMs: 5_000 })).toBe("http-torrent");
  });
  test("comes by HTTP alone when the origin does not tell it either", () => {
    expect(choose({ swarmQuietMs: 5_000, torrentRefused: true })).toBe("http-only");
    expect(choose({ swarmQuietMs: 5_000, torrentRefused: true, infoKnown: true })).toBe("http-join");
  });
  test("gets HTTP as one more source when the pieces are known but nobody has them", () => {
    expect(choose({ swarmQuietMs: 5_000, infoKnown: true })).toBe("http-join");
  });
  test("waits longer for peers that are there", () => {
    expect(choose({ swarmQuietMs: 9_999, peersMet: true, infoKnown: true })).toBe("swarm");
    expect(choose({ swarmQuietMs: 10_000, peersMet: true, infoKnown: true })).toBe("http-join");
  });
  test("waits no longer for peers that have nothing than for none", () => {
    const useless = { peersMet: true, peersUseful: false };
    expect(choose({ ...useless, swarmQuietMs: 4_999 })).toBe("swarm");
    expect(choose({ ...useless, swarmQuietMs: 5_000 })).toBe("http-torrent");
    expect(choose({ ...useless, swarmQuietMs: 5_000, infoKnown: true })).toBe("http-join");
  });
  test("keeps HTTP until the swarm alone does better", () => {
    const joined = { infoKnown: true, peersMet: true, httpJoined: true };
    expect(choose({ ...joined, swarmBytesPerSecond: 10, httpBytesPerSecond: 20 })).toBe("http-join");
    expect(choose({ ...joined, swarmBytesPerSecond: 30, httpBytesPerSecond: 20 })).toBe("swarm");
    expect(choose({ ...joined, swarmBytesPerSecond: 30, swarmQuietMs: 10_000 })).toBe("http-join");
  });
  test("takes by HTTP what nobody has while peers deliver the rest, and anything when they do not", () => {
    const joined = { infoKnown: true, peersMet: true, httpJoined: true, lackingPieces: 3, swarmBytesPerSecond: 30 };
    expect(choose(joined)).toBe("http-fill");
    expect(choose({ ...joined, swarmQuietMs: 10_000 })).toBe("http-join");
    expect(choose({ ...joined, lackingPieces: 0 })).toBe("swarm");
  });
});

describe("while reads wait", () => {
  test("HTTP stands by for what they wait for, and brings more only where it would anyway", () => {
    expect(choose({ infoKnown: true, demandWaitedMs: 1 })).toBe("http-demand");
    expect(choose({ infoKnown: true, demandWaitedMs: 1, swarmQuietMs: 5_000 })).toBe("http-join");
  });
  test("the origin is asked what the pieces are as soon as the reads have waited for long enough", () => {
    expect(choose({ demandWaitedMs: 999 })).toBe("swarm");
    expect(choose({ demandWaitedMs: 1_000 })).toBe("http-torrent");
    expect(choose({ demandWaitedMs: 1_000, torrentRefused: true })).toBe("swarm");
  });
});

test("with the switch off, HTTP is never used, whatever happens", () => {
  const situation = fc.record({
    infoKnown: fc.boolean(),
    torrentRefused: fc.boolean(),
    lackingPieces: fc.nat(),
    peersMet: fc.boolean(),
    peersUseful: fc.boolean(),
    swarmQuietMs: fc.nat(),
    swarmBytesPerSecond: fc.nat(),
    httpBytesPerSecond: fc.nat(),
    httpJoined: fc.boolean(),
    demandWaitedMs: fc.nat(),
  });
  fc.assert(fc.property(situation, (each) => choose(each, { fallback: "off" }) === "swarm"));
});

describe("when nothing at all arrives, a fetch ends", () => {
  const quiet = (situation: Partial<Parameters<typeof quietMsMax>[0]>) =>
    quietMsMax({ peers: 0, peersMet: false, refusal: undefined, ...situation }, { ...rules, giveUpMs: 600_000 });

  test("after the time set for it, as long as asking again may help", () => {
    expect(quiet({})).toBe(600_000);
    expect(quiet({ peers: 3, peersMet: true })).toBe(600_000);
  });
  test("soon, when the seeder has no such image any more and no peer is there", () => {
    expect(quiet({ refusal: "not-found" })).toBe(5_000);
    expect(quiet({ refusal: "not-found", peersMet: true })).toBe(10_000);
    expect(quiet({ refusal: "not-found", peersMet: true, peers: 1 })).toBe(600_000);
  });
  test("soon, peers or none, when the seeder serves something else", () => {
    expect(quiet({ refusal: "data-loss", peersMet: true, peers: 3 })).toBe(10_000);
  });
  test("never later than without a refusal", () => {
    const situation = { peers: 0, peersMet: true, refusal: "data-loss" as const };
    expect(quietMsMax(situation, { ...rules, giveUpMs: 1_000 })).toBe(1_000);
  });
});

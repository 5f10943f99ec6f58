/** What goes wrong in a small swarm, drawn from a seed: plain data, so that it can be read when a seed fails. */
import type { Random } from "./random.ts";
import type { Conduct } from "./storage.ts";

export interface NodePlan {
  conduct: Conduct;
  /** Of the pieces, the part about which a dishonest node lies. */
  liesAbout: number;
  /** It has everything from the beginning. */
  isSeed: boolean;
  /** It knows the info dictionary, not the infohash alone. */
  knowsInfo: boolean;
  startsAtMs: number;
  upMbit: number;
  downMbit: number;
  latencyMs: number;
}

export type Fault =
  /** Its process is killed, and its kernel closes the connections. */
  | { kind: "kill"; atMs: number; node: number; forMs: number }
  /** It vanishes without a word; what was written last is lost. */
  | { kind: "powerCut"; atMs: number; node: number; forMs: number }
  /** It ends in order, and starts again. */
  | { kind: "restart"; atMs: number; node: number; forMs: number }
  /** It neither reads nor sends, and its connections stay. */
  | { kind: "stall"; atMs: number; node: number; forMs: number }
  /** These reach only each other. */
  | { kind: "partition"; atMs: number; nodes: number[]; forMs: number }
  /** No look-up finds anybody, no announcement reaches anybody. */
  | { kind: "dhtOutage"; atMs: number; forMs: number };

export interface FaultPlan {
  pieceCount: number;
  pieceLengthBytes: number;
  /** Bytes that the last piece lacks. */
  shortByBytes: number;
  nodes: NodePlan[];
  /** Whether nodes are told the first seed's address; otherwise they have the DHT alone. */
  isSeedGiven: boolean;
  faults: Fault[];
}

/** `forMs` of what never comes back. */
export const forEver = Number.POSITIVE_INFINITY;

const kinds = ["kill", "powerCut", "restart", "stall", "partition", "dhtOutage"] as const;

/** One swarm in so many is large enough to reach the bounds on connections and slots. */
const crowdEvery = 16;

export function faultPlanFrom(random: Random): FaultPlan {
  const isCrowd = random.below(crowdEvery) === 0;
  const leechers = isCrowd ? random.whole(62, 90) : random.whole(4, 24);
  const pieceLengthBytes = 16 * 1024 * 2 ** random.below(isCrowd ? 2 : 4);
  const imageBytes = 1024 * (isCrowd ? random.whole(64, 256) : random.whole(64, 1_536));
  const pieceCount = Math.ceil(imageBytes / pieceLengthBytes);
  const shortByBytes = random.chance(0.7) ? random.below(pieceLengthBytes) : 0;
  // At the typical rate faults come while pieces travel, and some before and after.
  const mbit = random.pick([4, 10, 40, 100]);
  const nodes: NodePlan[] = [];
  const seeds = random.whole(1, 2);
  const liars = random.chance(0.6) ? random.whole(1, Math.max(1, Math.floor(leechers / 4))) : 0;
  for (let count = 0; count < seeds + leechers + liars; count++) {
    const role = count < seeds ? "seed" : count < seeds + leechers ? "leecher" : "liar";
    nodes.push(nodePlan(role, mbit, random));
  }
  const limitMs = (imageBytes * 8) / (mbit * 1_000);
  const spanMs = random.between(2, 6) * limitMs + 2_000;
  const faults: Fault[] = [];
  const count = random.whole(0, isCrowd ? 12 : 8);
  for (let made = 0; made < count; made++) faults.push(faultFrom(random, nodes, spanMs));
  faults.sort((a, b) => a.atMs - b.atMs);
  return { pieceCount, pieceLengthBytes, shortByBytes, nodes, isSeedGiven: random.chance(0.7), faults };
}

function nodePlan(role: "seed" | "leecher" | "liar", mbit: number, random: Random): NodePlan {
  const isSlow = random.chance(0.15);
  const slowness = isSlow ? random.between(3, 30) : 1;
  const conduct: Conduct = role === "liar" ? random.pick(["refuses", "silent", "corrupts"]) : "honest";
  // Who corrupts what it serves may have got it like everybody else: bad memory.
  const isSeed = role === "seed" || (role === "liar" && (conduct !== "corrupts" || random.chance(0.5)));
  return {
    ...{ conduct, isSeed },
    liesAbout: role === "liar" ? random.pick([0.1, 0.5, 1]) : 0,
    knowsInfo: isSeed || random.chance(0.3),
    startsAtMs: role === "seed" ? 0 : random.between(0, random.chance(0.2) ? 5_000 : 200),
    upMbit: mbit / slowness,
    downMbit: mbit / (isSlow && random.chance(0.5) ? 1 : slowness),
    latencyMs: random.chance(0.2) ? random.between(1, 100) : 0.25,
  };
}

function faultFrom(random: Random, nodes: readonly NodePlan[], spanMs: number): Fault {
  const kind = random.pick(kinds);
  const atMs = random.between(0, spanMs);
  // From a hiccup to longer than any timeout of a request; few outlast a connection's.
  const forMs = 50 * 2 ** random.between(0, random.chance(0.1) ? 12 : 10);
  if (kind === "partition") {
    const all = nodes.map((_, node) => node);
    return { kind, atMs, forMs, nodes: random.sample(all, random.whole(1, nodes.length - 1)) };
  }
  if (kind === "dhtOutage") return { kind, atMs, forMs };
  const node = random.below(nodes.length);
  // The first seed comes back, so that every piece has a live path in the end.
  const isForEver = node !== 0 && kind !== "restart" && random.chance(0.25);
  return { kind, atMs, node, forMs: isForEver ? forEver : forMs };
}

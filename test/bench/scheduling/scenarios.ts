/** What is compared: the paper's four scenarios, and ours. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { WeighOptionsSchema } from "../../../proto/gen/bootswarm/seeder/v1/placement_pb.js";

export type Weighing = MessageInitShape<typeof WeighOptionsSchema>;

/** Which of the hosts with room a VM is started on: any, or the best by the seeder's weights. */
export type Scheduling = { kind: "random" } | { kind: "weighed"; options: Weighing; recordLaunches: boolean };

export interface Scenario {
  /** As in --scenarios. */
  key: string;
  /** For people. */
  name: string;
  /** Whether images have magnet links; without, agents have them by HTTP. */
  torrents: boolean;
  scheduling: Scheduling;
  /** Whether images come to nodes ahead of need. */
  prefetches: boolean;
  seederSettings: string[];
  agentSettings: string[];
}

/** What the seeder's placement has in seconds and halves by, and the least that it takes. */
const inFlightHalfSeconds = { usual: 30, least: 1 };
const launchHalfLifeMs = { usual: 60_000, least: 1_000 };
/** What its prefetching has in time, and the least interval between plans here: they are made of reports, a second apart. */
const popularityHalfLifeMs = 3 * 86_400_000;
const planIntervalMs = { usual: 30_000, least: 1_000 };

/** The paper's w: 1 where the image is cached, else 0; what is on its way does not count, nor how busy a host is. */
const papersRule: Scheduling = {
  kind: "weighed",
  options: { cacheMultiplier: 1, spreadMultiplier: 0, countInFlight: false },
  recordLaunches: false,
};

/** The lab's measures, by which what daemons have in time and rates is scaled. */
export interface Scale {
  /** Seconds of the paper's that pass in one of the lab's. */
  timeScale: number;
  linkBitsPerSecond: number;
}

/** All scenarios, in the order in which they are shown. */
export function scenariosFor(scale: Scale): Scenario[] {
  const plain = { prefetches: false, seederSettings: [], agentSettings: [] };
  const random: Scheduling = { kind: "random" };
  return [
    { key: "http-default", name: "HTTP, default", torrents: false, scheduling: random, ...plain },
    { key: "http-cache", name: "HTTP, cache-aware", torrents: false, scheduling: papersRule, ...plain },
    { key: "swarm-default", name: "BitTorrent, default", torrents: true, scheduling: random, ...plain },
    { key: "swarm-cache", name: "BitTorrent, cache-aware", torrents: true, scheduling: papersRule, ...plain },
    ours("in-flight", "in-flight-aware", {}, scale),
    prefetching(scale),
  ];
}

/** The in-flight-aware scenario with other weights: `--try LABEL=JSON`. */
export function triedScenario(label: string, options: Weighing, scale: Scale): Scenario {
  return ours(label, label, options, scale);
}

function ours(key: string, name: string, options: Weighing, { timeScale }: Scale): Scenario {
  const halfSeconds = Math.max(inFlightHalfSeconds.usual / timeScale, inFlightHalfSeconds.least);
  const halfLifeMs = scaledMs(launchHalfLifeMs, timeScale);
  return {
    key,
    name,
    torrents: true,
    scheduling: {
      kind: "weighed",
      options: { inFlightHalfSeconds: halfSeconds, ...options },
      recordLaunches: true,
    },
    prefetches: false,
    seederSettings: [`placement.launchHalfLifeMs=${halfLifeMs}`],
    agentSettings: [],
  };
}

/** The same, and images come to nodes by popularity; all nodes together take as much for that as one link carries. */
function prefetching(scale: Scale): Scenario {
  const base = ours("prefetch", "in-flight-aware, prefetch", {}, scale);
  const { timeScale, linkBitsPerSecond } = scale;
  const settings = [
    "prefetch.mode=on",
    `prefetch.halfLifeMs=${Math.round(popularityHalfLifeMs / timeScale)}`,
    `prefetch.planIntervalMs=${scaledMs(planIntervalMs, timeScale)}`,
    `prefetch.zoneBytesPerSecondMax=${linkBitsPerSecond / 8}`,
  ];
  return { ...base, prefetches: true, seederSettings: [...base.seederSettings, ...settings] };
}

function scaledMs({ usual, least }: { usual: number; least: number }, timeScale: number): number {
  return Math.max(Math.round(usual / timeScale), least);
}

/**
 * A trace of launches on a zone of nodes, with the production code deciding: placement weighs the hosts that have room for
 * a machine, each node's cache evicts and admits, popularity counts, and the plan brings images ahead of need.
 */

import { placementConfigSchema } from "../../../seeder/placement/config.ts";
import { RecentLaunches } from "../../../seeder/placement/recent-launches.ts";
import { type HostFacts, weighHosts } from "../../../seeder/placement/weigh.ts";
import { prefetchConfigSchema } from "../../../seeder/prefetch/config.ts";
import { planZone, type Standing } from "../../../seeder/prefetch/plan.ts";
import { Popularity } from "../../../seeder/prefetch/popularity.ts";
import { Random } from "../../sim/random.ts";
import type { Launch } from "../eviction/trace.ts";
import { NodeCache } from "./node-cache.ts";

export interface Setting {
  nodes: number;
  /** Of each node. */
  cacheBytes: number;
  /** Machines that a node has room for, and how long one runs on average. */
  slots: number;
  lifeMs: number;
  scheduler: "cache-aware" | "random";
  prefetch: boolean;
  halfLifeMs: number;
  /** Time from one plan to the next, and what all prefetches get together. */
  planIntervalMs: number;
  zoneBytesPerSecond: number;
  /** Launches at the beginning that are not counted. */
  warmUp: number;
  seed: number;
}

export interface Figures {
  hitRate: number;
  byteHitRate: number;
  /** Bytes brought ahead of need, by bytes that launches had to wait for. */
  prefetchedByFetched: number;
  /** Of images brought ahead of need, those that were asked for before they went. */
  usedShare: number;
}

interface Host {
  id: string;
  cache: NodeCache;
  machines: number;
}

interface Event {
  atMs: number;
  run: () => void;
}

function partOf(cache: NodeCache, image: string): HostFacts["part"] {
  if (cache.has(image)) return { kind: "cached" };
  return cache.coming?.image === image ? { kind: "active", fraction: 0.5, etaSeconds: undefined } : { kind: "absent" };
}

export function replay(launches: readonly Launch[], setting: Setting): Figures {
  return new Replay(launches, setting).run();
}

class Replay {
  readonly #launches: readonly Launch[];
  readonly #setting: Setting;
  readonly #random: Random;
  readonly #hosts: Host[];
  readonly #byId: Map<string, Host>;
  readonly #popularity: Popularity;
  readonly #recent: RecentLaunches;
  readonly #sizes = new Map<string, number>();
  readonly #copies = new Map<string, number>();
  readonly #rests = new Map<string, number>();
  /** In order of time. */
  #events: Event[] = [];
  readonly #counted = { launches: 0, hits: 0, bytes: 0, hitBytes: 0, brought: 0, broughtBytes: 0, used: 0 };

  constructor(launches: readonly Launch[], setting: Setting) {
    this.#launches = launches;
    this.#setting = setting;
    this.#random = new Random(setting.seed);
    this.#hosts = Array.from({ length: setting.nodes }, (_, index) => ({
      id: `node-${index}`,
      cache: new NodeCache(setting.cacheBytes),
      machines: 0,
    }));
    this.#byId = new Map(this.#hosts.map((host) => [host.id, host]));
    this.#popularity = new Popularity(setting.halfLifeMs);
    this.#recent = new RecentLaunches(placementConfigSchema.parse({}).launchHalfLifeMs);
  }

  run(): Figures {
    let planAtMs = 0;
    this.#launches.forEach((launch, index) => {
      for (; this.#setting.prefetch && planAtMs <= launch.atMs; planAtMs += this.#setting.planIntervalMs) {
        this.#until(planAtMs);
        this.#plan(planAtMs);
      }
      this.#until(launch.atMs);
      this.#launch(launch, index >= this.#setting.warmUp);
    });
    const { launches, hits, bytes, hitBytes, brought, broughtBytes, used } = this.#counted;
    return {
      hitRate: hits / launches,
      byteHitRate: hitBytes / bytes,
      prefetchedByFetched: broughtBytes / Math.max(1, bytes - hitBytes),
      usedShare: used / Math.max(1, brought),
    };
  }

  #launch({ atMs, image, sizeBytes }: Launch, isCounted: boolean): void {
    this.#sizes.set(image, sizeBytes);
    const host = this.#choose(image, atMs);
    this.#popularity.add("", image, 1, atMs);
    this.#recent.record({ digest: image, nodeId: host.id, atMs, count: 1 });
    host.machines++;
    this.#at(atMs - Math.log(1 - this.#random.next()) * this.#setting.lifeMs, () => {
      host.machines--;
    });
    const { hit, wasAhead } = this.#changing(host, () => host.cache.use(image, sizeBytes, atMs));
    if (!isCounted) return;
    this.#counted.launches++;
    this.#counted.bytes += sizeBytes;
    if (hit) this.#counted.hits++;
    if (hit) this.#counted.hitBytes += sizeBytes;
    if (wasAhead) this.#counted.used++;
  }

  /** Filters those that have room, and weighs them. */
  #choose(image: string, atMs: number): Host {
    const { slots, scheduler } = this.#setting;
    const free = this.#hosts.filter(({ machines }) => machines < slots);
    const some = free.length > 0 ? free : this.#hosts;
    if (scheduler === "random") return some[this.#random.below(some.length)] as Host;
    const facts: HostFacts[] = some.map(({ id, cache }) => ({
      host: id,
      standing: "up",
      part: partOf(cache, image),
      hasBootImage: false,
      recentLaunches: this.#recent.launchesOn(id, atMs),
      otherFetches: cache.coming ? 1 : 0,
    }));
    const options = { ...placementConfigSchema.parse({}), countInFlight: true };
    const [best] = weighHosts(facts, options, BigInt(this.#random.below(2 ** 31)));
    return this.#byId.get(best?.facts.host as string) as Host;
  }

  #plan(atMs: number): void {
    const { scheduler, nodes, zoneBytesPerSecond } = this.#setting;
    const standing: Standing[] = [];
    const coming = new Map<string, number>();
    for (const { id, cache } of this.#hosts) {
      if (!cache.coming) continue;
      standing.push({ digest: cache.coming.image, nodeId: id, isBegun: true });
      coming.set(cache.coming.image, (coming.get(cache.coming.image) ?? 0) + 1);
    }
    this.#popularity.forgetOld(atMs);
    const underWayMax = Math.max(1, Math.min(nodes, Math.ceil(zoneBytesPerSecond / 4e6)));
    const choiceShare = scheduler === "random" ? 0.001 : undefined;
    const rules = { ...prefetchConfigSchema.parse({ ...(choiceShare && { choiceShare }) }), underWayMax };
    const plan = planZone({
      rules,
      nodeCount: nodes,
      nodes: this.#hosts.map(({ id, cache }) => {
        const { budgetBytes, usedBytes, roomBytes } = cache.allowance();
        return { id, roomBytes: budgetBytes - usedBytes, freeBytes: roomBytes, fetches: cache.coming ? 1 : 0 };
      }),
      images: [...this.#popularity.scores("", atMs)].map(([digest, score]) => ({
        digest,
        sizeBytes: this.#sizes.get(digest) as number,
        score,
        copies: this.#copies.get(digest) ?? 0,
        copiesComing: coming.get(digest) ?? 0,
      })),
      standing,
      isBarred: (nodeId, digest) =>
        this.#byId.get(nodeId)?.cache.has(digest) === true || (this.#rests.get(`${nodeId} ${digest}`) ?? 0) > atMs,
    });
    for (const { nodeId, digest, missesAverted } of plan.assignments) {
      const host = this.#byId.get(nodeId) as Host;
      if (!host.cache.coming) this.#bring(host, digest, missesAverted, atMs, zoneBytesPerSecond / underWayMax);
    }
  }

  #bring(host: Host, image: string, expectedUses: number, atMs: number, bytesPerSecond: number): void {
    const sizeBytes = this.#sizes.get(image) as number;
    const isAdmitted = this.#changing(host, () => host.cache.bring(image, sizeBytes, expectedUses, atMs));
    if (!isAdmitted) {
      this.#rests.set(`${host.id} ${image}`, atMs + 1_800_000);
      return;
    }
    const { coming } = host.cache;
    this.#counted.brought++;
    this.#counted.broughtBytes += sizeBytes;
    this.#at(atMs + (sizeBytes * 1_000) / bytesPerSecond, () => {
      if (host.cache.coming === coming) this.#changing(host, () => host.cache.arrived());
    });
  }

  /** Keeps count of copies while a cache changes. */
  #changing<T>(host: Host, change: () => T): T {
    const before = [...host.cache.images];
    const result = change();
    for (const image of before) if (!host.cache.has(image)) this.#count(image, -1);
    const known = new Set(before);
    for (const image of host.cache.images) if (!known.has(image)) this.#count(image, 1);
    return result;
  }

  #count(image: string, more: number): void {
    this.#copies.set(image, (this.#copies.get(image) ?? 0) + more);
  }

  #at(atMs: number, run: () => void): void {
    let index = this.#events.length;
    while (index > 0 && (this.#events[index - 1] as Event).atMs > atMs) index--;
    this.#events.splice(index, 0, { atMs, run });
  }

  #until(atMs: number): void {
    let done = 0;
    while (done < this.#events.length && (this.#events[done] as Event).atMs <= atMs)
      (this.#events[done++] as Event).run();
    this.#events = this.#events.slice(done);
  }
}

/**
 * Prefetching at the seeder: takes in launches and reports, keeps popularity and the plan made from it, and says what each
 * node is to be told. The parts decide; this gives them their turns.
 */
import type { Log } from "../../daemon/log.ts";
import { messageOf } from "../../daemon/problem.ts";
import type { NodeReport } from "../inventory/facts.ts";
import type { Inventory } from "../inventory/inventory.ts";
import type { PrefetchStore } from "../store/prefetch-store.ts";
import type { PrefetchConfig } from "./config.ts";
import { directivesFor, type NodeDirective, type Wished } from "./directives.ts";
import type { Launch, Launches } from "./launches.ts";
import { prefetchesKeptMs } from "./limits.ts";
import { NodeReports } from "./node-reports.ts";
import { OperatorPrefetches } from "./operator-prefetches.ts";
import { type LaunchableImage, PlanKeeper } from "./plan-keeper.ts";
import { Popularity, scoreMin } from "./popularity.ts";
import { type UseSeen, usesSeen } from "./uses-seen.ts";

/** How often prefetches are looked after, and launches written down: a crash loses no more of them. */
const followIntervalMs = 1_000;
/** How often the store is asked what other seeders have counted and started. */
const refreshIntervalMs = 5_000;
/** How often what is of no use any more is removed from the store. */
const forgetIntervalMs = 3_600_000;
/** So long after a scheduler told of a launch in a zone, what nodes of the zone report is not counted beside it. */
const schedulerTrustedMs = 86_400_000;
/** Zones whose schedulers are kept in mind: more than anybody has. */
const launchZonesMax = 10_000;

export interface PrefetchesOptions {
  store: PrefetchStore;
  /** Of other seeders that use the store, too; undefined for a seeder that is alone. */
  shared: { seederId: string; liveIds: () => ReadonlySet<string> } | undefined;
  inventory: Inventory;
  /** All images of the catalog but boot images. */
  images: () => Promise<LaunchableImage[]>;
  config: PrefetchConfig;
  nowMs: () => number;
  newId: () => string;
  onDirective: (kind: NodeDirective["kind"]) => void;
  /** An image that was brought ahead of need was asked for, the first time. */
  onPrefetchUsed: () => void;
  onPlanned: (seconds: number) => void;
  log: Log;
}

export class Prefetches implements Launches {
  readonly popularity: Popularity;
  readonly reports: NodeReports;
  readonly plan: PlanKeeper;
  readonly asked: OperatorPrefetches;
  readonly #options: PrefetchesOptions;
  /** When a scheduler last told of a launch, by zone. */
  #launchZones = new Map<string, number>();
  readonly #timers: NodeJS.Timeout[] = [];
  /** One piece of work with the store after the other. */
  #working: Promise<void> = Promise.resolve();

  private constructor(options: PrefetchesOptions) {
    this.#options = options;
    const { inventory, images, config, nowMs, store, shared, newId, log } = options;
    this.reports = new NodeReports((id) => inventory.record(id)?.elsewhere !== undefined);
    this.popularity = new Popularity(config.halfLifeMs);
    this.plan = new PlanKeeper({
      inventory,
      reports: this.reports,
      popularity: this.popularity,
      images,
      config,
      nowMs,
      planAlone: async (plan) => {
        if (!shared) await plan([]);
        else await store.planAlone(shared.seederId, shared.liveIds(), plan);
      },
    });
    this.asked = new OperatorPrefetches({ store, inventory, reports: this.reports, nowMs, newId, log });
  }

  static async open(options: PrefetchesOptions): Promise<Prefetches> {
    const prefetches = new Prefetches(options);
    const { store, config, shared } = options;
    prefetches.popularity.load(await store.loadPopularity());
    prefetches.#launchZones = await store.loadLaunchZones();
    await prefetches.asked.load();
    prefetches.#every(followIntervalMs, () => prefetches.#follow());
    prefetches.#every(forgetIntervalMs, () => prefetches.#forget());
    if (shared) prefetches.#every(refreshIntervalMs, () => prefetches.#refresh());
    if (config.mode !== "off") prefetches.#every(config.planIntervalMs, () => prefetches.#remakePlan());
    return prefetches;
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#working;
    await this.#follow().catch((error: unknown) => this.#warn(error));
    await this.asked.save();
  }

  /** A scheduler tells of a launch. */
  record({ digest, nodeId, atMs, count }: Launch): void {
    const { inventory, nowMs, store } = this.#options;
    const zone = inventory.lookup(nodeId, nowMs())?.node.zone ?? "";
    this.popularity.add(zone, digest, count, Math.min(atMs, nowMs()));
    const lastMs = this.#launchZones.get(zone) ?? 0;
    if (!this.#launchZones.has(zone) && this.#launchZones.size >= launchZonesMax) return;
    this.#launchZones.set(zone, nowMs());
    // Written down now and then: what matters is the day.
    if (nowMs() - lastMs > schedulerTrustedMs / 24) this.#work(() => store.noteLaunchZone(zone, nowMs()));
  }

  /** What the report tells beyond what is known of the node. To be asked before the inventory takes the report in. */
  usesIn(report: NodeReport): UseSeen[] {
    const { inventory, nowMs } = this.#options;
    const { id } = report.node;
    const atMs = nowMs();
    return usesSeen(
      {
        holding: (digest) => inventory.partOf(id, digest, atMs)?.holding,
        fetch: (digest) => inventory.partOf(id, digest, atMs)?.fetch,
      },
      report,
      atMs,
    );
  }

  /**
   * Takes a report in that the inventory has taken.
   *
   * @param uses that were seen in it, as `usesIn` told
   * @returns what the node is to be told
   */
  reported(report: NodeReport, uses: readonly UseSeen[]): NodeDirective[] {
    const { node } = report;
    const { nowMs, inventory, config, onDirective, onPrefetchUsed } = this.#options;
    const isTold = nowMs() - (this.#launchZones.get(node.zone) ?? Number.NEGATIVE_INFINITY) < schedulerTrustedMs;
    for (const { digest, atMs, wasPrefetched } of uses) {
      if (wasPrefetched) onPrefetchUsed();
      if (!isTold) this.popularity.add(node.zone, digest, 1, atMs);
    }
    const { prefetches } = this.reports.take(report);
    for (const { digest, prefetchId, error } of prefetches.values()) {
      if (error === undefined) continue;
      if (prefetchId === "") this.plan.refused(node.id, digest);
      else this.asked.failed(node.id, prefetchId, error);
    }
    const directives = directivesFor(this.#wishesFor(node.id), {
      reported: prefetches,
      isComing: (digest) => inventory.partOf(node.id, digest, nowMs()) !== undefined && !prefetches.has(digest),
      isTolerated: ({ prefetchId, digest }) =>
        prefetchId === ""
          ? config.mode === "on" && !this.plan.isWithdrawn(node.id, digest)
          : !this.asked.isOver(prefetchId),
    });
    for (const { kind } of directives) onDirective(kind);
    return directives;
  }

  #wishesFor(nodeId: string): Wished[] {
    const wishes = this.asked.wishesFor(nodeId);
    const assigned = this.#options.config.mode === "on" ? this.plan.assignedTo(nodeId) : undefined;
    if (!assigned || wishes.some(({ digest }) => digest === assigned.digest)) return wishes;
    const { digest, missesAverted: expectedUses, bytesPerSecondMax } = assigned;
    return [...wishes, { digest, prefetchId: "", expectedUses, bytesPerSecondMax }];
  }

  async #follow(): Promise<void> {
    const { store, config } = this.#options;
    this.asked.follow();
    const pending = this.popularity.takePending();
    if (pending.length === 0) return;
    try {
      await store.addPopularity(pending, config.halfLifeMs);
    } catch (error) {
      this.popularity.giveBack(pending);
      throw error;
    }
  }

  async #refresh(): Promise<void> {
    const { store } = this.#options;
    await this.#follow();
    this.popularity.load(await store.loadPopularity());
    this.#launchZones = new Map([...this.#launchZones, ...(await store.loadLaunchZones())]);
    await this.asked.load();
  }

  async #forget(): Promise<void> {
    const { store, config, nowMs } = this.#options;
    await store.forgetPopularity(scoreMin, nowMs(), config.halfLifeMs);
    await store.forgetPrefetches(nowMs() - prefetchesKeptMs);
    this.asked.forgetOld();
  }

  async #remakePlan(): Promise<void> {
    const startMs = performance.now();
    await this.plan.remake();
    this.#options.onPlanned((performance.now() - startMs) / 1_000);
  }

  #every(intervalMs: number, work: () => Promise<void>): void {
    let isUnderWay = false;
    const timer = setInterval(() => {
      if (isUnderWay) return;
      isUnderWay = true;
      this.#work(() =>
        work().finally(() => {
          isUnderWay = false;
        }),
      );
    }, intervalMs);
    this.#timers.push(timer);
  }

  /** Whatever fails is tried again in its next turn. */
  #work(work: () => Promise<void>): void {
    this.#working = this.#working.then(work).catch((error: unknown) => this.#warn(error));
  }

  #warn(error: unknown): void {
    this.#options.log.error({ error: messageOf(error) }, "cannot look after prefetching; trying again");
  }
}

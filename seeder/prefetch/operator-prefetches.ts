/** The prefetches that operators have started, under way or ended lately; kept in the store, and followed in the inventory. */
import type { Log } from "../../daemon/log.ts";
import { messageOf, Problem } from "../../daemon/problem.ts";
import type { Inventory } from "../inventory/inventory.ts";
import type { PrefetchStore } from "../store/prefetch-store.ts";
import type { Wished } from "./directives.ts";
import { prefetchesKeptMs, prefetchesRunningMax, prefetchLifeMs } from "./limits.ts";
import type { NodeReports } from "./node-reports.ts";
import {
  chooseTargets,
  endIfOver,
  type OperatorPrefetch,
  type PrefetchTarget,
  type TargetCandidate,
} from "./operator-prefetch.ts";

export interface OperatorPrefetchesOptions {
  store: PrefetchStore;
  inventory: Inventory;
  reports: NodeReports;
  nowMs: () => number;
  newId: () => string;
  log: Log;
}

/** What an operator asks for. */
export interface PrefetchAsked {
  digest: string;
  name: string;
  sizeBytes: number;
  /** Ids or names; none if the nodes are to be chosen. */
  nodes: readonly string[];
  zone: string;
  count: number;
}

export class OperatorPrefetches {
  readonly #options: OperatorPrefetchesOptions;
  #prefetches = new Map<string, OperatorPrefetch>();
  /** Of those that run, by node. */
  #byNode = new Map<string, Set<OperatorPrefetch>>();
  #unsaved = new Set<OperatorPrefetch>();
  #saving: Promise<void> = Promise.resolve();

  constructor(options: OperatorPrefetchesOptions) {
    this.#options = options;
  }

  /** Takes in what the store has: at the start, and what other seeders have changed. */
  async load(): Promise<void> {
    await this.#saving;
    const { store, nowMs } = this.#options;
    const loaded = await store.loadPrefetches(nowMs() - prefetchesKeptMs);
    for (const prefetch of loaded) {
      const known = this.#prefetches.get(prefetch.id);
      if (!known) this.#keep(prefetch);
      else this.#merge(known, prefetch);
    }
  }

  /** The latest first. */
  list(): OperatorPrefetch[] {
    return [...this.#prefetches.values()].sort((a, b) => b.createdAtMs - a.createdAtMs || (a.id < b.id ? -1 : 1));
  }

  get runningCount(): number {
    return this.list().filter(({ state }) => state === "running").length;
  }

  /** @throws Problem "not-found". */
  get(id: string): OperatorPrefetch {
    const prefetch = this.#prefetches.get(id);
    if (!prefetch) throw new Problem("not-found", `there is no prefetch "${id}"; \`bootswarm prefetches\` lists them`);
    return prefetch;
  }

  /**
   * Starts one.
   *
   * @throws Problem "not-found" for a node that has never reported or a zone that no node is in; "conflict" for an agent
   * that cannot; "exhausted" if too many run; "invalid" for more nodes than there are
   */
  async start({ nodes, ...asked }: PrefetchAsked): Promise<OperatorPrefetch> {
    const { inventory, reports, nowMs, newId, store, log } = this.#options;
    if (this.runningCount >= prefetchesRunningMax) {
      throw new Problem("exhausted", `${prefetchesRunningMax} prefetches run already; cancel some, or wait for them`);
    }
    const named = nodes.map((node) => inventory.node(node, nowMs()).node);
    for (const { id, name } of named) {
      if (!reports.has(id) || reports.of(id).allowance) continue;
      throw new Problem("conflict", `the agent of node ${name} knows nothing of prefetching; update it`);
    }
    const nodeIds = [...new Set(named.map(({ id }) => id))];
    const ends = { state: "running" as const, createdAtMs: nowMs(), endedAtMs: undefined };
    const prefetch: OperatorPrefetch = { id: newId(), ...asked, nodeIds, ...ends, targets: new Map() };
    for (const id of nodeIds) prefetch.targets.set(id, pending);
    if (nodeIds.length === 0) this.#chooseFirst(prefetch);
    await store.savePrefetch(prefetch);
    this.#keep(prefetch);
    this.follow();
    const { id, digest, zone, count } = prefetch;
    log.info({ id, digest, name: asked.name, zone, count, nodes: prefetch.targets.size }, "a prefetch was started");
    return prefetch;
  }

  /** @throws Problem "not-found"; "conflict" if it has ended. */
  async cancel(id: string): Promise<OperatorPrefetch> {
    const prefetch = this.get(id);
    if (prefetch.state !== "running") throw new Problem("conflict", `prefetch ${id} has ended: ${prefetch.state}`);
    prefetch.state = "cancelled";
    prefetch.endedAtMs = this.#options.nowMs();
    this.#end(prefetch);
    await this.save();
    return prefetch;
  }

  /** What is to go to a node. */
  wishesFor(nodeId: string): Wished[] {
    const wishes: Wished[] = [];
    for (const { id: prefetchId, digest, targets } of this.#byNode.get(nodeId) ?? []) {
      if (targets.get(nodeId)?.state !== "pending") continue;
      wishes.push({ digest, prefetchId, expectedUses: 0, bytesPerSecondMax: 0 });
    }
    return wishes;
  }

  /** Whether the prefetch has been cancelled; one that is not known may be another seeder's. */
  isOver(id: string): boolean {
    const state = this.#prefetches.get(id)?.state;
    return state !== undefined && state !== "running";
  }

  /** The node has given it up. */
  failed(nodeId: string, prefetchId: string, error: string): void {
    const prefetch = this.#prefetches.get(prefetchId);
    if (prefetch?.state !== "running" || prefetch.targets.get(nodeId)?.state !== "pending") return;
    prefetch.targets.set(nodeId, { state: "failed", error });
    this.#unsaved.add(prefetch);
    this.#follow(prefetch);
  }

  /** Looks at where images have come to, chooses other nodes for those that failed, and ends what is over. */
  follow(): void {
    for (const prefetch of this.#prefetches.values()) if (prefetch.state === "running") this.#follow(prefetch);
    void this.save();
  }

  /** Those that ended long ago are no longer listed. */
  forgetOld(): void {
    const beforeMs = this.#options.nowMs() - prefetchesKeptMs;
    for (const { id, endedAtMs } of this.list()) {
      if (endedAtMs !== undefined && endedAtMs < beforeMs) this.#prefetches.delete(id);
    }
  }

  /** Writes what has changed. Never rejects: what could not be written is tried with the next. */
  save(): Promise<void> {
    const { store, log } = this.#options;
    const changed = this.#unsaved;
    this.#unsaved = new Set();
    if (changed.size === 0) return this.#saving;
    this.#saving = this.#saving.then(async () => {
      for (const prefetch of changed) {
        try {
          await store.savePrefetch(prefetch);
        } catch (error) {
          log.error({ id: prefetch.id, error: messageOf(error) }, "cannot save a prefetch; it lives on in memory");
          this.#unsaved.add(prefetch);
        }
      }
    });
    return this.#saving;
  }

  #chooseFirst(prefetch: OperatorPrefetch): void {
    const { zone, count } = prefetch;
    const candidates = this.#candidates(prefetch);
    if (candidates.length === 0) {
      const where = zone === "" ? "no node reports" : `no node of zone "${zone}" reports`;
      throw new Problem("not-found", `${where}; \`bootswarm nodes\` lists them`);
    }
    if (count > candidates.length) {
      const where = zone === "" ? "report" : `of zone "${zone}" report`;
      throw new Problem("invalid", `count: ${count} are more than the ${candidates.length} nodes that ${where}`);
    }
    chooseTargets(prefetch, candidates);
  }

  #candidates({ digest, zone }: OperatorPrefetch): TargetCandidate[] {
    const { inventory, reports, nowMs } = this.#options;
    const atMs = nowMs();
    return inventory.nodes(atMs).flatMap(({ node, state, fetches }) => {
      const cannot = reports.has(node.id) && !reports.of(node.id).allowance;
      if (state === "lost" || cannot || (zone !== "" && node.zone !== zone)) return [];
      const part = inventory.partOf(node.id, digest, atMs);
      const { id, diskFreeBytes } = node;
      const has = { hasImage: part?.holding !== undefined, isComing: part?.fetch !== undefined };
      return [{ id, ...has, fetches: fetches.length, diskFreeBytes }];
    });
  }

  #follow(prefetch: OperatorPrefetch): void {
    const { inventory, nowMs, log } = this.#options;
    let isShort = false;
    for (const [nodeId, target] of prefetch.targets) {
      if (target.state === "failed") isShort = true;
      if (target.state !== "pending" || !inventory.partOf(nodeId, prefetch.digest, nowMs())?.holding) continue;
      prefetch.targets.set(nodeId, { state: "ready", error: "" });
      this.#unsaved.add(prefetch);
    }
    if (isShort && prefetch.count > 0 && chooseTargets(prefetch, this.#candidates(prefetch))) {
      this.#index(prefetch);
      this.#unsaved.add(prefetch);
    }
    const isTooOld = nowMs() - prefetch.createdAtMs > prefetchLifeMs;
    if (isTooOld) {
      for (const [nodeId, { state }] of prefetch.targets) {
        if (state === "pending") prefetch.targets.set(nodeId, { state: "failed", error: "it has not come in a week" });
      }
    }
    if (!endIfOver(prefetch, nowMs())) return;
    this.#end(prefetch);
    log.info({ id: prefetch.id, digest: prefetch.digest, name: prefetch.name }, `a prefetch is ${prefetch.state}`);
  }

  #keep(prefetch: OperatorPrefetch): void {
    this.#prefetches.set(prefetch.id, prefetch);
    this.#index(prefetch);
  }

  #index(prefetch: OperatorPrefetch): void {
    if (prefetch.state !== "running") return;
    for (const nodeId of prefetch.targets.keys()) {
      const known = this.#byNode.get(nodeId) ?? new Set();
      this.#byNode.set(nodeId, known.add(prefetch));
    }
  }

  #end(prefetch: OperatorPrefetch): void {
    this.#unsaved.add(prefetch);
    for (const nodeId of prefetch.targets.keys()) {
      const known = this.#byNode.get(nodeId);
      known?.delete(prefetch);
      if (known?.size === 0) this.#byNode.delete(nodeId);
    }
  }

  /** What another seeder has seen of it. */
  #merge(known: OperatorPrefetch, stored: OperatorPrefetch): void {
    for (const [nodeId, target] of stored.targets) {
      const mine = known.targets.get(nodeId);
      if (!mine || (mine.state === "pending" && target.state !== "pending")) known.targets.set(nodeId, target);
    }
    if (known.state === "running" && stored.state !== "running") {
      known.state = stored.state;
      known.endedAtMs = stored.endedAtMs;
      this.#end(known);
      this.#unsaved.delete(known);
    } else this.#index(known);
  }
}

const pending: PrefetchTarget = { state: "pending", error: "" };

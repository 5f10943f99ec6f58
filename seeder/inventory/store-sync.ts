/**
 * The inventory and its store: what reports change is written shortly after, many nodes at a time, and what other seeders
 * wrote is read as often. Reports never wait for it: while the store is away the inventory lives on in memory, and what is
 * unsaved is written when it is back.
 */
import { setImmediate as turn } from "node:timers/promises";
import type { Log } from "../../daemon/log.ts";
import { messageOf } from "../../daemon/problem.ts";
import type { InventoryStore, NodeChange, NodeRemoval, NodesRead, StoreMark } from "../store/inventory-store.ts";
import type { HoldingsChange } from "./facts.ts";
import type { Inventory } from "./inventory.ts";
import { StoreClock } from "./store-clock.ts";
import { Unsaved, type UnsavedHoldings } from "./unsaved.ts";

/** Between rounds: a crash loses no more than this of what was reported, and full reports bring it back. */
const intervalMs = 1_000;
/** Longest between attempts while the store is away. */
const retryMsMax = 15_000;
/** Of one change of the store: others wait for it, and SQLite holds up this process meanwhile. */
export const nodesPerSaveMax = 1_000;
export const holdingsPerSaveMax = 2_000;
/** A report is known to other seeders so much later at most, when all goes well: their leases are longer by this. */
const spreadMs = 3 * intervalMs;

/** Told of what is done with the store. */
export interface StoreObserver {
  wrote(result: "ok" | "failed", seconds: number, nodes: number): void;
  read(result: "ok" | "failed", seconds: number, nodes: number): void;
}

export interface StoreSyncParts {
  store: InventoryStore;
  inventory: Inventory;
  /** This process's name in the store, new at each start. */
  seederId: string;
  /** The time since 1970. */
  nowMs: () => number;
  observer: StoreObserver;
  log: Log;
}

export class StoreSync {
  readonly #parts: StoreSyncParts;
  readonly #clock = new StoreClock();
  readonly #unsaved = new Unsaved();
  #mark: StoreMark = { generation: "", change: 0 };
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();
  #failures = 0;
  #trouble: { sinceMs: number; error: string } | undefined;
  #lastRoundMs: number;
  #closed = false;

  private constructor(parts: StoreSyncParts) {
    this.#parts = parts;
    this.#lastRoundMs = parts.nowMs();
  }

  /** Teaches the inventory what the store remembers, and keeps both in step until `close`. */
  static async open(parts: StoreSyncParts): Promise<StoreSync> {
    const sync = new StoreSync(parts);
    await sync.#readClock();
    sync.#learn(await parts.store.loadNodes());
    sync.#parts.inventory.heard(parts.nowMs());
    sync.#schedule(intervalMs);
    return sync;
  }

  /** A node has reported, and these of its holdings have changed. */
  changed(id: string, holdings: "all" | Iterable<string>): void {
    this.#unsaved.changed(id, holdings);
  }

  /** A node was forgotten to make room. */
  forgotten(id: string): void {
    // Whatever it reported until now; what it reports to another seeder from now on is later.
    this.#unsaved.removed(id, this.#clock.toStore(this.#parts.nowMs()));
  }

  /** Nodes of which something is not in the store yet. */
  get unsavedNodes(): number {
    return this.#unsaved.nodes;
  }

  /** How old what other seeders see of this one, and this one of them, may be. */
  get behindMs(): number {
    return Math.max(0, this.#parts.nowMs() - this.#lastRoundMs);
  }

  /** Why the store cannot be used just now; undefined if it can. */
  get trouble(): string | undefined {
    return this.#trouble?.error;
  }

  /** Writes what is not yet written. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#round;
    if (!this.#unsaved.isEmpty) await this.#save().catch((error: unknown) => this.#failed(error));
  }

  #schedule(delayMs: number): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#round = this.#runRound();
    }, delayMs);
  }

  async #runRound(): Promise<void> {
    try {
      await this.#save();
      if (this.#parts.store.shared) await this.#read();
      this.#succeeded();
    } catch (error) {
      this.#failed(error);
    }
    this.#schedule(Math.min(intervalMs * 2 ** Math.min(this.#failures, 10), retryMsMax));
  }

  async #save(): Promise<void> {
    while (!this.#unsaved.isEmpty) {
      await this.#saveSome();
      // Reports are answered between the changes of a large inventory.
      await turn();
    }
  }

  async #saveSome(): Promise<void> {
    const { store, seederId, observer } = this.#parts;
    const startMs = performance.now();
    const taken = new Map<string, UnsavedHoldings>();
    const changes = this.#takeChanges(taken);
    const removals = this.#unsaved.takeRemoved();
    try {
      const saved = await store.saveNodes(seederId, changes, removals);
      this.#noteSaved(saved.mark);
      for (const id of saved.incompleteIds) this.#unsaved.changed(id, "all");
      observer.wrote("ok", (performance.now() - startMs) / 1_000, changes.length);
    } catch (error) {
      this.#putBack(taken, removals);
      observer.wrote("failed", (performance.now() - startMs) / 1_000, 0);
      throw error;
    }
  }

  /** Nodes that reported, or were forgotten, meanwhile are not touched by that. */
  #putBack(taken: ReadonlyMap<string, UnsavedHoldings>, removals: readonly NodeRemoval[]): void {
    for (const { id, reportedAtMs } of removals) this.#unsaved.putBackRemoval(id, reportedAtMs);
    for (const [id, holdings] of taken) this.#unsaved.changed(id, holdings);
  }

  #takeChanges(taken: Map<string, UnsavedHoldings>): NodeChange[] {
    const changes: NodeChange[] = [];
    let holdingCount = 0;
    this.#unsaved.takeNodes((id, holdings) => {
      if (changes.length >= nodesPerSaveMax || holdingCount >= holdingsPerSaveMax) return false;
      const change = this.#changeOf(id, holdings);
      taken.set(id, holdings);
      if (!change) return true;
      changes.push(change);
      holdingCount += countOf(change.holdings);
      return true;
    });
    return changes;
  }

  #changeOf(id: string, unsaved: UnsavedHoldings): NodeChange | undefined {
    const { inventory, seederId } = this.#parts;
    const shared = inventory.shared(id);
    if (!shared) return undefined;
    return {
      ...shared,
      reportedAtMs: this.#clock.toStore(shared.reportedAtMs),
      // What was learned from others lasts longer here than they said.
      leaseMs: shared.seederId === "" ? shared.leaseMs : shared.leaseMs - this.#spreadMs,
      seederId: shared.seederId === "" ? seederId : shared.seederId,
      holdings: holdingsChange(inventory, id, unsaved),
    };
  }

  #noteSaved({ generation, change }: StoreMark): void {
    const before = this.#mark;
    if (before.generation === "") this.#mark = { generation, change: 0 };
    else if (before.generation !== generation || change <= before.change) this.#startAnew({ generation, change: 0 });
  }

  async #read(): Promise<void> {
    const { store, seederId, inventory, observer, nowMs } = this.#parts;
    const startMs = performance.now();
    try {
      await this.#readClock();
      const atMs = nowMs();
      const read = await store.readNodes(this.#mark, seederId);
      if (read.anew) this.#startAnew(read.mark);
      else if (!read.anyHolding && this.#holdsAny()) this.#startAnew(this.#mark);
      this.#learn(read);
      if (read.ids && !read.anew) this.#forgetRemoved(read.ids);
      inventory.heard(atMs);
      observer.read("ok", (performance.now() - startMs) / 1_000, read.nodes.length);
    } catch (error) {
      observer.read("failed", (performance.now() - startMs) / 1_000, 0);
      throw error;
    }
  }

  /** The store is not what it was: all that is known here is written to it again. The later report of two counts. */
  #startAnew(mark: StoreMark): void {
    this.#parts.log.warn({}, "the store has lost what was in it; writing the inventory anew");
    this.#mark = mark;
    for (const id of this.#parts.inventory.ids()) this.#unsaved.changed(id, "all");
  }

  #learn({ mark, nodes }: NodesRead): void {
    const { inventory, store, nowMs, log } = this.#parts;
    for (const { holdings, ...shared } of nodes) {
      const reportedAtMs = this.#clock.fromStore(shared.reportedAtMs);
      const leaseMs = shared.leaseMs + this.#spreadMs;
      try {
        const learned = inventory.learn({ ...shared, reportedAtMs, leaseMs }, holdings, store.shared, nowMs());
        if (learned) this.#unsaved.forget(shared.node.id);
      } catch (error) {
        log.warn({ node: shared.node.id, error: messageOf(error) }, "cannot take in a node of another seeder");
      }
    }
    this.#mark = mark;
  }

  #forgetRemoved(ids: ReadonlySet<string>): void {
    const { inventory, nowMs, log } = this.#parts;
    for (const id of inventory.ids()) {
      if (ids.has(id) || this.#unsaved.has(id)) continue;
      if (inventory.lookup(id, nowMs())?.state === "up" && inventory.shared(id)?.seederId === "") {
        this.#unsaved.changed(id, "all");
        continue;
      }
      inventory.forget(id);
      log.info({ node: id }, "forgot a node that another seeder forgot to make room");
    }
  }

  get #spreadMs(): number {
    return this.#parts.store.shared ? spreadMs : 0;
  }

  #holdsAny(): boolean {
    return !this.#parts.inventory.digests().next().done;
  }

  async #readClock(): Promise<void> {
    const { store, nowMs } = this.#parts;
    if (!store.shared) return;
    const askedMs = nowMs();
    this.#clock.looked(askedMs, await store.nowMs(), nowMs());
  }

  #succeeded(): void {
    const { nowMs, log } = this.#parts;
    if (this.#trouble) {
      const awaySeconds = Math.round((nowMs() - this.#trouble.sinceMs) / 1_000);
      log.info({ awaySeconds }, "the inventory is saved again");
    }
    this.#failures = 0;
    this.#trouble = undefined;
    this.#lastRoundMs = nowMs();
  }

  #failed(error: unknown): void {
    const { nowMs, log } = this.#parts;
    this.#failures++;
    if (!this.#trouble) log.error({ error: messageOf(error) }, "cannot save the inventory; it lives on in memory");
    this.#trouble = { sinceMs: this.#trouble?.sinceMs ?? nowMs(), error: messageOf(error) };
  }
}

function holdingsChange(inventory: Inventory, id: string, unsaved: UnsavedHoldings): HoldingsChange | undefined {
  if (unsaved === "all") return { all: inventory.holdings(id) };
  if (unsaved.size === 0) return undefined;
  const changed = inventory.holdings(id, unsaved);
  const held = new Set(changed.map(({ digest }) => digest));
  return { changed, removed: [...unsaved].filter((digest) => !held.has(digest)) };
}

function countOf(holdings: HoldingsChange | undefined): number {
  if (!holdings) return 0;
  return "all" in holdings ? holdings.all.length : holdings.changed.length + holdings.removed.length;
}

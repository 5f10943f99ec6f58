import type { FetchPriority } from "../cache/records.ts";

/**
 * Active fetches beyond the limit that VMs wait for: they do not wait for others to end, and each takes little but what its
 * reads ask for. Of more, the rest waits its turn.
 */
const demandActiveMax = 32;

const rank: Record<FetchPriority, number> = { demand: 0, ensure: 1, prefetch: 2 };

/**
 * Which fetch goes next: by priority, and in order of asking within one. Data only; the caller acts on what it says.
 */
export class FetchQueue {
  readonly #activeMax: number;
  readonly #active = new Map<string, FetchPriority>();
  /** Those of `#active` that have been told to give their place to others. */
  readonly #yielding = new Set<string>();
  readonly #waiting: { digest: string; priority: FetchPriority }[] = [];

  /** @param activeMax fetches active at once, but for those that VMs wait for */
  constructor(activeMax: number) {
    this.#activeMax = activeMax;
  }

  get activeCount(): number {
    return this.#active.size;
  }

  /** Those that wait, in the order in which they will start. */
  get waiting(): string[] {
    return this.#waiting.map(({ digest }) => digest);
  }

  /**
   * Puts a fetch in its place. The caller has looked that the digest is not in the queue, and bounds its length.
   *
   * @param isFirst whether it goes before its equals, as one does that had begun
   */
  add(digest: string, priority: FetchPriority, isFirst = false): void {
    const least = isFirst ? rank[priority] : rank[priority] + 1;
    const behind = this.#waiting.findIndex((other) => rank[other.priority] >= least);
    this.#waiting.splice(behind === -1 ? this.#waiting.length : behind, 0, { digest, priority });
  }

  /** Moves a waiting fetch up if `priority` is higher than it had; never down. An active one yields no more if it is. */
  raise(digest: string, priority: FetchPriority): void {
    const active = this.#active.get(digest);
    if (active) this.#active.set(digest, higherPriority(active, priority));
    const index = this.#waiting.findIndex((entry) => entry.digest === digest);
    const entry = this.#waiting[index];
    if (!entry || rank[entry.priority] <= rank[priority]) return;
    this.#waiting.splice(index, 1);
    this.add(digest, priority);
  }

  /** Takes the next fetch that may start now, if any, and counts it as active. */
  takeNext(): string | undefined {
    const beyond = this.#waiting[0]?.priority === "demand" ? demandActiveMax : 0;
    if (this.#active.size >= this.#activeMax + beyond) return undefined;
    const next = this.#waiting.shift();
    if (next) this.#active.set(next.digest, next.priority);
    return next?.digest;
  }

  /**
   * An active fetch that is ahead of need and must give its place to one that waits and is not: the last that began. To
   * be taken out and added again once it has stopped.
   *
   * @param mayYield whether a fetch can stop now
   */
  takeYielding(mayYield: (digest: string) => boolean): string | undefined {
    const urgent = this.#waiting.filter(({ priority }) => priority !== "prefetch").length;
    if (this.#active.size < this.#activeMax || this.#yielding.size >= urgent) return undefined;
    const last = [...this.#active]
      .reverse()
      .find(([digest, priority]) => priority === "prefetch" && !this.#yielding.has(digest) && mayYield(digest));
    if (last) this.#yielding.add(last[0]);
    return last?.[0];
  }

  /** Takes a fetch out, waiting or active. */
  remove(digest: string): void {
    this.#active.delete(digest);
    this.#yielding.delete(digest);
    const index = this.#waiting.findIndex((entry) => entry.digest === digest);
    if (index !== -1) this.#waiting.splice(index, 1);
  }
}

/** Below zero if `a` goes before `b`, as `sort` wants it. */
export function comparePriorities(a: FetchPriority, b: FetchPriority): number {
  return rank[a] - rank[b];
}

/** The higher of two priorities. */
export function higherPriority(a: FetchPriority, b: FetchPriority): FetchPriority {
  return rank[a] <= rank[b] ? a : b;
}

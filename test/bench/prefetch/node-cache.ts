/** One node's cache in a replay: the agent's own admission, eviction and budget, over figures instead of files. */
import { decideAdmission, footprintOf } from "../../../agent/cache/admission.ts";
import { afterUse, type EvictionCandidate, worthOf, worthWhenBrought } from "../../../agent/cache/eviction.ts";
import { type UsedRecord, unusedRecord } from "../../../agent/cache/records.ts";
import { allowanceOf } from "../../../agent/prefetch/allowance.ts";

interface Cached {
  sizeBytes: number;
  used: UsedRecord;
  broughtAtMs: number;
}

/** As an agent has them unless told otherwise. */
const prefetchShare = 0.25;
const prefetchGraceMs = 6 * 3_600_000;

export class NodeCache {
  readonly #quotaBytes: number;
  readonly #images = new Map<string, Cached>();
  #filledBytes = 0;
  #level = 0;
  /** On its way ahead of need: one at a time. */
  coming: { image: string; sizeBytes: number } | undefined;

  constructor(quotaBytes: number) {
    this.#quotaBytes = quotaBytes;
  }

  has(image: string): boolean {
    return this.#images.has(image) && this.coming?.image !== image;
  }

  /** Those that are there. */
  get images(): string[] {
    return [...this.#images.keys()].filter((image) => this.coming?.image !== image);
  }

  /** What the node allows a plan. */
  allowance(): { budgetBytes: number; usedBytes: number; roomBytes: number } {
    let aheadBytes = this.coming?.sizeBytes ?? 0;
    for (const [image, { used, sizeBytes }] of this.#images) {
      if (used.prefetched && this.has(image)) aheadBytes += sizeBytes;
    }
    const rules = { quotaBytes: this.#quotaBytes, share: prefetchShare };
    const disk = { diskFreeBytes: Number.MAX_SAFE_INTEGER / 2, freeFloorBytes: 0 };
    // What is on its way has its place already.
    return allowanceOf(rules, { ...disk, cacheBytes: this.#filledBytes, comingBytes: 0, aheadBytes });
  }

  /** Somebody asks for an image: whether it was here, and whether it had been brought ahead of need and nobody used it yet. */
  use(image: string, sizeBytes: number, atMs: number): { hit: boolean; wasAhead: boolean } {
    const isComing = this.coming?.image === image;
    // Somebody waits for it now: it comes as if nobody had begun with it.
    if (isComing) this.coming = undefined;
    const here = this.#images.get(image);
    if (!here && !this.#admit(image, sizeBytes, atMs, true, undefined)) return { hit: false, wasAhead: false };
    const entry = here ?? (this.#images.get(image) as Cached);
    const wasAhead = entry.used.prefetched && !isComing;
    entry.used = afterUse(entry.used, this.#level, new Date(atMs));
    return { hit: here !== undefined && !isComing, wasAhead };
  }

  /** An image begins to be brought ahead of need, and has its place from then on; false if it may take nobody's. */
  bring(image: string, sizeBytes: number, expectedUses: number, atMs: number): boolean {
    const worth = worthWhenBrought(sizeBytes, expectedUses, this.#level);
    if (!this.#admit(image, sizeBytes, atMs, false, worth)) return false;
    const entry = this.#images.get(image) as Cached;
    entry.used = { ...entry.used, level: this.#level, prefetched: true, expectedUses };
    this.coming = { image, sizeBytes };
    return true;
  }

  /** What was on its way is there. */
  arrived(): void {
    this.coming = undefined;
  }

  #admit(image: string, sizeBytes: number, atMs: number, isAsked: boolean, worth: number | undefined): boolean {
    const wanted = { sizeBytes, neededBytes: footprintOf(sizeBytes), isAsked, ...(worth !== undefined && { worth }) };
    const now = {
      allocatedBytes: this.#filledBytes,
      reservedBytes: 0,
      freeBytes: Number.MAX_SAFE_INTEGER,
      diskBytes: Number.MAX_SAFE_INTEGER,
    };
    const rules = { quotaBytes: this.#quotaBytes, freeFloorBytes: 0, prefetchGraceMs };
    const others = [...this.#images].filter(([digest]) => digest !== this.coming?.image);
    const candidates = others.map(([digest, entry]) => candidateOf(digest, entry));
    const decision = decideAdmission(wanted, now, candidates, rules, atMs);
    if (decision.kind === "full") return false;
    for (const victim of decision.kind === "evict" ? decision.victims : []) {
      this.#level = Math.max(this.#level, worthOf(victim, atMs));
      this.#images.delete(victim.digest);
      this.#filledBytes -= victim.allocatedBytes;
    }
    this.#images.set(image, { sizeBytes, used: unusedRecord(new Date(atMs)), broughtAtMs: atMs });
    this.#filledBytes += footprintOf(sizeBytes);
    return true;
  }
}

function candidateOf(digest: string, { sizeBytes, used, broughtAtMs }: Cached): EvictionCandidate {
  return {
    ...{ digest, sizeBytes, allocatedBytes: footprintOf(sizeBytes), freedBytes: footprintOf(sizeBytes) },
    ...{ complete: true, pinned: false, inUse: false, lastUsedMs: Date.parse(used.lastUsedAt) },
    ...{ uses: used.uses, level: used.level, popularity: used.expectedUses },
    ...(used.prefetched && { prefetchedMs: broughtAtMs }),
  };
}

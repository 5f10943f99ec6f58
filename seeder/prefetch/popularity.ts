/**
 * How often images are launched, by zone, with old launches counting less. Pure: times come with each call. What has been
 * added since the last look is kept apart, for the store: increments of several seeders are added there.
 */
import { type DecayedCount, scoreAt, sumOf } from "./decay.ts";

/**
 * Images of zones that are kept: a thousand images in a hundred zones, and as many again. Those with the least score go
 * first beyond that.
 */
const entriesMax = 200_000;
/** What is left when some have gone: making room is work, and is not done for each. */
const entriesKept = 180_000;
/** An image with less than this is forgotten: one launch, seven half-lives ago. */
export const scoreMin = 0.01;

/** Launches of an image in a zone; the zone is empty for nodes that are in none. */
export interface PopularityEntry extends DecayedCount {
  zone: string;
  digest: string;
}

export class Popularity {
  readonly halfLifeMs: number;
  #zones = new Map<string, Map<string, DecayedCount>>();
  #size = 0;
  #pending = new Map<string, PopularityEntry>();

  constructor(halfLifeMs: number) {
    this.halfLifeMs = halfLifeMs;
  }

  /** So many launches of an image. */
  add(zone: string, digest: string, count: number, atMs: number): void {
    const added = { score: count, atMs };
    this.#merge(zone, digest, added);
    const key = keyOf(zone, digest);
    const known = this.#pending.get(key);
    this.#pending.set(key, { zone, digest, ...(known ? sumOf(known, added, this.halfLifeMs) : added) });
    if (this.#size > entriesMax) this.#makeRoom(atMs);
  }

  /** Zones of which anything is known. */
  zones(): string[] {
    return [...this.#zones.keys()];
  }

  score(zone: string, digest: string, nowMs: number): number {
    const count = this.#zones.get(zone)?.get(digest);
    return count ? scoreAt(count, nowMs, this.halfLifeMs) : 0;
  }

  /** Scores by digest, of one zone or over all of them. */
  scores(zone: string | undefined, nowMs: number): Map<string, number> {
    const sums = new Map<string, number>();
    const maps = zone === undefined ? [...this.#zones.values()] : [this.#zones.get(zone) ?? new Map()];
    for (const counts of maps) {
      for (const [digest, count] of counts) {
        sums.set(digest, (sums.get(digest) ?? 0) + scoreAt(count, nowMs, this.halfLifeMs));
      }
    }
    return sums;
  }

  /** What has been added since the last call. If it could not be stored, it has to be given back. */
  takePending(): PopularityEntry[] {
    const taken = [...this.#pending.values()];
    this.#pending = new Map();
    return taken;
  }

  /** Could not be stored: it is told with the next. */
  giveBack(entries: readonly PopularityEntry[]): void {
    for (const entry of entries) {
      const key = keyOf(entry.zone, entry.digest);
      const known = this.#pending.get(key);
      this.#pending.set(key, known ? { ...entry, ...sumOf(known, entry, this.halfLifeMs) } : entry);
    }
  }

  /** Takes what the store has for all that was known, but for what it has not been told yet. */
  load(stored: readonly PopularityEntry[]): void {
    this.#zones = new Map();
    this.#size = 0;
    for (const { zone, digest, ...count } of stored) this.#merge(zone, digest, count);
    for (const { zone, digest, ...count } of this.#pending.values()) this.#merge(zone, digest, count);
  }

  /** Forgets what has next to no score any more. */
  forgetOld(nowMs: number): void {
    this.#keep((score) => score >= scoreMin, nowMs);
  }

  #merge(zone: string, digest: string, added: DecayedCount): void {
    const counts = this.#zones.get(zone) ?? new Map<string, DecayedCount>();
    this.#zones.set(zone, counts);
    const known = counts.get(digest);
    if (!known) this.#size++;
    counts.set(digest, known ? sumOf(known, added, this.halfLifeMs) : { score: added.score, atMs: added.atMs });
  }

  #makeRoom(nowMs: number): void {
    const scores: number[] = [];
    for (const counts of this.#zones.values()) {
      for (const count of counts.values()) scores.push(scoreAt(count, nowMs, this.halfLifeMs));
    }
    scores.sort((a, b) => b - a);
    const least = scores[entriesKept] ?? 0;
    this.#keep((score) => score > least, nowMs);
  }

  #keep(isKept: (score: number) => boolean, nowMs: number): void {
    for (const [zone, counts] of this.#zones) {
      for (const [digest, count] of counts) {
        if (isKept(scoreAt(count, nowMs, this.halfLifeMs))) continue;
        counts.delete(digest);
        this.#size--;
      }
      if (counts.size === 0) this.#zones.delete(zone);
    }
  }
}

/** Neither a zone's name nor a digest has a space. */
function keyOf(zone: string, digest: string): string {
  return `${zone} ${digest}`;
}

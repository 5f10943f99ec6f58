import type { Log } from "../../daemon/log.ts";
import { messageOf, Problem } from "../../daemon/problem.ts";
import type { Clock } from "../../swarm/types.ts";
import type { CacheEntry, ImageCache } from "../cache/image-cache.ts";
import { wait } from "../clock.ts";
import { checkPieces, checkWhole, type Damage } from "./check-image.ts";
import { nextDue } from "./due.ts";
import type { Repairs } from "./repairs.ts";
import { neverScrubbed, readScrubRecord, type ScrubRecord, writeScrubRecord } from "./scrub-record.ts";

/** Longest until what is due is looked at again: images come and go. */
const lookIntervalMsMax = 60_000;
/** How often repairs that failed are tried again. */
const repairIntervalMs = 10 * 60_000;
/** How often it is written down how far the scrub of an image is: what a restart costs at most. */
const recordIntervalMs = 30_000;

export interface ScrubberOptions {
  cache: ImageCache;
  repairs: Repairs;
  rules: { bytesPerSecond: number; intervalHours: number };
  onBytes: (bytes: number) => void;
  clock: Clock;
  now: () => Date;
  log: Log;
}

/** Looks for what the disk has spoilt: reads the cached images again and again, slowly, one at a time. */
export class Scrubber {
  readonly #options: ScrubberOptions;
  readonly #records = new Map<string, ScrubRecord>();
  #repairedAtMs: number;

  constructor(options: ScrubberOptions) {
    this.#options = options;
    this.#repairedAtMs = options.clock.now();
  }

  /** When all of an image was last found right by a scrub. */
  soundAt(digest: string): Date | undefined {
    const soundAt = this.#records.get(digest)?.soundAt;
    return soundAt ? new Date(soundAt) : undefined;
  }

  /** Checks images as they fall due, and repairs what is wrong, until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { cache, clock, rules, log } = this.#options;
    while (!signal.aborted) {
      const { version } = cache.changes;
      try {
        await this.#readRecords();
        if (clock.now() - this.#repairedAtMs >= repairIntervalMs) await this.#repairAgain();
        const due = rules.bytesPerSecond === 0 ? undefined : this.#nextDue();
        if (due?.waitMs === 0) await this.#checkOne(due.digest, signal);
        else await this.#rest(Math.min(due?.waitMs ?? lookIntervalMsMax, lookIntervalMsMax), version, signal);
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ error: messageOf(error) }, "the scrub was interrupted");
        await wait(clock, lookIntervalMsMax, signal).catch(() => {});
      }
    }
  }

  /**
   * Checks an image now, from its beginning, as fast as the disk gives.
   *
   * @returns what is wrong with it; undefined if nothing is
   * @throws Problem "not-found" if the image goes away meanwhile
   */
  async check(digest: string, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<Damage | undefined> {
    const entry = this.#options.cache.get(digest);
    if (!entry?.complete) throw new Problem("not-found", `image ${digest} is not complete on this node`);
    return this.#check(entry, { from: 0, bytesPerSecond: 0, onBytes }, signal);
  }

  /** Waits, but no longer than until an image comes or changes. */
  async #rest(restMs: number, version: number, signal: AbortSignal): Promise<void> {
    const { cache, clock } = this.#options;
    const ended = new AbortController();
    const either = AbortSignal.any([signal, ended.signal]);
    const rest = wait(clock, restMs, either);
    rest.catch(() => {});
    await Promise.race([rest, cache.changes.after(version, either)]).finally(() => ended.abort());
  }

  async #checkOne(digest: string, signal: AbortSignal): Promise<void> {
    const { cache, repairs, rules } = this.#options;
    const entry = cache.get(digest);
    if (!entry?.complete) return;
    const from = this.#records.get(digest)?.nextPiece ?? 0;
    const { bytesPerSecond } = rules;
    const damage = await this.#check(entry, { from, bytesPerSecond, onBytes: () => {} }, signal);
    if (damage) await repairs.begin(digest, damage);
  }

  async #check(
    { record: { digest, sizeBytes }, paths }: CacheEntry,
    how: { from: number; bytesPerSecond: number; onBytes: (bytes: number) => void },
    signal: AbortSignal,
  ): Promise<Damage | undefined> {
    const { cache, clock, onBytes } = this.#options;
    const { disk } = cache.layout;
    const info = await cache.metainfo(digest);
    const count = (bytes: number) => {
      onBytes(bytes);
      how.onBytes(bytes);
    };
    const options = { disk, path: paths.data, clock, bytesPerSecond: how.bytesPerSecond, onBytes: count };
    let recordedAtMs = clock.now();
    const onPiece = async (nextPiece: number) => {
      if (clock.now() - recordedAtMs < recordIntervalMs) return;
      recordedAtMs = clock.now();
      await this.#note(digest, (record) => ({ ...record, nextPiece }));
    };
    const damage = info
      ? await checkPieces(options, info, how.from < info.pieceCount ? how.from : 0, onPiece, signal)
      : await checkWhole(options, sizeBytes, digest, signal);
    // The image may have been evicted or replaced under the reader.
    if (!cache.get(digest)?.complete) return undefined;
    // Repaired means checked as a whole, so that the next round begins anew either way.
    const soundAt = this.#options.now().toISOString();
    await this.#note(digest, (record) => ({ ...record, nextPiece: 0, ...(!damage && { soundAt }) }));
    return damage;
  }

  async #repairAgain(): Promise<void> {
    this.#repairedAtMs = this.#options.clock.now();
    await this.#options.repairs.again();
  }

  #nextDue() {
    const { cache, rules, now } = this.#options;
    const candidates = cache
      .list()
      .filter(({ complete }) => complete)
      .map(({ record: { digest, completedAt } }) => {
        const { soundAt, nextPiece } = this.#records.get(digest) ?? neverScrubbed;
        const soundAtMs = Math.max(Date.parse(completedAt as string), soundAt === null ? 0 : Date.parse(soundAt));
        return { digest, soundAtMs, isBegun: nextPiece > 0 };
      });
    return nextDue(candidates, rules.intervalHours * 3_600_000, now().getTime());
  }

  async #readRecords(): Promise<void> {
    const { cache } = this.#options;
    for (const digest of this.#records.keys()) if (!cache.get(digest)) this.#records.delete(digest);
    for (const { record, paths } of cache.list()) {
      if (this.#records.has(record.digest)) continue;
      this.#records.set(record.digest, await readScrubRecord(cache.layout, paths.scrub));
    }
  }

  async #note(digest: string, change: (record: ScrubRecord) => ScrubRecord): Promise<void> {
    const { cache, log } = this.#options;
    const entry = cache.get(digest);
    if (!entry) return;
    const record = change(this.#records.get(digest) ?? neverScrubbed);
    this.#records.set(digest, record);
    await writeScrubRecord(cache.layout, entry.paths.scrub, record).catch((error: unknown) => {
      // It only means that an image is looked at sooner than need be.
      log.debug({ digest, error: messageOf(error) }, "cannot write down how far the scrub is");
    });
  }
}

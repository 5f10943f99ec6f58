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
/** How long an image that cannot be checked at all waits, so that others have their turn. */
const setAsideMs = 3_600_000;
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
  /** Images that cannot be checked, and until when they are passed over. */
  readonly #setAside = new Map<string, number>();

  constructor(options: ScrubberOptions) {
    this.#options = options;
  }

  /** When all of an image was last found right by a scrub. */
  soundAt(digest: string): Date | undefined {
    const soundAt = this.#records.get(digest)?.soundAt;
    return soundAt ? new Date(soundAt) : undefined;
  }

  /** Checks images as they fall due, and repairs what is wrong, until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#keepChecking(signal), this.#keepRepairing(signal)]);
  }

  /** A repair that failed does not wait for the check of some large image to end. */
  async #keepRepairing(signal: AbortSignal): Promise<void> {
    const { clock, repairs } = this.#options;
    for (;;) {
      await wait(clock, repairIntervalMs, signal).catch(() => {});
      if (signal.aborted) return;
      await repairs.again();
    }
  }

  async #keepChecking(signal: AbortSignal): Promise<void> {
    const { cache, clock, rules, log } = this.#options;
    while (!signal.aborted) {
      const { version } = cache.changes;
      try {
        await this.#readRecords();
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
   * @throws Problem "not-found" if the image is not here, or goes away meanwhile
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
    const { cache, repairs, rules, clock, log } = this.#options;
    const entry = cache.get(digest);
    if (!entry?.complete) return;
    const from = this.#records.get(digest)?.nextPiece ?? 0;
    const { bytesPerSecond } = rules;
    try {
      const damage = await this.#check(entry, { from, bytesPerSecond, onBytes: () => {} }, signal);
      if (damage) await repairs.begin(digest, damage);
    } catch (error) {
      if (signal.aborted || !cache.get(digest)) return;
      this.#setAside.set(digest, clock.now() + setAsideMs);
      log.warn({ digest, error: messageOf(error) }, "cannot check an image; going on with others");
    }
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
    const damage = await this.#whileComplete(digest, signal, (checking) =>
      info
        ? checkPieces(options, info, how.from < info.pieceCount ? how.from : 0, onPiece, checking)
        : checkWhole(options, sizeBytes, digest, checking),
    );
    const { complete, record } = cache.get(digest) ?? {};
    if (!record) throw new Problem("not-found", `image ${digest} was removed while it was checked`);
    // Somebody else has found what is wrong with it, and has it repaired.
    if (!complete) return damage ?? { what: record.damage ?? "it is fetched anew", kind: "hash", piece: undefined };
    // Repaired means checked as a whole, so that the next round begins anew either way.
    const soundAt = this.#options.now().toISOString();
    await this.#note(digest, (record) => ({ ...record, nextPiece: 0, ...(!damage && { soundAt }) }));
    return damage;
  }

  /**
   * Runs a check for as long as the image is complete: an open file of one that has been evicted would keep its room from
   * whom it was evicted for. Undefined if it did not come to its end.
   */
  async #whileComplete<T>(
    digest: string,
    signal: AbortSignal,
    check: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | undefined> {
    const { cache } = this.#options;
    const gone = new AbortController();
    const ended = new AbortController();
    const either = AbortSignal.any([signal, gone.signal]);
    const watch = async () => {
      for (let { version } = cache.changes; !ended.signal.aborted; version = cache.changes.version) {
        if (!cache.get(digest)?.complete) return gone.abort(new Error("the image has gone"));
        await cache.changes.after(version, ended.signal);
      }
    };
    const watching = watch();
    try {
      return await check(either);
    } catch (error) {
      if (signal.aborted || !gone.signal.aborted) throw error;
      return undefined;
    } finally {
      ended.abort();
      await watching;
    }
  }

  #nextDue() {
    const { cache, rules, clock, now } = this.#options;
    const isSetAside = (digest: string) => (this.#setAside.get(digest) ?? 0) > clock.now();
    const candidates = cache
      .list()
      .filter(({ complete, record }) => complete && !isSetAside(record.digest))
      .map(({ record: { digest, completedAt } }) => {
        const { soundAt, nextPiece } = this.#records.get(digest) ?? neverScrubbed;
        const soundAtMs = Math.max(Date.parse(completedAt as string), soundAt === null ? 0 : Date.parse(soundAt));
        return { digest, soundAtMs, isBegun: nextPiece > 0 };
      });
    return nextDue(candidates, rules.intervalHours * 3_600_000, now().getTime());
  }

  async #readRecords(): Promise<void> {
    const { cache } = this.#options;
    for (const kept of [this.#records, this.#setAside]) {
      for (const digest of kept.keys()) if (!cache.get(digest)) kept.delete(digest);
    }
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

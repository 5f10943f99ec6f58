import { randomBytes } from "node:crypto";
import type { Log } from "../daemon/log.ts";
import { messageOf, Problem } from "../daemon/problem.ts";
import type { Clock } from "../swarm/types.ts";
import type { ImageCache } from "./cache/image-cache.ts";
import type { InUse } from "./cache/in-use.ts";
import { unreadableIdStart } from "./cache/load-leases.ts";
import { holderCharactersMax, type LeaseRecord, leasesPerImageMax } from "./cache/records.ts";

/** Leases of all images together: each is a file's write and a place in memory, asked for by anybody who reaches the API. */
const leasesMax = 10_000;
const ttlMsMin = 1_000;
const ttlMsMax = 30 * 24 * 3_600_000;
/** How long a lease that an open call kept lasts after the agent's restart, for the caller to come back. */
const returnMsMax = 60_000;
/** Timers take no more than 24 days at once; looking once an hour costs nothing. */
const lookMsMax = 3_600_000;

/** What keeps an image from eviction. */
export interface Lease extends LeaseRecord {
  digest: string;
}

interface Held {
  lease: Lease;
  /** When it ends without a word, in milliseconds since 1970; undefined while an open call keeps it. */
  endsMs: number | undefined;
  release: () => void;
  /** Why it ended. */
  ended: Promise<string>;
  end: (reason: string) => void;
}

export interface LeasesOptions {
  cache: ImageCache;
  inUse: InUse;
  clock: Clock;
  now: () => Date;
  log: Log;
}

/** The leases on cached images. They are kept with the image, and so outlast the agent. */
export class Leases {
  readonly #options: LeasesOptions;
  readonly #held = new Map<string, Held>();
  #cancelTimer: (() => void) | undefined;
  #closed = false;

  /** Takes up the leases that the cache was opened with. */
  constructor(options: LeasesOptions) {
    this.#options = options;
    const returnBy = options.now().getTime() + returnMsMax;
    for (const { record, leases } of options.cache.list()) {
      for (const lease of leases) {
        const endsMs = lease.expiresAt === null ? returnBy : Date.parse(lease.expiresAt);
        // An id twice, as in a directory that somebody has copied: each keeps its own image, and ends.
        const id = this.#held.has(lease.id) ? newLeaseId() : lease.id;
        this.#hold({ ...lease, id, digest: record.digest }, endsMs);
      }
      // Its day begins now, and not anew with every restart.
      if (leases.some(({ id }) => id.startsWith(unreadableIdStart))) void this.#writeAnew(record.digest);
    }
    this.#schedule();
  }

  get count(): number {
    return this.#held.size;
  }

  /** All leases, oldest first. */
  list(): Lease[] {
    const leases = [...this.#held.values()].map(({ lease }) => lease);
    return leases.sort((a, b) => (a.acquiredAt < b.acquiredAt ? -1 : 1));
  }

  /**
   * Takes a lease on a complete image. To be called in the order in which images come and go.
   *
   * @param ttlMs how long it lasts; undefined: until it is released
   * @throws Problem "invalid" or "exhausted", or of the disk: what cannot be written down is not promised.
   */
  async acquire(digest: string, holder: string, ttlMs: number | undefined): Promise<Lease> {
    const { cache, now } = this.#options;
    checkHolder(holder);
    if (ttlMs !== undefined) checkTtl(ttlMs);
    if (this.#held.size >= leasesMax || (cache.get(digest)?.leases.length ?? 0) >= leasesPerImageMax) {
      throw new Problem("exhausted", "there are too many leases; release some (bootswarm leases lists them)");
    }
    const at = now();
    const endsMs = ttlMs === undefined ? undefined : at.getTime() + ttlMs;
    const expiresAt = endsMs === undefined ? null : new Date(endsMs).toISOString();
    const id = newLeaseId();
    const held = this.#hold({ id, digest, holder, acquiredAt: at.toISOString(), expiresAt }, endsMs);
    try {
      await this.#write(digest);
    } catch (error) {
      this.#drop(held, "it could not be written down");
      throw error;
    }
    this.#schedule();
    return held.lease;
  }

  /** Takes up a lease again that an open call kept; undefined if it has ended, or is no such lease of that image. */
  takeUp(id: string, digest: string): Lease | undefined {
    const held = this.#held.get(id);
    if (!held || held.lease.digest !== digest || held.lease.expiresAt !== null || held.endsMs === undefined) {
      return undefined;
    }
    held.endsMs = undefined;
    return held.lease;
  }

  /** @throws Problem "not-found"; "conflict" for one that an open call keeps; "invalid". */
  async renew(id: string, ttlMs: number): Promise<Lease> {
    checkTtl(ttlMs);
    const held = this.#require(id);
    if (held.lease.expiresAt === null)
      throw new Problem("conflict", `an open call keeps lease ${id}; it lasts as long`);
    const before = { lease: held.lease, endsMs: held.endsMs };
    held.endsMs = this.#options.now().getTime() + ttlMs;
    held.lease = { ...held.lease, expiresAt: new Date(held.endsMs).toISOString() };
    try {
      await this.#write(held.lease.digest);
    } catch (error) {
      Object.assign(held, before);
      throw error;
    }
    this.#schedule();
    return held.lease;
  }

  /** Ends a lease. @throws Problem "not-found". */
  async release(id: string): Promise<Lease> {
    const held = this.#require(id);
    await this.#end(held, "it was released");
    return held.lease;
  }

  /** Ends a lease that an open call kept, unless that call ended because the agent does: then it is to come back. */
  async callEnded(id: string): Promise<void> {
    const held = this.#held.get(id);
    if (held && !this.#closed) await this.#end(held, "the call that kept it ended");
  }

  /** Resolves to the reason once a lease has ended. */
  whenEnded(id: string): Promise<string> {
    return this.#held.get(id)?.ended ?? Promise.resolve("it has ended");
  }

  /** Ends the leases of an image that has been removed. */
  imageRemoved(digest: string): void {
    for (const held of this.#held.values()) {
      if (held.lease.digest === digest) this.#drop(held, "the image was removed from this node by force");
    }
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
  }

  #hold(lease: Lease, endsMs: number | undefined): Held {
    const { promise, resolve } = Promise.withResolvers<string>();
    const release = this.#options.inUse.hold(lease.digest, holderText(lease));
    const held = { lease, endsMs, release, ended: promise, end: resolve };
    this.#held.set(lease.id, held);
    return held;
  }

  #require(id: string): Held {
    const held = this.#held.get(id);
    if (!held)
      throw new Problem("not-found", `there is no lease "${id}"; it may have ended (bootswarm leases lists them)`);
    return held;
  }

  #drop(held: Held, reason: string): void {
    this.#held.delete(held.lease.id);
    held.release();
    held.end(reason);
  }

  async #end(held: Held, reason: string): Promise<void> {
    this.#drop(held, reason);
    try {
      await this.#write(held.lease.digest);
    } catch (error) {
      const { id, digest } = held.lease;
      this.#options.log.warn(
        { lease: id, digest, error: messageOf(error) },
        "cannot write down that a lease has ended; after a restart it may be back until it expires",
      );
    }
  }

  async #writeAnew(digest: string): Promise<void> {
    await this.#write(digest).catch((error: unknown) => {
      this.#options.log.warn({ digest, error: messageOf(error) }, "cannot write an image's leases anew");
    });
  }

  #write(digest: string): Promise<void> {
    return this.#options.cache.setLeases(digest, () =>
      this.list()
        .filter((lease) => lease.digest === digest)
        .map(({ digest: _digest, ...record }) => record),
    );
  }

  /** Sets the timer for whichever ends next. */
  #schedule(): void {
    this.#cancelTimer?.();
    const ends = [...this.#held.values()].flatMap(({ endsMs }) => endsMs ?? []);
    if (ends.length === 0 || this.#closed) return;
    const { clock, now } = this.#options;
    const delayMs = Math.min(...ends) - now().getTime();
    this.#cancelTimer = clock.after(Math.min(Math.max(delayMs, 0), lookMsMax), () => void this.#expire());
  }

  async #expire(): Promise<void> {
    const { now, log } = this.#options;
    const nowMs = now().getTime();
    for (const held of [...this.#held.values()]) {
      if (held.endsMs === undefined || held.endsMs > nowMs) continue;
      const { id, digest, holder } = held.lease;
      log.info({ lease: id, digest, holder }, "a lease has expired");
      await this.#end(held, "it has expired");
    }
    this.#schedule();
  }
}

function newLeaseId(): string {
  return randomBytes(6).toString("hex");
}

function holderText({ id, holder }: Lease): string {
  return holder === "" ? `lease ${id}` : `lease ${id} (${holder})`;
}

function checkHolder(holder: string): void {
  if (holder.length <= holderCharactersMax && !/\p{Cc}/u.test(holder)) return;
  throw new Problem("invalid", `a lease's holder has at most ${holderCharactersMax} characters, none of them control`);
}

function checkTtl(ttlMs: number): void {
  if (ttlMs >= ttlMsMin && ttlMs <= ttlMsMax) return;
  throw new Problem("invalid", `a lease lasts from 1 s to 30 days, not ${ttlMs / 1_000} s`);
}

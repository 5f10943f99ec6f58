import type { Log } from "../../daemon/log.ts";
import { messageOf } from "../../daemon/problem.ts";
import type { Serial } from "../../daemon/serial.ts";
import type { ImageCache } from "../cache/image-cache.ts";
import { factsOf } from "../cache/records.ts";
import type { Fetch } from "../fetch/fetch.ts";
import type { Fetches } from "../fetch/fetches.ts";
import type { Seeding } from "../seeding/seeding.ts";
import type { Damage } from "./check-image.ts";

export interface RepairsOptions {
  cache: ImageCache;
  fetches: Fetches;
  seeding: Seeding;
  /** Admits and removes one image at a time. */
  changing: Serial;
  onDamage: (kind: Damage["kind"]) => void;
  onRepair: (result: "repaired" | "failed") => void;
  now: () => Date;
  log: Log;
}

/**
 * Has what is wrong with an image fetched again. From the moment that it is found the image is not served and not ready:
 * its connections are closed, since what peers were told that we have cannot be taken back, and it is partial on disk. An
 * ordinary fetch brings the missing pieces, writes them in their place, and checks the whole.
 */
export class Repairs {
  readonly #options: RepairsOptions;

  constructor(options: RepairsOptions) {
    this.#options = options;
  }

  /** Begins to repair an image, unless that is under way. Undefined if the image is gone. */
  begin(digest: string, damage: Damage): Promise<Fetch | undefined> {
    const { cache, fetches, seeding, changing, onDamage, log } = this.#options;
    return changing.run(async () => {
      const entry = cache.get(digest);
      if (!entry?.complete) return fetches.get(digest);
      const { names } = entry.record;
      log.error({ digest, names, damage: damage.what }, "a cached image is damaged; fetching what is wrong again");
      onDamage(damage.kind);
      await seeding.stop(digest);
      await cache.damaged(digest, damage.what, damage.piece === undefined ? [] : [damage.piece]);
      // As the agent starts all complete images are taken into the swarm, and until just now this was one.
      await seeding.stop(digest);
      return this.#fetch(digest);
    });
  }

  /** A piece that a peer asked for cannot be read from the disk. Of a partial image, its own fetch finds that out. */
  pieceUnreadable(infohash: string, piece: number, error: Error): void {
    const { cache, log } = this.#options;
    const entry = cache.list().find(({ complete, record }) => complete && record.infohash === infohash);
    if (!entry) return;
    const { digest } = entry.record;
    const damage: Damage = { what: `piece ${piece} cannot be read: ${messageOf(error)}`, kind: "read", piece };
    this.begin(digest, damage).catch((fault: unknown) => {
      log.warn({ digest, error: messageOf(fault) }, "cannot repair an image yet");
    });
  }

  /** Goes on with the repair of an image that was found damaged before. Undefined if there is nothing to repair. */
  resume(digest: string): Promise<Fetch | undefined> {
    const { cache, fetches, changing } = this.#options;
    return changing.run(async () => {
      const running = fetches.get(digest);
      if (running) return running;
      return cache.get(digest)?.record.damage === undefined ? undefined : this.#fetch(digest);
    });
  }

  /** Tries again to repair what could not be repaired. Never rejects. */
  async again(): Promise<void> {
    const { cache, log } = this.#options;
    const left = cache.list().filter(({ complete, record }) => !complete && record.damage !== undefined);
    for (const { record } of left) {
      await this.resume(record.digest).catch((error: unknown) => {
        log.warn({ digest: record.digest, error: messageOf(error) }, "cannot repair an image yet");
      });
    }
  }

  async #fetch(digest: string): Promise<Fetch | undefined> {
    const { cache, fetches, onRepair, now } = this.#options;
    const record = cache.get(digest)?.record;
    if (!record) return undefined;
    const fetch = await fetches.ensure(factsOf(record), record.names[0] ?? "", "ensure", now(), {
      unasked: "repair",
    });
    void fetch.ended.then(() => {
      if (fetch.state === "ready") onRepair("repaired");
      else if (fetch.state === "failed") onRepair("failed");
    });
    return fetch;
  }
}

import type { Log } from "../../daemon/log.ts";
import { messageOf } from "../../daemon/problem.ts";
import type { Clock } from "../../swarm/types.ts";
import { type BackoffLimits, backoffMs } from "../backoff.ts";
import type { ImageFacts } from "../cache/records.ts";
import { wait } from "../clock.ts";
import { moveSpreadMsMax } from "../seeders/seeders.ts";
import type { Catalog } from "./catalog.ts";

const retryLimits: BackoffLimits = { firstMs: 500, longestMs: 15_000 };

export interface CatalogWatcherOptions {
  catalog: Catalog;
  /** Told of every image that the catalog has, and again when it changes. */
  onImage: (facts: ImageFacts) => Promise<void>;
  clock: Clock;
  random: () => number;
  log: Log;
}

/**
 * Follows the catalog until the signal aborts, coming back after every loss: this is how a node that fetched an image
 * by HTTP learns that a magnet link has appeared, and how names known here stay those of the catalog.
 */
export async function watchCatalog(options: CatalogWatcherOptions, signal: AbortSignal): Promise<void> {
  const { catalog, onImage, clock, random, log } = options;
  let attempts = 0;
  while (!signal.aborted) {
    const { url } = catalog;
    try {
      for await (const { retired, facts } of catalog.watch(signal)) {
        attempts = 0;
        await onImage(retired ? { ...facts, names: [] } : facts);
      }
    } catch (error) {
      log.debug({ error: messageOf(error) }, "lost sight of the catalog");
    }
    attempts++;
    const spreadMs = catalog.url === url ? 0 : random() * moveSpreadMsMax;
    await wait(clock, spreadMs + backoffMs(attempts, retryLimits, random), signal).catch(() => {});
  }
}

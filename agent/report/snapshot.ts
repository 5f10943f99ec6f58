import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { diskSpaceOf } from "../cache/disk-space.ts";
import type { ImageCache } from "../cache/image-cache.ts";
import { fetchMessage } from "../fetch/fetch-view.ts";
import type { Fetches } from "../fetch/fetches.ts";
import type { Prefetcher } from "../prefetch/prefetcher.ts";
import type { NodeSnapshot } from "./reporter.ts";

/** Who the node is. */
export interface NodeIdentity {
  id: string;
  name: string;
  version: string;
  /** Empty if it is in none. */
  zone: string;
  /** TCP port on which peers are served; 0 if nodes elsewhere cannot reach it. */
  peerPort: number;
  /** Empty if other machines cannot reach the API. */
  apiUrl: string;
}

/** What there is to tell the inventory. */
export async function nodeSnapshot(
  identity: NodeIdentity,
  cache: ImageCache,
  fetches: Fetches,
  prefetcher: Prefetcher,
  intervalMs: number,
  pieceVerifyFailures: number,
): Promise<NodeSnapshot> {
  const { freeBytes, sizeBytes } = await diskSpaceOf(cache.layout.disk, cache.layout.images);
  return {
    node: {
      ...identity,
      cacheBytes: BigInt(cache.completeBytes),
      diskFreeBytes: BigInt(freeBytes),
      diskSizeBytes: BigInt(sizeBytes),
      reportIntervalMs: intervalMs,
      prefetch: prefetcher.allowance({ freeBytes, sizeBytes }),
    },
    holdings: cache
      .list()
      .filter((entry) => entry.complete)
      .map(({ record, used, allocatedBytes }) => ({
        digest: record.digest,
        allocatedBytes: BigInt(allocatedBytes),
        pinned: used.pinned,
        // Nobody has asked yet for what was brought ahead of need.
        ...(!used.prefetched && { lastUsedAt: timestampFromDate(new Date(used.lastUsedAt)) }),
      })),
    fetches: fetches.current().map((fetch) => fetchMessage(fetch.view())),
    prefetches: prefetcher.reported(),
    fetchesActive: fetches.activeCount > 0,
    pieceVerifyFailures: BigInt(pieceVerifyFailures),
  };
}

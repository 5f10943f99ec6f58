import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type CachedImage, CachedImageSchema } from "../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import type { Swarm } from "../../swarm/swarm.ts";
import type { CacheEntry } from "../cache/image-cache.ts";
import type { InUse } from "../cache/in-use.ts";
import { formatMessage } from "../catalog/image-facts.ts";
import type { Scrubber } from "../scrub/scrubber.ts";

/** The API's message for an image that is here, complete or damaged. */
export function cachedImageMessage(
  { record, used, paths, allocatedBytes }: CacheEntry,
  swarm: Swarm,
  inUse: InUse,
  scrubber: Scrubber,
): CachedImage {
  const torrent = swarm.get(record.infohash)?.status();
  const scrubbedAt = scrubber.soundAt(record.digest);
  return create(CachedImageSchema, {
    digest: record.digest,
    names: record.names,
    sizeBytes: BigInt(record.sizeBytes),
    allocatedBytes: BigInt(allocatedBytes),
    format: formatMessage(record.format),
    virtualSizeBytes: BigInt(record.virtualSizeBytes),
    path: record.damage === undefined ? paths.data : "",
    pinned: used.pinned,
    lastUsedAt: timestampFromDate(new Date(used.lastUsedAt)),
    seeding: torrent?.complete ?? false,
    peers: torrent?.peers ?? 0,
    sentBytes: BigInt(torrent?.sentBytes ?? 0),
    holders: inUse.holdersOf(record.digest),
    damage: record.damage ?? "",
    ...(scrubbedAt && { scrubbedAt: timestampFromDate(scrubbedAt) }),
  });
}

import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type GetStatusResponse, GetStatusResponseSchema } from "../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import type { Swarm } from "../../swarm/swarm.ts";
import type { ImageCache } from "../cache/image-cache.ts";
import type { Fetches } from "../fetch/fetches.ts";
import type { Leases } from "../leases.ts";
import type { NodeIdentity } from "../report/snapshot.ts";
import type { Seeders } from "../seeders/seeders.ts";
import type { Space } from "../space.ts";

/** What the status is read from. */
export interface StatusSources {
  identity: NodeIdentity;
  cache: ImageCache;
  fetches: Fetches;
  swarm: Swarm;
  seeders: Seeders;
  space: Space;
  leases: Leases;
  /** Most fetches active at once. */
  concurrency: number;
  uptimeMs: () => number;
}

/** The agent as it is now, as the API's message. */
export async function statusMessage(sources: StatusSources): Promise<GetStatusResponse> {
  const { identity, cache, fetches, swarm, seeders, leases } = sources;
  const space = await sources.space.view(fetches.claims());
  const traffic = swarm.status();
  const httpBytesPerSecond = fetches.current().reduce((sum, fetch) => sum + fetch.httpBytesPerSecond, 0);
  return create(GetStatusResponseSchema, {
    nodeId: identity.id,
    nodeName: identity.name,
    version: identity.version,
    uptimeSeconds: BigInt(Math.floor(sources.uptimeMs() / 1_000)),
    stateDirectory: cache.layout.directory,
    seederUrl: seeders.url,
    seederReachable: seeders.reachable,
    seederError: seeders.error,
    ...(seeders.answeredAt && { seederAnsweredAt: timestampFromDate(seeders.answeredAt) }),
    seeders: seeders.list().map(({ answeredAt, ...seeder }) => ({
      ...seeder,
      ...(answeredAt && { answeredAt: timestampFromDate(answeredAt) }),
    })),
    peerPort: swarm.peerPort,
    dhtPort: swarm.dhtPort,
    dhtNodes: traffic.dhtNodes,
    peers: traffic.peers,
    images: cache.list().filter(({ complete }) => complete).length,
    cacheBytes: BigInt(cache.completeBytes),
    diskFreeBytes: BigInt(space.freeBytes),
    diskSizeBytes: BigInt(space.diskBytes),
    cacheQuotaBytes: BigInt(space.quotaBytes),
    cacheAllocatedBytes: BigInt(space.allocatedBytes),
    cacheReservedBytes: BigInt(space.reservedBytes),
    cacheEvictableBytes: BigInt(space.evictableBytes),
    freeFloorBytes: BigInt(space.freeFloorBytes),
    fetchesWaitingForSpace: fetches.waitingForSpaceCount,
    leases: leases.count,
    fetchesActive: fetches.activeCount,
    fetchesActiveMax: sources.concurrency,
    fetchesQueued: fetches.queuedCount,
    receivedBytesPerSecond: BigInt(Math.round(traffic.downBytesPerSecond + httpBytesPerSecond)),
    sentBytesPerSecond: BigInt(Math.round(traffic.upBytesPerSecond)),
  });
}

import { formatBytes, formatRate, formatSeconds } from "../../figures/units.ts";
import type { GetStatusResponse } from "../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import type { Image } from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import { NodeState, type NodeStatus } from "../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import type { Style } from "../style.ts";
import type { Table } from "../table.ts";
import { ageOf } from "./times.ts";

/** Facts with their values, a row each. */
export function factsTable(facts: readonly (readonly [string, string])[]): Table {
  const paint = (cell: string, style: Style) =>
    cell.startsWith("no:") || cell.startsWith("not ready") ? style.red(cell) : cell;
  return { columns: [{ header: "" }, { header: "", shrinkTo: 20, paint }], rows: facts };
}

/** One agent. */
export function agentFacts(status: GetStatusResponse, nowMs: number): [string, string][] {
  return [
    ["node", `${status.nodeName} (${status.nodeId})`],
    ["version", `${status.version}, up ${formatSeconds(Number(status.uptimeSeconds))}`],
    ["seeder", `${status.seederUrl}, last answer ${ageOf(status.seederAnsweredAt, nowMs)}`],
    ...otherSeeders(status),
    ["seeder answers", status.seederReachable ? "yes" : `no: ${status.seederError || "it was not asked yet"}`],
    ["state directory", status.stateDirectory],
    [
      "cache",
      `${status.images} ${status.images === 1 ? "image" : "images"}, ${formatBytes(status.cacheBytes)}; ` +
        `${formatBytes(status.diskFreeBytes)} of ${formatBytes(status.diskSizeBytes)} free`,
    ],
    ["space", spaceText(status)],
    ["leases", String(status.leases)],
    [
      "fetches",
      `${status.fetchesActive} active of ${status.fetchesActiveMax} at once, ${status.fetchesQueued} queued` +
        (status.fetchesWaitingForSpace === 0
          ? ""
          : `, of which ${status.fetchesWaitingForSpace} wait for room on the disk`),
    ],
    [
      "swarm",
      `${status.peers} ${status.peers === 1 ? "peer" : "peers"} on TCP port ${status.peerPort}, ` +
        `${status.dhtNodes} DHT nodes on UDP port ${status.dhtPort}`,
    ],
    ["receiving", formatRate(status.receivedBytesPerSecond)],
    ["sending", formatRate(status.sentBytesPerSecond)],
  ];
}

/** The seeders that are not asked now, and why one of them is not. */
function otherSeeders({ seeders }: GetStatusResponse): [string, string][] {
  return seeders
    .filter(({ inUse }) => !inUse)
    .map(({ url, learned, error }) => {
      const from = learned ? "learned from another" : "configured";
      return ["or", `${url} (${from})${error === "" ? "" : `, did not answer: ${error}`}`];
    });
}

/** What the cache may take, and what of it is promised or could be had back. */
function spaceText(status: GetStatusResponse): string {
  const quota = status.cacheQuotaBytes === 0n ? "no quota" : `quota ${formatBytes(status.cacheQuotaBytes)}`;
  return (
    `${formatBytes(status.cacheAllocatedBytes)} on disk, ${quota}, ${formatBytes(status.cacheReservedBytes)} promised to ` +
    `fetches, ${formatBytes(status.cacheEvictableBytes)} evictable; ${formatBytes(status.freeFloorBytes)} stay free`
  );
}

/** The seeder, as far as its catalog and inventory tell. */
export function seederFacts(
  images: readonly Image[],
  nodes: readonly NodeStatus[],
  readiness: string,
): [string, string][] {
  const bytes = images.reduce((total, image) => total + image.sizeBytes, 0n);
  const withTorrent = images.filter((image) => image.magnetUri !== "").length;
  const up = nodes.filter((node) => node.state === NodeState.UP).length;
  const fetches = nodes.reduce((total, node) => total + node.fetchesActive, 0);
  return [
    ["ready", readiness],
    [
      "catalog",
      `${images.length} ${images.length === 1 ? "image" : "images"}, ${formatBytes(bytes)}; ${withTorrent} in the swarm`,
    ],
    ["nodes", `${up} up, ${nodes.length - up} lost`],
    ["fetches", `${fetches} active on all nodes`],
  ];
}

/** A report as plain data, with everything that comes from outside checked against a bound. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Problem } from "../../daemon/problem.ts";
import { type Fetch, FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { Holding, Node, ReportRequest } from "../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import {
  NodePrefetchState,
  type PrefetchAllowance,
  type ReportedPrefetch,
} from "../../proto/gen/bootswarm/seeder/v1/prefetch_pb.js";
import type { Endpoint } from "../../swarm/types.ts";
import { isZone, zoneRule } from "../../swarm/zone.ts";
import type {
  HoldingFacts,
  NodeFacts,
  NodeReport,
  PrefetchAllowanceFacts,
  ReportedPrefetchFacts,
} from "../inventory/facts.ts";
import {
  fetchesPerReportMax,
  holdingsPerNodeMax,
  idCharactersMax,
  nodeNameCharactersMax,
  reportIntervalMsMax,
  reportIntervalMsMin,
  textCharactersMax,
  urlCharactersMax,
  versionCharactersMax,
} from "../inventory/limits.ts";

const digestPattern = /^[0-9a-f]{64}$/;
const idPattern = /^[A-Za-z0-9][A-Za-z0-9._:-]*$/;
const nameCharactersMax = 128;
/** States of a fetch that is on its way; an ended one is no part of the inventory. */
const underWay = new Set([FetchState.QUEUED, FetchState.ACTIVE, FetchState.VERIFYING, FetchState.PAUSED]);

/**
 * Checks a report.
 *
 * @param from the address from which it came, where there is one: that is where the node serves peers
 * @throws Problem "invalid" naming the field.
 */
export function nodeReportFrom(request: ReportRequest, from: string | undefined): NodeReport {
  if (!request.node) throw new Problem("invalid", "node: every report must describe its node");
  if (request.sequence < 1n) throw new Problem("invalid", "sequence: must be 1 or more");
  checkCount("holdings", request.holdings.length, holdingsPerNodeMax);
  checkCount("removed_digests", request.removedDigests.length, holdingsPerNodeMax);
  checkCount("fetches", request.fetches.length, fetchesPerReportMax);
  checkCount("prefetches", request.prefetches.length, fetchesPerReportMax);
  return {
    node: nodeFactsFrom(request.node),
    epoch: request.epoch,
    sequence: request.sequence,
    full: request.full,
    holdings: request.holdings.map(holdingFactsFrom),
    removedDigests: request.removedDigests.map((digest) => checkedDigest("removed_digests", digest)),
    holdingsChecksum: request.holdingsChecksum,
    peer: peerFrom(request.node.peerPort, from),
    pieceVerifyFailures: checkedBytes("piece_verify_failures", request.pieceVerifyFailures),
    fetches: request.fetches.filter(({ state }) => underWay.has(state)).map(checkedFetch),
    prefetch: request.node.prefetch && allowanceFrom(request.node.prefetch),
    prefetches: request.prefetches.map(reportedPrefetchFrom),
  };
}

function nodeFactsFrom(node: Node): NodeFacts {
  if (!idPattern.test(node.id))
    throw new Problem("invalid", "node.id: must be letters, digits, dots, colons and hyphens");
  checkLength("node.id", node.id, idCharactersMax);
  checkLength("node.name", node.name, nodeNameCharactersMax);
  checkLength("node.api_url", node.apiUrl, urlCharactersMax);
  checkLength("node.version", node.version, versionCharactersMax);
  if (node.zone !== "" && !isZone(node.zone)) throw new Problem("invalid", `node.zone: ${zoneRule}`);
  const { reportIntervalMs } = node;
  if (reportIntervalMs < reportIntervalMsMin || reportIntervalMs > reportIntervalMsMax) {
    throw new Problem("invalid", `node.report_interval_ms: must be ${reportIntervalMsMin} to ${reportIntervalMsMax}`);
  }
  return {
    id: node.id,
    name: node.name === "" ? node.id : node.name,
    apiUrl: node.apiUrl,
    version: node.version,
    zone: node.zone,
    cacheBytes: checkedBytes("node.cache_bytes", node.cacheBytes),
    diskFreeBytes: checkedBytes("node.disk_free_bytes", node.diskFreeBytes),
    diskSizeBytes: checkedBytes("node.disk_size_bytes", node.diskSizeBytes),
    reportIntervalMs,
  };
}

function peerFrom(port: number, from: string | undefined): Endpoint | undefined {
  if (port > 65_535) throw new Problem("invalid", "node.peer_port: must be 0 to 65535");
  return port === 0 || from === undefined ? undefined : { host: from, port };
}

function holdingFactsFrom(holding: Holding): HoldingFacts {
  return {
    digest: checkedDigest("holdings.digest", holding.digest),
    allocatedBytes: checkedBytes("holdings.allocated_bytes", holding.allocatedBytes),
    pinned: holding.pinned,
    lastUsedAtMs: holding.lastUsedAt && checkedTimeMs(timestampMs(holding.lastUsedAt)),
  };
}

function checkedFetch(fetch: Fetch): Fetch {
  checkedDigest("fetches.digest", fetch.digest);
  checkLength("fetches.name", fetch.name, nameCharactersMax);
  // Texts for people are cut, not refused: losing the whole report for a long error would be worse.
  fetch.error = fetch.error.slice(0, textCharactersMax);
  fetch.activity = fetch.activity.slice(0, textCharactersMax);
  // What a newer agent knows and this seeder does not is not kept: it has no bound.
  delete fetch.$unknown;
  return fetch;
}

function allowanceFrom(allowance: PrefetchAllowance): PrefetchAllowanceFacts {
  return {
    enabled: allowance.enabled,
    budgetBytes: checkedBytes("node.prefetch.budget_bytes", allowance.budgetBytes),
    usedBytes: checkedBytes("node.prefetch.used_bytes", allowance.usedBytes),
    roomBytes: checkedBytes("node.prefetch.room_bytes", allowance.roomBytes),
  };
}

function reportedPrefetchFrom({ digest, prefetchId, state, error }: ReportedPrefetch): ReportedPrefetchFacts {
  checkLength("prefetches.prefetch_id", prefetchId, idCharactersMax);
  const isFailed = state === NodePrefetchState.FAILED;
  return {
    digest: checkedDigest("prefetches.digest", digest),
    prefetchId,
    // PostgreSQL takes no text with a NUL in it.
    error: isFailed ? error.replaceAll("\0", "").slice(0, textCharactersMax) : undefined,
  };
}

function checkCount(field: string, count: number, max: number): void {
  if (count > max) throw new Problem("invalid", `${field}: ${count} entries are more than ${max}`);
}

function checkLength(field: string, text: string, charactersMax: number): void {
  if (text.length > charactersMax) throw new Problem("invalid", `${field}: longer than ${charactersMax} characters`);
}

function checkedDigest(field: string, digest: string): string {
  if (!digestPattern.test(digest)) throw new Problem("invalid", `${field}: must be 64 lower-case hex digits`);
  return digest;
}

function checkedBytes(field: string, bytes: bigint): number {
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) throw new Problem("invalid", `${field}: ${bytes} cannot be`);
  return Number(bytes);
}

function checkedTimeMs(timeMs: number): number {
  if (!Number.isSafeInteger(timeMs)) throw new Problem("invalid", "holdings.last_used_at: is no time");
  return timeMs;
}

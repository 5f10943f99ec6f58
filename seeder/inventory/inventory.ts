/**
 * What every node has and what is on its way to it: a state machine over reports. It has no clock, disk or socket; the
 * time comes with each call.
 */

import { Problem } from "../../daemon/problem.ts";
import type { Fetch } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { Endpoint } from "../../swarm/types.ts";
import type { HoldingFacts, KnownNode, NodeFacts, NodeReport } from "./facts.ts";
import { ImagePeers } from "./image-peers.ts";
import { holdingsPerNodeMax, imagesToldMax, nodesMax, peersEnough, peersTold, silentIntervalsMax } from "./limits.ts";

export interface NodeView {
  node: NodeFacts;
  state: "up" | "lost";
  reportedAtMs: number;
  holdings: HoldingFacts[];
  /** Empty for a lost node: nobody knows what became of them. */
  fetches: Fetch[];
}

/** One node's part in an image: a holding, or a fetch. */
export interface NodePart {
  node: NodeFacts;
  state: "up" | "lost";
  holding: HoldingFacts | undefined;
  fetch: Fetch | undefined;
}

export interface ReportOutcome {
  /** Whether the node must send a full report next. */
  fullReportWanted: boolean;
  /** Whether what is known of the node's holdings has changed. */
  holdingsChanged: boolean;
  /** A node that had to be forgotten to make room. */
  forgottenId: string | undefined;
  /** Whether two agents seem to report under this id by turns. */
  idShared: boolean;
}

interface NodeRecord {
  node: NodeFacts;
  reportedAtMs: number;
  holdings: Map<string, HoldingFacts>;
  fetches: Fetch[];
  /** Undefined until the node has reported in full to this inventory. */
  epoch: bigint | undefined;
  previousEpoch: bigint | undefined;
  sequence: bigint;
}

export class Inventory {
  readonly #nodes = new Map<string, NodeRecord>();
  readonly #peers = new ImagePeers();

  /** Knows nodes again from before a restart; each is asked for a full report when it reports. */
  restore(known: readonly KnownNode[]): void {
    for (const { node, reportedAtMs, holdings } of known) {
      const byDigest = new Map(holdings.map((holding) => [holding.digest, holding]));
      this.#nodes.set(node.id, { ...newRecord(node), reportedAtMs, holdings: byDigest });
    }
  }

  /**
   * Takes a report in. A full one replaces all that is known of the node. A delta's changes are taken only if it follows
   * the last report taken; what a delta says in full (the node itself, its fetches) is taken in any case.
   *
   * @throws Problem "exhausted" if there are too many nodes, none of them lost, or too many holdings.
   */
  report(report: NodeReport, nowMs: number): ReportOutcome {
    const { id } = report.node;
    const known = this.#nodes.get(id);
    const forgottenId = known ? undefined : this.#makeRoom(nowMs);
    const record = known ?? newRecord(report.node);
    const idShared = report.epoch !== record.epoch && report.epoch === record.previousEpoch;
    const follows = report.epoch === record.epoch && report.sequence === record.sequence + 1n;
    const taken = report.full || follows;
    const holdingsChanged = taken && applyHoldings(record, report);
    if (taken) {
      if (report.epoch !== record.epoch) record.previousEpoch = record.epoch;
      record.epoch = report.epoch;
      record.sequence = report.sequence;
    } else {
      // One gap leaves doubt until the next full report, even if later deltas seem to follow.
      record.sequence = -1n;
    }
    record.node = report.node;
    record.reportedAtMs = nowMs;
    record.fetches = report.fetches;
    this.#nodes.set(id, record);
    this.#peers.report(id, {
      endpoint: report.peer,
      lostAtMs: nowMs + silentIntervalsMax * report.node.reportIntervalMs,
      held: holdingsChanged || report.full ? record.holdings.keys() : undefined,
      fetching: report.fetches.filter(isActive).map(({ digest }) => digest),
    });
    return { fullReportWanted: !taken, holdingsChanged, forgottenId, idShared };
  }

  /** Peers of the images that a node is fetching and has few peers of; the node has just reported. */
  peersFor(id: string, nowMs: number, random: () => number): { digest: string; peers: Endpoint[] }[] {
    const inNeed = (this.#nodes.get(id)?.fetches ?? []).filter((fetch) => isActive(fetch) && fetch.peers < peersEnough);
    return inNeed
      .slice(0, imagesToldMax)
      .map(({ digest }) => ({ digest, peers: this.#peers.some(digest, id, peersTold, nowMs, random) }))
      .filter(({ peers }) => peers.length > 0);
  }

  /** All nodes, by name. */
  nodes(nowMs: number): NodeView[] {
    return [...this.#nodes.values()].map((record) => viewOf(record, nowMs)).sort((a, b) => byName(a.node, b.node));
  }

  /**
   * The node of that id or else of that name.
   *
   * @throws Problem "not-found", or "conflict" if several nodes have the name.
   */
  node(idOrName: string, nowMs: number): NodeView {
    const byId = this.#nodes.get(idOrName);
    if (byId) return viewOf(byId, nowMs);
    const named = [...this.#nodes.values()].filter(({ node }) => node.name === idOrName);
    if (named.length > 1) {
      const ids = named.map(({ node }) => node.id).join(", ");
      throw new Problem("conflict", `several nodes are called "${idOrName}"; ask for one by its id: ${ids}`);
    }
    if (!named[0]) {
      throw new Problem(
        "not-found",
        `no node "${idOrName}" has ever reported; \`bootswarm nodes\` (ListNodes) lists them`,
      );
    }
    return viewOf(named[0], nowMs);
  }

  /** Who has an image, then who is fetching it, most advanced first; equals by name. Lost nodes after others. */
  parts(digest: string, nowMs: number): NodePart[] {
    const parts: NodePart[] = [];
    for (const record of this.#nodes.values()) {
      const holding = record.holdings.get(digest);
      const state = stateOf(record, nowMs);
      const fetch = state === "lost" ? undefined : record.fetches.find((fetch) => fetch.digest === digest);
      if (holding || fetch) parts.push({ node: record.node, state, holding, fetch: holding ? undefined : fetch });
    }
    return parts.sort(byProgress);
  }

  /** What must be remembered of a node through a restart; undefined if it is not known. */
  known(id: string): KnownNode | undefined {
    const record = this.#nodes.get(id);
    return record && { node: record.node, reportedAtMs: record.reportedAtMs, holdings: [...record.holdings.values()] };
  }

  /** How many nodes are in each state. */
  counts(nowMs: number): { up: number; lost: number } {
    const counts = { up: 0, lost: 0 };
    for (const record of this.#nodes.values()) counts[stateOf(record, nowMs)] += 1;
    return counts;
  }

  /** Forgets the node that has been lost for longest, if there is no room for another. */
  #makeRoom(nowMs: number): string | undefined {
    if (this.#nodes.size < nodesMax) return undefined;
    const lost = [...this.#nodes.values()].filter((record) => stateOf(record, nowMs) === "lost");
    const oldest = lost.reduce<NodeRecord | undefined>(
      (oldest, record) => (oldest && oldest.reportedAtMs <= record.reportedAtMs ? oldest : record),
      undefined,
    );
    if (!oldest) throw new Problem("exhausted", `${nodesMax} nodes report already; this one cannot be taken on`);
    this.#nodes.delete(oldest.node.id);
    this.#peers.forget(oldest.node.id);
    return oldest.node.id;
  }
}

/** Whether a fetch takes one of its node's active places. */
export function isActive(fetch: Fetch): boolean {
  return fetch.state === FetchState.ACTIVE || fetch.state === FetchState.VERIFYING;
}

function newRecord(node: NodeFacts): NodeRecord {
  return {
    node,
    reportedAtMs: 0,
    holdings: new Map(),
    fetches: [],
    epoch: undefined,
    previousEpoch: undefined,
    sequence: -1n,
  };
}

function applyHoldings(record: NodeRecord, report: NodeReport): boolean {
  if (!report.full && report.holdings.length === 0 && report.removedDigests.length === 0) return false;
  const holdings = report.full ? new Map<string, HoldingFacts>() : new Map(record.holdings);
  for (const digest of report.removedDigests) holdings.delete(digest);
  for (const holding of report.holdings) holdings.set(holding.digest, holding);
  if (holdings.size > holdingsPerNodeMax) {
    throw new Problem("exhausted", `a node may report ${holdingsPerNodeMax} images at most, not ${holdings.size}`);
  }
  record.holdings = holdings;
  return true;
}

function stateOf(record: NodeRecord, nowMs: number): "up" | "lost" {
  return nowMs - record.reportedAtMs > silentIntervalsMax * record.node.reportIntervalMs ? "lost" : "up";
}

function viewOf(record: NodeRecord, nowMs: number): NodeView {
  const state = stateOf(record, nowMs);
  return {
    node: record.node,
    state,
    reportedAtMs: record.reportedAtMs,
    holdings: [...record.holdings.values()],
    fetches: state === "lost" ? [] : record.fetches,
  };
}

function byProgress(a: NodePart, b: NodePart): number {
  if (a.holding && b.holding && a.state !== b.state) return a.state === "up" ? -1 : 1;
  if (Boolean(a.holding) !== Boolean(b.holding)) return a.holding ? -1 : 1;
  const ahead = Number((b.fetch?.doneBytes ?? 0n) - (a.fetch?.doneBytes ?? 0n));
  return ahead || byName(a.node, b.node);
}

function byName(a: NodeFacts, b: NodeFacts): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1;
}

/**
 * What every node has and what is on its way to it: a state machine over reports. It has no clock, disk or socket; the
 * time comes with each call.
 */
import { Problem } from "../../daemon/problem.ts";
import type { Fetch } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { Endpoint } from "../../swarm/types.ts";
import type { HoldingFacts, HoldingsChange, NodeFacts, NodeReport, SharedNode } from "./facts.ts";
import { HeldImages } from "./held-images.ts";
import { ImageIndex } from "./image-index.ts";
import { ImageParts, type PartCounts } from "./image-parts.ts";
import { nodesMax, silentIntervalsMax } from "./limits.ts";
import { NodeColumns } from "./node-columns.ts";
import { NodeHoldings } from "./node-holdings.ts";
import { NodeNames } from "./node-names.ts";
import { isActive, type NodePart, type NodeRecord, NodeView, stateOf } from "./node-view.ts";
import { ownIntervalMs } from "./pacing.ts";
import { supersedes } from "./supersedes.ts";

export interface ReportOutcome {
  /** Whether the node must send a full report next. */
  fullReportWanted: boolean;
  /** Whether what is known of the node's holdings has changed. */
  holdingsChanged: boolean;
  /** Whether what was known of the node came from the store. */
  tookOver: boolean;
  /** Whether the checksum speaks against what was told: reports were all taken, and yet it is not what the node holds. */
  diverged: boolean;
  /** A node that had to be forgotten to make room. */
  forgottenId: string | undefined;
  /** Whether two agents seem to report under this id by turns. */
  idShared: boolean;
}

/** Which nodes are wanted. */
export interface NodeQuery {
  zone?: string;
  state?: "up" | "lost";
  /** Only those that come after this one, by name. */
  after?: Pick<NodeFacts, "name" | "id">;
  limit: number;
}

export class Inventory {
  readonly #nodes = new Map<string, NodeRecord>();
  readonly #names = new NodeNames<NodeRecord>();
  readonly #images = new ImageIndex<NodeRecord>();
  readonly #holdings = new NodeHoldings(this.#images);
  readonly #parts = new ImageParts(this.#images);
  /** What is read of all nodes at once. */
  readonly columns = new NodeColumns();
  /** No node is lost before this time, as far as was seen when room was last looked for. */
  #nobodyLostUntilMs = Number.NEGATIVE_INFINITY;
  /** When other seeders' nodes were last heard of. */
  readonly #others = { heardAtMs: Number.NEGATIVE_INFINITY };
  readonly #nodesMax: number;

  /** @param max nodes known at once */
  constructor(max = nodesMax) {
    this.#nodesMax = max;
  }

  /**
   * Takes in what the store tells of a node, from before a restart or from another seeder; a later report that came here
   * stands. What is learned is believed once the node's checksum says the same; else the node is asked for a full report
   * when it reports here.
   *
   * @param elsewhere whether another seeder has it now: it counts as up as of the time for which `heard` was called last
   * @returns whether it was taken
   * @throws Problem "exhausted" if there are too many nodes, none of them lost.
   */
  learn(shared: SharedNode, holdings: HoldingsChange | undefined, elsewhere: boolean, nowMs: number): boolean {
    const { node, reportedAtMs, leaseMs, peer, fetches, seederId, epoch, sequence } = shared;
    const known = this.#nodes.get(node.id);
    if (known && !supersedes(shared, { ...known.told, reportedAtMs: known.reportedAtMs })) return false;
    if (!known) this.#makeRoom(nowMs);
    const record = known ?? newRecord(node);
    if (holdings) this.#holdings.learn(record, holdings);
    Object.assign(record, { reportedAtMs, leaseMs, peer, told: { epoch, sequence }, seederId });
    Object.assign(record, { epoch: undefined, previousEpoch: undefined, sequence: -1n });
    record.elsewhere = elsewhere ? this.#others : undefined;
    this.#takeFetches(record, fetches);
    this.#rename(record, node, known !== undefined);
    this.#nodes.set(node.id, record);
    this.columns.update(record);
    return true;
  }

  /** All that others were told until then has been learned. */
  heard(atMs: number): void {
    this.#others.heardAtMs = atMs;
  }

  /**
   * Takes a report in. A full one replaces all that is known of the node. A delta's changes are taken only if it follows
   * the last report taken; what a delta says in full (the node itself, its fetches) is taken in any case. Whether more
   * is wanted then is decided by the report's checksum, where it has one.
   *
   * @param leaseMs how long the node counts as up without another report
   * @throws Problem "exhausted" if there are too many nodes, none of them lost, or too many holdings.
   */
  report(
    report: NodeReport,
    nowMs: number,
    leaseMs = silentIntervalsMax * report.node.reportIntervalMs,
  ): ReportOutcome {
    const { id } = report.node;
    const known = this.#nodes.get(id);
    const forgottenId = known ? undefined : this.#makeRoom(nowMs);
    const record = known ?? newRecord(report.node);
    const idShared = report.epoch !== record.epoch && report.epoch === record.previousEpoch;
    const follows = report.epoch === record.epoch && report.sequence === record.sequence + 1n;
    const holdingsChanged = (report.full || follows) && this.#holdings.take(record, report);
    const agrees =
      report.holdingsChecksum === undefined || report.holdingsChecksum === this.#holdings.checksumOf(record);
    // A full report is the truth, whatever its checksum.
    const inStep = report.full || (report.holdingsChecksum === undefined ? follows : agrees);
    if (report.epoch !== record.epoch && inStep) {
      record.previousEpoch = record.epoch;
      record.epoch = report.epoch;
    }
    // One doubt lasts until it is resolved, even if later deltas seem to follow.
    record.sequence = inStep ? report.sequence : -1n;
    const tookOver = record.seederId !== "";
    record.told = { epoch: report.epoch, sequence: report.sequence };
    record.seederId = "";
    record.elsewhere = undefined;
    record.reportedAtMs = nowMs;
    record.leaseMs = leaseMs;
    record.peer = report.peer;
    this.#takeFetches(record, report.fetches);
    this.#rename(record, report.node, known !== undefined);
    this.#nodes.set(id, record);
    this.columns.update(record);
    return {
      fullReportWanted: !inStep,
      holdingsChanged,
      tookOver,
      diverged: (report.full || follows) && !agrees,
      forgottenId,
      idShared,
    };
  }

  /** Peers of the images that a node is fetching and has few peers of; the node has just reported. */
  peersFor(id: string, nowMs: number, random: () => number): { digest: string; peers: Endpoint[] }[] {
    const asker = this.#nodes.get(id);
    return asker ? this.#parts.peersFor(asker, nowMs, random) : [];
  }

  /** Some of the nodes that have an image or are fetching it. */
  peersOf(digest: string, nowMs: number, random: () => number): Endpoint[] {
    return this.#parts.somePeers(digest, undefined, nowMs, random);
  }

  /** All nodes, by name. */
  nodes(nowMs: number): NodeView[] {
    return [...this.#names.inOrder()].map((record) => this.#view(record, nowMs));
  }

  /** Nodes by name, up to a limit, and whether there are more. */
  page({ zone, state, after, limit }: NodeQuery, nowMs: number): { nodes: NodeView[]; more: boolean } {
    const nodes: NodeView[] = [];
    for (const record of this.#names.inOrder(after)) {
      if ((zone && record.node.zone !== zone) || (state && stateOf(record, nowMs) !== state)) continue;
      if (nodes.length === limit) return { nodes, more: true };
      nodes.push(this.#view(record, nowMs));
    }
    return { nodes, more: false };
  }

  /** The node of that id or else of that name; undefined if there is none, or several have the name. */
  lookup(idOrName: string, nowMs: number): NodeView | undefined {
    const record = this.#find(idOrName);
    return record && this.#view(record, nowMs);
  }

  /**
   * The node of that id or else of that name.
   *
   * @throws Problem "not-found", or "conflict" if several nodes have the name.
   */
  node(idOrName: string, nowMs: number): NodeView {
    const record = this.#find(idOrName);
    if (record) return this.#view(record, nowMs);
    const ids = this.#names.called(idOrName).map(({ node }) => node.id);
    if (ids.length > 1) {
      throw new Problem(
        "conflict",
        `several nodes are called "${idOrName}"; ask for one by its id: ${ids.slice(0, 10).join(", ")}${ids.length > 10 ? " ..." : ""}`,
      );
    }
    throw new Problem(
      "not-found",
      `no node "${idOrName}" has ever reported; \`bootswarm nodes\` (ListNodes) lists them`,
    );
  }

  /**
   * The inventory's own record of the node of that id or name, and those of all nodes, for reading thousands at once:
   * neither to be kept nor changed.
   */
  record(idOrName: string): Readonly<NodeRecord> | undefined {
    return this.#find(idOrName);
  }

  /** While this is the same, ids and names stand for the same records. */
  get namesChanges(): number {
    return this.#names.changes;
  }

  records(): Iterable<Readonly<NodeRecord>> {
    return this.#nodes.values();
  }

  /** Such records of the nodes that hold an image, and of those that fetch it, in no order. */
  recordsOf(digest: string): { holding: readonly Readonly<NodeRecord>[]; fetching: readonly Readonly<NodeRecord>[] } {
    const image = this.#images.find(digest);
    return { holding: image?.holders ?? [], fetching: image?.fetching.items ?? [] };
  }

  /** The slot of the node of that id in the columns; -1 if it is not known. */
  slotOf(id: string): number {
    return this.#nodes.get(id)?.slot ?? -1;
  }

  /** Whether there is a node in a slot, and it is up. */
  isUp(slot: number, nowMs: number): boolean {
    return this.columns.isUp(slot, nowMs, this.#others.heardAtMs);
  }

  /** Digests of all images that some node holds or fetches, boot images among them. */
  digests(): IterableIterator<string> {
    return this.#images.digests();
  }

  /** How many nodes hold an image, and how many fetch it, lost ones included. */
  partCounts(digest: string): PartCounts {
    return this.#parts.counts(digest);
  }

  /** How many nodes that are up hold an image and how many fetch it, by zone. */
  partCountsByZone(digest: string, nowMs: number): Map<string, PartCounts> {
    return this.#parts.countsByZone(digest, nowMs);
  }

  /** The part in an image of the node of that id; undefined if it has none. A lost node's fetch is none. */
  partOf(id: string, digest: string, nowMs: number): NodePart | undefined {
    const record = this.#nodes.get(id);
    return record && this.#parts.of(record, digest, nowMs);
  }

  /** Who has an image, then who is fetching it, most advanced first; equals by name. Lost nodes after others. */
  parts(digest: string, nowMs: number): NodePart[] {
    return this.#parts.all(digest, nowMs);
  }

  /** What other seeders are to know of a node, holdings aside; undefined if it is not known. */
  shared(id: string): SharedNode | undefined {
    const record = this.#nodes.get(id);
    if (!record) return undefined;
    const { node, told, reportedAtMs, leaseMs, peer, fetches, seederId } = record;
    return { node, ...told, reportedAtMs, leaseMs, peer, fetches, seederId };
  }

  /** What a node holds of these images, or of all. */
  holdings(id: string, digests?: Iterable<string>): HoldingFacts[] {
    const record = this.#nodes.get(id);
    if (!record) return [];
    if (!digests) return [...this.#images.holdingsOf(record)];
    return [...digests].flatMap((digest) => {
      const image = this.#images.find(digest);
      return (image && this.#images.holding(record, image)) ?? [];
    });
  }

  /** Ids of all nodes. */
  ids(): IterableIterator<string> {
    return this.#nodes.keys();
  }

  /** Forgets a node, if it is known. */
  forget(id: string): void {
    const record = this.#nodes.get(id);
    if (!record) return;
    this.#images.replace(record, []);
    this.#images.fetch(record, record.fetches.map(digestOf), []);
    this.#names.remove(record, record.node.name);
    this.#nodes.delete(id);
    this.columns.remove(record);
  }

  /** How many nodes are in each state, of all or of one zone. */
  counts(nowMs: number, zone = ""): { up: number; lost: number } {
    const counts = { up: 0, lost: 0 };
    for (const record of this.#nodes.values()) {
      if (zone === "" || record.node.zone === zone) counts[stateOf(record, nowMs)] += 1;
    }
    return counts;
  }

  /** Reports per second that the nodes of this seeder would send at their own intervals. */
  demandHere(nowMs: number): number {
    let perSecond = 0;
    for (const record of this.#nodes.values()) {
      if (record.elsewhere || stateOf(record, nowMs) === "lost") continue;
      perSecond += 1_000 / ownIntervalMs(record.node.reportIntervalMs, record.fetches.some(isActive));
    }
    return perSecond;
  }

  /** How many nodes are known. */
  get size(): number {
    return this.#nodes.size;
  }

  #find(idOrName: string): NodeRecord | undefined {
    const byId = this.#nodes.get(idOrName);
    if (byId) return byId;
    const named = this.#names.called(idOrName);
    return named.length === 1 ? named[0] : undefined;
  }

  #view(record: NodeRecord, nowMs: number): NodeView {
    return new NodeView(record, nowMs, () => [...this.#images.holdingsOf(record)]);
  }

  #takeFetches(record: NodeRecord, fetches: Fetch[]): void {
    this.#images.fetch(record, record.fetches.map(digestOf), fetches.map(digestOf));
    record.fetches = fetches;
  }

  #rename(record: NodeRecord, node: NodeFacts, isNamed: boolean): void {
    const { name } = record.node;
    record.node = node;
    if (isNamed && name === node.name) return;
    if (isNamed) this.#names.remove(record, name);
    this.#names.add(record);
  }

  /** Forgets the node that has been lost for longest, if there is no room for another. */
  #makeRoom(nowMs: number): string | undefined {
    if (this.#nodes.size < this.#nodesMax) return undefined;
    let oldest: NodeRecord | undefined;
    if (nowMs > this.#nobodyLostUntilMs) {
      this.#nobodyLostUntilMs = Number.POSITIVE_INFINITY;
      for (const record of this.#nodes.values()) {
        this.#nobodyLostUntilMs = Math.min(this.#nobodyLostUntilMs, record.reportedAtMs + record.leaseMs);
        if (stateOf(record, nowMs) === "up") continue;
        if (!oldest || record.reportedAtMs < oldest.reportedAtMs) oldest = record;
      }
    }
    if (!oldest) throw new Problem("exhausted", `${this.#nodesMax} nodes report already; this one cannot be taken on`);
    this.forget(oldest.node.id);
    return oldest.node.id;
  }
}

function newRecord(node: NodeFacts): NodeRecord {
  return {
    node,
    slot: -1,
    reportedAtMs: 0,
    leaseMs: 0,
    held: new HeldImages(),
    checksum: undefined,
    fetches: [],
    peer: undefined,
    epoch: undefined,
    previousEpoch: undefined,
    sequence: -1n,
    told: { epoch: 0n, sequence: 0n },
    seederId: "",
    elsewhere: undefined,
  };
}

function digestOf(fetch: Fetch): string {
  return fetch.digest;
}

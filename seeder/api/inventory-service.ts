/** InventoryService: translates and calls. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { remoteAddress } from "../../daemon/listener.ts";
import { Problem } from "../../daemon/problem.ts";
import type {
  InventoryService,
  ReportRequest,
  ReportResponseSchema,
} from "../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import type { Catalog } from "../catalog/catalog.ts";
import { imageRefFrom } from "../catalog/names.ts";
import type { NodeReport } from "../inventory/facts.ts";
import type { InventoryKeeper } from "../inventory/inventory-keeper.ts";
import type { Prefetches } from "../prefetch/prefetches.ts";
import { holdingMessage, nodeHoldingMessage, nodeStatusMessage, stateAsked } from "./inventory-messages.ts";
import { nodeAfter, offsetFrom, pageSizeFrom, tokenAfterNode, tokenAtOffset } from "./pages.ts";
import { directiveMessage } from "./prefetch-messages.ts";
import { nodeReportFrom } from "./report-messages.ts";

export interface InventoryServiceParts {
  keeper: InventoryKeeper;
  catalog: Catalog;
  /** Places in the swarm to tell: this seeder's, and others'. An empty host means that by which the agent reached it. */
  endpoints: () => { host: string; dhtPort: number; peerPort: number }[];
  /** URLs of all live seeders to tell a node that reports from an address; none where there is only one. */
  seederUrls: (remoteAddress: string | undefined) => string[];
  nowMs: () => number;
  /** Uniform in [0, 1). */
  random: () => number;
  /** Told of every report. */
  onReport: (kind: "full" | "delta" | "refused", seconds: number) => void;
  /** Told of every report that was taken. */
  onNodeReport: (report: NodeReport) => void;
  /** Sees uses of images in reports, and says what nodes are to bring ahead of need. */
  prefetches?: Pick<Prefetches, "usesIn" | "reported">;
  /** Told of reports whose checksum disagrees with what was told. */
  onDiverged: () => void;
}

/** Takes a node's report, which came from an address, and says what it is to do next. */
export function reportAnswerer({ keeper, ...parts }: InventoryServiceParts) {
  return (request: ReportRequest, from: string | undefined): MessageInitShape<typeof ReportResponseSchema> => {
    const startMs = performance.now();
    let kind: "full" | "delta" | "refused" = "refused";
    try {
      const report = nodeReportFrom(request, from);
      const uses = parts.prefetches?.usesIn(report) ?? [];
      const { diverged, ...answer } = keeper.report(report);
      // What was not taken is told again.
      const told = parts.prefetches?.reported(report, answer.fullReportWanted ? [] : uses) ?? [];
      parts.onNodeReport(report);
      kind = request.full ? "full" : "delta";
      if (diverged) parts.onDiverged();
      const imagePeers = keeper.inventory.peersFor(report.node.id, parts.nowMs(), parts.random);
      const bootstrap = parts.endpoints();
      const directives = told.map(directiveMessage);
      return { ...answer, bootstrap, imagePeers, directives, seederUrls: parts.seederUrls(from) };
    } finally {
      parts.onReport(kind, (performance.now() - startMs) / 1_000);
    }
  };
}

export function createInventoryService(parts: InventoryServiceParts): ServiceImpl<typeof InventoryService> {
  const { keeper, catalog, nowMs } = parts;
  const answer = reportAnswerer(parts);
  return {
    report: (request, context) => answer(request, context.values.get(remoteAddress)),
    listNodes: (request) => {
      const after = request.pageToken === "" ? undefined : nodeAfter(request.pageToken);
      const state = stateAsked(request.state);
      const limit = pageSizeFrom(request.pageSize);
      const now = nowMs();
      const { nodes, more } = keeper.inventory.page({ zone: request.zone, state, after, limit }, now);
      const last = nodes.at(-1)?.node;
      return {
        nodes: nodes.map(nodeStatusMessage),
        nextPageToken: more && last ? tokenAfterNode(last) : "",
        ...keeper.inventory.counts(now, request.zone),
      };
    },
    getNode: ({ node }) => {
      if (node === "") throw new Problem("invalid", "node: give a node's id or name");
      const view = keeper.inventory.node(node, nowMs());
      return { node: nodeStatusMessage(view), holdings: view.holdings.map(holdingMessage), fetches: [...view.fetches] };
    },
    listHoldings: async ({ image, pageSize, pageToken, fetchingFirst }) => {
      const digest = await digestOf(catalog, image);
      const byProgress = keeper.inventory.parts(digest, nowMs());
      const parts = fetchingFirst ? byProgress.toReversed() : byProgress;
      const start = pageToken === "" ? 0 : offsetFrom(pageToken);
      const end = start + pageSizeFrom(pageSize);
      const holdingNodes = parts.filter(({ holding }) => holding).length;
      return {
        digest,
        nodes: parts.slice(start, end).map(nodeHoldingMessage),
        nextPageToken: end < parts.length ? tokenAtOffset(end) : "",
        holdingNodes,
        fetchingNodes: parts.length - holdingNodes,
      };
    },
  };
}

/** A digest needs no catalog: nodes keep images that were retired. */
async function digestOf(catalog: Catalog, image: string): Promise<string> {
  const ref = imageRefFrom(image);
  return "digest" in ref ? ref.digest : (await catalog.get(ref.name)).digest;
}

/**
 * A process of simulated nodes: each with the agent's own reporter and an HTTP/2 connection of its own. It is told what
 * to do by its parent, and tells about itself a few times a second.
 */
import type { Transport } from "@connectrpc/connect";
import { Reporter } from "../../../agent/report/reporter.ts";
import { createLog } from "../../../daemon/log.ts";
import type { ReportRequest, ReportResponse } from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import { systemClock } from "../../../swarm/system-clock.ts";
import { leanTransport } from "./lean-transport.ts";
import { type NodeShape, SimulatedNode } from "./nodes.ts";

export interface GeneratorOrder {
  url: string;
  first: number;
  count: number;
  shape: NodeShape;
}

/** What the generator's nodes have had answered since it was told to count anew. */
export interface GeneratorCounts {
  round: number;
  /** Nodes of which all is known. */
  settled: number;
  /** When the last of them was, as Date.now says. */
  settledAtMs: number;
  answered: number;
  full: number;
  failed: number;
  /** Milliseconds of each answer, a sample. */
  latencies: number[];
}

const tellEveryMs = 200;
const latenciesMax = 20_000;

const log = createLog({ level: "silent", name: "node" });
let counts: GeneratorCounts = emptyCounts(0);
let settled = new Set<number>();

process.on("message", (message: { order?: GeneratorOrder; round?: number; nobodyKnown?: boolean }) => {
  if (message.order) void start(message.order);
  if (message.round !== undefined) {
    counts = emptyCounts(message.round);
    if (message.nobodyKnown) settled = new Set();
  }
});
process.on("disconnect", () => process.exit(0));
setInterval(() => {
  process.send?.({ ...counts, settled: settled.size });
  counts.latencies = [];
}, tellEveryMs);

/** Nodes come up over one interval, as their reports will be spread. */
async function start({ url, first, count, shape }: GeneratorOrder): Promise<void> {
  for (let at = 0; at < count; at++) {
    run(new SimulatedNode(first + at, shape), first + at, url, shape.intervalMs);
    if (at % 10 === 9) await new Promise((resolve) => setTimeout(resolve, (10 * shape.intervalMs) / count));
  }
}

function run(node: SimulatedNode, index: number, url: string, intervalMs: number): void {
  const lean = leanTransport(url);
  const unary: Transport["unary"] = async (...call) => {
    const startMs = performance.now();
    try {
      const answer = await lean.unary(...call);
      counts.answered++;
      if (counts.latencies.length < latenciesMax) counts.latencies.push(performance.now() - startMs);
      if ((call[4] as Partial<ReportRequest>).full) counts.full++;
      if (!(answer.message as unknown as ReportResponse).fullReportWanted && !settled.has(index)) {
        settled.add(index);
        counts.settledAtMs = Date.now();
      }
      return answer;
    } catch (error) {
      counts.failed++;
      throw error;
    }
  };
  const reporter = new Reporter({
    transport: { unary, stream: lean.stream },
    seeders: { url, error: "" },
    epoch: BigInt(index) + 1n,
    intervalMs,
    snapshot: async () => node.snapshot(performance.now()),
    triggers: [],
    onBootstrap: () => {},
    onSeeders: () => {},
    onImagePeers: () => {},
    onDirectives: () => {},
    onResult: () => {},
    clock: systemClock,
    random: Math.random,
    log,
  });
  void reporter.run(new AbortController().signal);
}

function emptyCounts(round: number): GeneratorCounts {
  return { round, settled: 0, settledAtMs: 0, answered: 0, full: 0, failed: 0, latencies: [] };
}

/**
 * npm run bench:placement [-- --nodes 10000 --images 50 --calls 200 --out FILE]: WeighHosts on a seeder whose inventory has
 * so many nodes with so many images each: the handler's own time, as the seeder tells it, and the whole call's over HTTP by
 * gRPC and by Connect's JSON, one call after the other from another process, with encoding and decoding at both ends.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { InventoryService, type ReportRequestSchema } from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import { PlacementService, type WeighHostsRequestSchema } from "../../../proto/gen/bootswarm/seeder/v1/placement_pb.js";
import { launcherFromSources, startDaemon } from "../child.ts";
import { runFacts } from "../machine.ts";
import { usageOf } from "../process-usage.ts";
import { quantile, rounded } from "../statistics.ts";

const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: "10000" },
    images: { type: "string", default: "50" },
    calls: { type: "string", default: "200" },
    out: { type: "string" },
  },
});
const nodes = Number(values.nodes);
const imagesEach = Number(values.images);
/** Different images that there are: each is on a tenth of the nodes. */
const imagesAll = imagesEach * 10;
const warmUpCalls = 30;
/** Reports sent at once while the inventory is filled. */
const reportersMax = 8;

const folder = mkdtempSync(join(tmpdir(), "bootswarm-bench-"));
const launchedBytes = randomBytes(1_000);
const digests = Array.from({ length: imagesAll }, (_, index) =>
  createHash("sha256")
    .update(index === 0 ? launchedBytes : `image ${index}`)
    .digest("hex"),
);
const nameOf = (index: number) => `compute-${index}.example.org`;

try {
  const settings = { dataDirectory: join(folder, "seeder"), "swarm.port": 0, "dht.port": 0, listen: "127.0.0.1:0" };
  const { process, url } = await startDaemon("seeder", settings, launcherFromSources);
  await using seeder = process;
  await fetch(`${url}/images/launched`, { method: "PUT", body: launchedBytes });
  const grpc = createGrpcTransport({ baseUrl: url });
  const json = createConnectTransport({ baseUrl: url, httpVersion: "1.1", useBinaryFormat: false });
  const filledMs = await fillInventory(createClient(InventoryService, grpc));
  console.log(`${nodes} nodes x ${imagesEach} images told in ${rounded(filledMs / 1_000, 1)} s`);
  const hosts = Array.from({ length: nodes }, (_, index) => nameOf(index));
  const requests: Record<string, MessageInitShape<typeof WeighHostsRequestSchema>> = {
    "all nodes, the best 10 told": { options: { count: 10 } },
    [`${nodes} hosts named, all weights told`]: { hosts, options: { brief: true } },
    [`${nodes} hosts named, all told with reasons`]: { hosts },
    "24 hosts named, all told with reasons": { hosts: hosts.slice(0, 24) },
  };
  const runs = [];
  for (const [request, message] of Object.entries(requests)) {
    for (const [protocol, transport] of [["gRPC", grpc] as const, ["JSON", json] as const]) {
      const run = { request, protocol, ...(await measure(transport, message)) };
      console.log(JSON.stringify(run));
      runs.push(run);
    }
  }
  console.table(runs);
  const { residentMib, peakMib } = usageOf(seeder.pid);
  const memory = { residentMib: rounded(residentMib, 0), peakMib: rounded(peakMib, 0) };
  console.log("seeder's memory", memory);
  await seeder.end("SIGTERM");
  if (values.out) {
    const { out: _, ...options } = values;
    writeFileSync(values.out, `${JSON.stringify({ ...runFacts(), options, runs, memory }, undefined, 2)}\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Reports as of nodes that have every image on every tenth node; a third of them are fetching another. */
function reportOf(index: number): MessageInitShape<typeof ReportRequestSchema> {
  const held = digests.filter((_, image) => image % 10 === index % 10);
  const missing = digests[(index + 1) % 10] as string;
  const fetch = { digest: missing, state: FetchState.ACTIVE, doneBytes: 40n, sizeBytes: 100n, etaSeconds: index % 300 };
  const node = { id: `node-${index}`, name: nameOf(index), version: "0.1.0", reportIntervalMs: 3_600_000 };
  return {
    node: { ...node, zone: `rack-${index % 100}` },
    epoch: 1n,
    sequence: 1n,
    full: true,
    holdings: held.map((digest) => ({ digest, allocatedBytes: 1_000n })),
    fetches: index % 3 === 0 ? [fetch] : [],
  };
}

async function fillInventory(inventory: Client<typeof InventoryService>): Promise<number> {
  const startMs = performance.now();
  let next = 0;
  const reporter = async () => {
    for (let index = next++; index < nodes; index = next++) {
      for (;;) {
        try {
          await inventory.report(reportOf(index));
          break;
        } catch (error) {
          // Full reports are taken a few at a time.
          const { code } = ConnectError.from(error);
          if (code !== Code.Unavailable && code !== Code.ResourceExhausted) throw error;
        }
      }
    }
  };
  await Promise.all(Array.from({ length: reportersMax }, reporter));
  return performance.now() - startMs;
}

async function measure(transport: Transport, request: MessageInitShape<typeof WeighHostsRequestSchema>) {
  const placement = createClient(PlacementService, transport);
  const handlerMs: number[] = [];
  const callMs: number[] = [];
  for (let call = -warmUpCalls; call < Number(values.calls); call++) {
    const startMs = performance.now();
    let timing = "";
    await placement.weighHosts(
      { image: "launched", ...request },
      {
        onHeader: (headers) => {
          timing = headers.get("server-timing") ?? "";
        },
      },
    );
    if (call < 0) continue;
    callMs.push(performance.now() - startMs);
    handlerMs.push(Number(/dur=([\d.]+)/.exec(timing)?.[1]));
  }
  const figures = (name: string, ms: readonly number[]) => ({
    [`${name}P50Ms`]: rounded(quantile(ms, 0.5)),
    [`${name}P99Ms`]: rounded(quantile(ms, 0.99)),
  });
  return { ...figures("handler", handlerMs), ...figures("call", callMs) };
}

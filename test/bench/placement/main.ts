/**
 * npm run bench:placement: WeighHosts on a seeder whose inventory has so many nodes with so many images each, while so
 * many reports a minute come: the time to weigh them, the handler's, which looks the image up in the database before,
 * as the seeder tells both, and the whole call's over HTTP by gRPC and by Connect's JSON, one call after the other from
 * another process, with encoding and decoding at both ends. What the server's part of that takes, to read the request
 * and to write the answer, is told besides: as measured here, with the same library on the same messages.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  create,
  fromBinary,
  fromJsonString,
  type MessageInitShape,
  type MessageShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { InventoryService, type ReportRequestSchema } from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import {
  PlacementService,
  WeighHostsRequestSchema,
  WeighHostsResponseSchema,
} from "../../../proto/gen/bootswarm/seeder/v1/placement_pb.js";
import { launcherFromSources, startDaemon } from "../child.ts";
import { commandLine } from "../command-line.ts";
import { runFacts } from "../machine.ts";
import { usageOf } from "../process-usage.ts";
import { quantile, rounded } from "../statistics.ts";

type Protocol = "gRPC" | "JSON";

const values = commandLine("bench:placement", "WeighHosts on a seeder with a large inventory while reports come in", {
  nodes: { default: 10000, means: "nodes in the inventory" },
  images: { default: 50, means: "images of each" },
  calls: { default: 200, means: "calls of each kind" },
  reports: { default: 1000, means: "reports a minute meanwhile" },
  out: { value: "FILE", means: "write the results as JSON" },
});
const nodes = values.nodes;
const imagesEach = values.images;
const reportsPerMinute = values.reports;
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
  // As agents send them.
  const inventory = createClient(InventoryService, createConnectTransport({ baseUrl: url, httpVersion: "2" }));
  const filledMs = await fillInventory(inventory);
  console.log(`${nodes} nodes x ${imagesEach} images told in ${rounded(filledMs / 1_000, 1)} s`);
  const hosts = Array.from({ length: nodes }, (_, index) => nameOf(index));
  const requests: Record<string, MessageInitShape<typeof WeighHostsRequestSchema>> = {
    "all nodes, the best 10 told": { options: { count: 10 } },
    [`${nodes} hosts named, all weights told`]: { hosts, options: { brief: true } },
    [`${nodes} hosts named, all told with reasons`]: { hosts },
    "24 hosts named, all told with reasons": { hosts: hosts.slice(0, 24) },
  };
  const runs = await measureAll(inventory, requests, { gRPC: grpc, JSON: json });
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

async function measureAll(
  inventory: Client<typeof InventoryService>,
  requests: Record<string, MessageInitShape<typeof WeighHostsRequestSchema>>,
  transports: Record<Protocol, Transport>,
) {
  using reports = reportAllTheWhile(inventory);
  const runs = [];
  for (const [request, message] of Object.entries(requests)) {
    for (const protocol of ["gRPC", "JSON"] as const) {
      const run = { request, protocol, ...(await measure(protocol, transports[protocol], message)) };
      console.log(JSON.stringify(run));
      runs.push(run);
    }
  }
  console.table(runs);
  console.log(`${reports.answered()} reports taken meanwhile`);
  return runs;
}

/** One node after the other reports that nothing has changed, evenly over each minute, until it is disposed of. */
function reportAllTheWhile(inventory: Client<typeof InventoryService>): Disposable & { answered: () => number } {
  let [sent, answered] = [0, 0];
  const report = async () => {
    const index = sent % nodes;
    const sequence = BigInt(2 + Math.floor(sent++ / nodes));
    await inventory.report({ ...reportOf(index), holdings: [], full: false, sequence });
    answered++;
  };
  const timer = setInterval(() => report().catch(console.error), 60_000 / reportsPerMinute);
  return { answered: () => answered, [Symbol.dispose]: () => clearInterval(timer) };
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

/** What the server does with the messages of one call, apart from what it decides: milliseconds. */
function messagesTime(
  protocol: Protocol,
  request: MessageShape<typeof WeighHostsRequestSchema>,
  answer: MessageShape<typeof WeighHostsResponseSchema>,
): number {
  if (protocol === "JSON") {
    const text = toJsonString(WeighHostsRequestSchema, request);
    const startMs = performance.now();
    fromJsonString(WeighHostsRequestSchema, text);
    toJsonString(WeighHostsResponseSchema, answer);
    return performance.now() - startMs;
  }
  const bytes = toBinary(WeighHostsRequestSchema, request);
  const startMs = performance.now();
  fromBinary(WeighHostsRequestSchema, bytes);
  toBinary(WeighHostsResponseSchema, answer);
  return performance.now() - startMs;
}

async function measure(
  protocol: Protocol,
  transport: Transport,
  hosts: MessageInitShape<typeof WeighHostsRequestSchema>,
) {
  const placement = createClient(PlacementService, transport);
  const request = create(WeighHostsRequestSchema, { image: "launched", ...hosts });
  const times = { weigh: [] as number[], handler: [] as number[], call: [] as number[], messages: [] as number[] };
  for (let call = -warmUpCalls; call < values.calls; call++) {
    const startMs = performance.now();
    let timing = "";
    const answer = await placement.weighHosts(request, {
      onHeader: (headers) => {
        timing = headers.get("server-timing") ?? "";
      },
    });
    const callMs = performance.now() - startMs;
    const messagesMs = messagesTime(protocol, request, answer);
    if (call < 0) continue;
    const partMs = (part: string) => Number(new RegExp(`${part};dur=([\\d.]+)`).exec(timing)?.[1]);
    times.weigh.push(partMs("weigh"));
    times.handler.push(partMs("image") + partMs("weigh"));
    times.call.push(callMs);
    times.messages.push(messagesMs);
  }
  const figures = Object.entries(times).flatMap(([name, ms]) => [
    [`${name}P50Ms`, rounded(quantile(ms, 0.5))],
    [`${name}P99Ms`, rounded(quantile(ms, 0.99))],
  ]);
  return Object.fromEntries(figures) as Record<string, number>;
}

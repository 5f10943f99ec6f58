/**
 * node --expose-gc test/bench/inventory/memory.ts [--nodes 10000,100000] [--out FILE]: the memory that an inventory takes,
 * and how long a full report, a delta and a look take, without a network.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { holdingsChecksum } from "../../../daemon/holdings-checksum.ts";
import type { HoldingFacts, NodeFacts, NodeReport } from "../../../seeder/inventory/facts.ts";
import { Inventory } from "../../../seeder/inventory/inventory.ts";
import { Random } from "../../sim/random.ts";
import { runFacts } from "../machine.ts";
import { rounded } from "../statistics.ts";
import { imageDigest, nodeName, usualShape } from "./nodes.ts";

const { values } = parseArgs({
  options: { nodes: { type: "string", default: "10000,100000" }, out: { type: "string" } },
});
const { gc } = globalThis;
if (!gc) throw new Error("start it as node --expose-gc test/bench/inventory/memory.ts");

const digests = Array.from({ length: usualShape.images }, (_, image) => imageDigest(image));
const rows = values.nodes.split(",").map((nodes) => measure(Number(nodes), gc));
console.table(rows);
if (values.out)
  writeFileSync(values.out, `${JSON.stringify({ ...runFacts(), shape: usualShape, rows }, undefined, 2)}\n`);

function measure(nodes: number, collect: NonNullable<typeof gc>) {
  collect();
  const before = used();
  const inventory = new Inventory();
  const random = new Random(1);
  const fullUs = timed(nodes, (index) => inventory.report(reportOf(index, random, true), index));
  collect();
  const bytes = used() - before;
  const deltaUs = timed(nodes, (index) => inventory.report(reportOf(index, random, false), index));
  const partUs = timed(nodes, (index) => inventory.partOf(idOf(index), digests[7] as string, 0));
  const startMs = performance.now();
  const holders = inventory.parts(digests[7] as string, 0).length;
  return {
    nodes,
    holdings: usualShape.holdings,
    mib: rounded(bytes / 2 ** 20, 1),
    bytesPerNode: rounded(bytes / nodes, 0),
    fullReportUs: fullUs,
    deltaUs,
    partOfUs: partUs,
    holders,
    partsMs: rounded(performance.now() - startMs),
  };
}

/** Heap, and what typed arrays have beside it. */
function used(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function timed(count: number, run: (index: number) => unknown): number {
  const startMs = performance.now();
  for (let index = 0; index < count; index++) run(index);
  return rounded(((performance.now() - startMs) * 1_000) / count);
}

/** The node's identity as a decoded message has it: strings of its own. */
function reportOf(index: number, random: Random, full: boolean): NodeReport {
  const node: NodeFacts = {
    id: idOf(index),
    name: nodeName(index),
    apiUrl: `http://${nodeName(index)}.example:7410`,
    version: `0.1.${index % 2}`,
    zone: `rack-${index % usualShape.zones}`,
    cacheBytes: 1e11,
    diskFreeBytes: 5e11,
    diskSizeBytes: 1e12,
    reportIntervalMs: usualShape.intervalMs,
  };
  const facts = (image: number): HoldingFacts => ({
    digest: digests[image] as string,
    allocatedBytes: 2 * 2 ** 30,
    pinned: false,
    lastUsedAtMs: 1_790_000_000_000 + random.below(1e9),
  });
  const images = full ? random.sample([...digests.keys()], usualShape.holdings) : [index % usualShape.images];
  const holdings = images.map(facts);
  return {
    node,
    epoch: 1n,
    sequence: full ? 1n : 2n,
    full,
    holdings,
    removedDigests: [],
    holdingsChecksum: full ? holdingsChecksum(holdings) : undefined,
    pieceVerifyFailures: 0,
    fetches: [],
    peer: { host: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`, port: 7_411 },
  };
}

function idOf(index: number): string {
  return `00000000-0000-4000-8000-${index.toString(16).padStart(12, "0")}`;
}

/**
 * npm run bench:store: what it takes to write an inventory to its store, in changes of the size that a seeder makes, and to
 * read what another seeder wrote.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLog } from "../../../daemon/log.ts";
import type { HoldingFacts, HoldingsChange } from "../../../seeder/inventory/facts.ts";
import { holdingsPerSaveMax, nodesPerSaveMax } from "../../../seeder/inventory/store-sync.ts";
import type { InventoryStore, NodeChange } from "../../../seeder/store/inventory-store.ts";
import { openStore } from "../../../seeder/store/open-store.ts";
import { startPostgres } from "../../fixtures/postgres.ts";
import { commandLine } from "../command-line.ts";
import { runFacts } from "../machine.ts";
import { medians, rounded } from "../statistics.ts";

const values = commandLine(
  "bench:store",
  "what it takes to write an inventory to its store, and to read what another seeder wrote",
  {
    nodes: { default: 10000, means: "nodes" },
    images: { default: 50, means: "images of each" },
    rounds: { default: 3, means: "everything in turn, so many times" },
    engines: { value: "LIST", default: "sqlite,postgres", means: "stores" },
    out: { value: "FILE", means: "write the results as JSON" },
  },
);
const nodeCount = values.nodes;
const imageCount = values.images;
/** Nodes that report within a second, each every ten. */
const reportingCount = Math.ceil(nodeCount / 10);
const log = createLog({ level: "error", name: "bench" });
let sequence = 0n;

const folder = mkdtempSync(join(tmpdir(), "bootswarm-bench-"));
const postgres = values.engines.includes("postgres") ? await startPostgres({ durable: true }) : undefined;
try {
  const runs = [];
  for (const engine of values.engines.split(",")) {
    const rounds = [];
    for (let round = 0; round < values.rounds; round++) {
      const dataDirectory = mkdtempSync(join(folder, "data-"));
      const url = engine === "postgres" ? await postgres!.createDatabase() : "";
      rounds.push(await measured(url, dataDirectory));
      rmSync(dataDirectory, { recursive: true });
    }
    runs.push({ engine, medians: medians(rounds), rounds });
    console.log(`${engine}, ${nodeCount} nodes of ${imageCount} images: ms, medians of ${values.rounds}`);
    console.table(medians(rounds));
  }
  if (values.out) {
    const { out: _, ...options } = values;
    writeFileSync(values.out, `${JSON.stringify({ ...runFacts(), options, runs }, undefined, 2)}\n`);
  }
} finally {
  await postgres?.remove();
  rmSync(folder, { recursive: true, force: true });
}

async function measured(url: string, dataDirectory: string) {
  const store = await openStore({ store: { url, passwordFile: "" }, dataDirectory }, log);
  const { inventory } = store;
  try {
    const { mark: empty } = await inventory.loadNodes();
    const full = await timed(() => save(inventory, nodeCount, (node) => ({ all: holdings(node, 1) })));
    const fullRead = await timed(() => inventory.readNodes(empty, "another"));
    const fullAgain = await timed(() => save(inventory, nodeCount, (node) => ({ all: holdings(node, 1) })));
    const { mark } = await inventory.loadNodes();
    const delta = await timed(() =>
      save(inventory, nodeCount, (node) => ({ changed: holdings(node, 2).slice(0, 1), removed: [] })),
    );
    const deltaRead = await timed(() => inventory.readNodes(mark, "another"));
    const { mark: later } = await inventory.loadNodes();
    const second = await timed(() => save(inventory, reportingCount, () => undefined));
    const secondRead = await timed(() => inventory.readNodes(later, "another"));
    return {
      fullWriteMs: full.ms,
      fullWriteLongestMs: full.longestMs,
      fullWriteCpuMs: full.cpuMs,
      sameFullWriteMs: fullAgain.ms,
      fullReadMs: fullRead.ms,
      deltaWriteMs: delta.ms,
      deltaWriteCpuMs: delta.cpuMs,
      deltaReadMs: deltaRead.ms,
      oneSecondWriteMs: second.ms,
      oneSecondReadMs: secondRead.ms,
    };
  } finally {
    await store.close();
  }
}

/** Time in all, of the longest part where there are parts, and of this process's processors. */
async function timed(run: () => Promise<unknown>) {
  const before = process.cpuUsage();
  const startMs = performance.now();
  const parts = await run();
  const { user, system } = process.cpuUsage(before);
  return {
    ms: rounded(performance.now() - startMs, 0),
    cpuMs: rounded((user + system) / 1_000, 0),
    longestMs: Array.isArray(parts) ? rounded(Math.max(...parts), 0) : 0,
  };
}

/** Writes the first nodes; gives the milliseconds that each change took. */
async function save(
  store: InventoryStore,
  count: number,
  holdingsOf: (node: number) => HoldingsChange | undefined,
): Promise<number[]> {
  sequence++;
  const took: number[] = [];
  for (let node = 0; node < count; ) {
    const changes: NodeChange[] = [];
    for (let held = 0; node < count && changes.length < nodesPerSaveMax && held < holdingsPerSaveMax; node++) {
      const change = holdingsOf(node);
      changes.push(changeOf(node, change));
      if (change) held += "all" in change ? change.all.length : change.changed.length;
    }
    const startMs = performance.now();
    await store.saveNodes("one", changes, []);
    took.push(performance.now() - startMs);
  }
  return took;
}

function changeOf(node: number, holdings: HoldingsChange | undefined): NodeChange {
  return {
    node: {
      id: `node-${node}`,
      name: `hypervisor-${node}.example`,
      apiUrl: `http://10.${node >> 8}.${node & 255}.1:7410`,
      version: "0.1.0",
      zone: `rack-${node % 100}`,
      cacheBytes: 500_000_000_000,
      diskFreeBytes: 400_000_000_000 + Number(sequence),
      diskSizeBytes: 1_000_000_000_000,
      reportIntervalMs: 10_000,
    },
    epoch: BigInt(node) * 1_000_003n,
    sequence,
    reportedAtMs: Date.now(),
    leaseMs: 30_000,
    peer: { host: `10.${node >> 8}.${node & 255}.1`, port: 7411 },
    fetches: [],
    seederId: "one",
    holdings,
  };
}

/** Of 500 images, some; `use` tells two states of the same holdings apart. */
function holdings(node: number, use: number): HoldingFacts[] {
  return Array.from({ length: imageCount }, (_, n) => ({
    digest: ((node * 7 + n) % 500).toString(16).padStart(64, "0"),
    allocatedBytes: 10_000_000_000,
    pinned: false,
    lastUsedAtMs: 1_790_000_000_000 + use,
  }));
}

import { z } from "zod";
import type { Log } from "../daemon/log.ts";
import { messageOf } from "../daemon/problem.ts";
import type { Clock, Endpoint } from "../swarm/types.ts";
import { readSmallFile, writeDurably } from "./cache/durable-file.ts";
import type { StateLayout } from "./cache/layout.ts";
import { parseRecord } from "./cache/records.ts";
import { wait } from "./clock.ts";

/** Nodes kept across restarts: with a fraction of them alive a node finds back without the seeder. */
const nodesMax = 200;
const fileBytesMax = 64 * 1024;
const saveIntervalMs = 60_000;

const nodesSchema = z.array(z.object({ host: z.string().min(1).max(253), port: z.int().min(1).max(65_535) }));

/** The DHT nodes known when the agent last ran; none if that cannot be read. */
export async function loadDhtNodes(layout: StateLayout, log: Log): Promise<Endpoint[]> {
  try {
    const text = await readSmallFile(layout.disk, layout.dhtNodes, fileBytesMax);
    return text === undefined ? [] : parseRecord(nodesSchema, text.toString("utf8")).slice(0, nodesMax);
  } catch (error) {
    log.warn({ path: layout.dhtNodes, error: messageOf(error) }, "cannot read the kept DHT nodes; doing without");
    return [];
  }
}

/** Keeps the nodes for the next start. An empty table says nothing worth more than what was kept before. Never rejects. */
export async function saveDhtNodes(layout: StateLayout, nodes: readonly Endpoint[], log: Log): Promise<void> {
  if (nodes.length === 0) return;
  const kept = nodes.slice(0, nodesMax).map(({ host, port }) => ({ host, port }));
  try {
    await writeDurably(layout, layout.dhtNodes, `${JSON.stringify(kept)}\n`);
  } catch (error) {
    log.warn({ error: messageOf(error) }, "cannot save the DHT's nodes");
  }
}

/** Saves them now and then, since a killed agent cannot. Ends when the signal aborts; never rejects. */
export async function keepSavingDhtNodes(
  layout: StateLayout,
  nodes: () => Endpoint[],
  clock: Clock,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await wait(clock, saveIntervalMs, signal).catch(() => {});
    if (!signal.aborted) await saveDhtNodes(layout, nodes(), log);
  }
}

/** The DHT's routing table on disk, so that a restarted seeder finds the DHT again before any node reports. */
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Log } from "../daemon/log.ts";
import { messageOf, systemCodeOf } from "../daemon/problem.ts";
import type { Swarm } from "../swarm/swarm.ts";
import type { Endpoint } from "../swarm/types.ts";

/** Nodes kept: enough to find the rest, few enough to be asked at every start. */
const nodesMax = 200;
/** How often the table is saved, for a seeder that is killed. */
const saveIntervalMs = 5 * 60_000;

const tableSchema = z.array(z.object({ host: z.string().max(253), port: z.int().min(1).max(65_535) })).max(nodesMax);

/** Gives the swarm the nodes of last time, and saves its table now and then and at `close`. */
export async function keepDhtTable(
  swarm: Pick<Swarm, "addBootstrap" | "dhtNodes">,
  directory: string,
  log: Log,
): Promise<{ close(): Promise<void> }> {
  const path = join(directory, "dht-nodes.json");
  swarm.addBootstrap(await readTable(path, log));
  const save = () => writeTable(path, swarm.dhtNodes(), log);
  const timer = setInterval(() => void save(), saveIntervalMs);
  return {
    close: async () => {
      clearInterval(timer);
      await save();
    },
  };
}

async function readTable(path: string, log: Log): Promise<Endpoint[]> {
  try {
    return tableSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    // It can be done without: nodes find the seeder themselves.
    if (systemCodeOf(error) !== "ENOENT") log.warn({ path, error: messageOf(error) }, "cannot read the DHT's table");
    return [];
  }
}

async function writeTable(path: string, nodes: readonly Endpoint[], log: Log): Promise<void> {
  try {
    await writeFile(`${path}.new`, JSON.stringify(nodes.slice(0, nodesMax)));
    await rename(`${path}.new`, path);
  } catch (error) {
    log.warn({ path, error: messageOf(error) }, "cannot save the DHT's table");
  }
}

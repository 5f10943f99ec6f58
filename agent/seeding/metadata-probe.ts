import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Swarm } from "../../swarm/swarm.ts";
import type { TorrentInfo } from "../../swarm/types.ts";
import type { StateLayout } from "../cache/layout.ts";
import type { ImageFacts } from "../cache/records.ts";
import { magnetPeersFrom } from "../endpoint.ts";

export interface ProbeTools {
  swarm: Swarm;
  layout: StateLayout;
  seederPeers: () => { host: string; port: number }[];
}

/**
 * Asks the swarm for a torrent's info dictionary and nothing more. The image's own file is not touched: what it holds has
 * yet to be compared with the torrent.
 *
 * @throws Error if the dictionary does not fit the image; the signal's reason when it aborts.
 */
export async function findTorrentInfo(tools: ProbeTools, facts: ImageFacts, signal: AbortSignal): Promise<TorrentInfo> {
  signal.throwIfAborted();
  const scratch = join(tools.layout.tmp, `probe-${randomBytes(4).toString("hex")}`);
  const torrent = tools.swarm.add({
    infohash: facts.infohash,
    dataPath: scratch,
    havePath: `${scratch}.have`,
    expectedLengthBytes: facts.sizeBytes,
    peers: [...magnetPeersFrom(facts.magnetUri), ...tools.seederPeers()],
  });
  let onAbort = () => {};
  try {
    return await new Promise<TorrentInfo>((resolve, reject) => {
      torrent.once("info", resolve);
      torrent.on("error", reject);
      onAbort = () => reject(signal.reason as Error);
      signal.addEventListener("abort", onAbort);
    });
  } finally {
    signal.removeEventListener("abort", onAbort);
    await torrent.close();
    await tools.layout.disk.rm(scratch, { force: true });
    await tools.layout.disk.rm(`${scratch}.have`, { force: true });
  }
}

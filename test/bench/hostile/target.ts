/** The node under attack: target.ts DATA TORRENT DIRECTORY. Its parent asks it for its usage, and ends it. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import bencode, { type Bencodable } from "bencode";
import { infoBytesOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import type { Target, Usage } from "./messages.ts";

const [dataPath, torrentPath, directory] = process.argv.slice(2) as [string, string, string];
const { info: fields } = bencode.decode(readFileSync(torrentPath)) as { info: Bencodable };
const info = torrentInfoFromInfoBytes(bencode.encode(fields));
// Nobody has it: it stays a torrent that looks for its pieces.
const wanted = torrentInfoFromInfoBytes(infoBytesOf({ ...info, name: "wanted" }));
const bare = createHash("sha1").update("bare").digest("hex");

const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 });
swarm.add({ infohash: info.infohash, info, dataPath, complete: true });
for (const each of [{ infohash: wanted.infohash, info: wanted }, { infohash: bare }]) {
  const path = join(directory, each.infohash);
  swarm.add({ ...each, dataPath: path, havePath: `${path}.have` });
}

process.on("message", () => {
  const { user, system } = process.cpuUsage();
  const usage: Usage = {
    cpuSeconds: (user + system) / 1e6,
    rssBytes: process.memoryUsage.rss(),
    peers: swarm.status().peers,
  };
  process.send?.(usage);
});
const target: Target = {
  peerPort: swarm.peerPort,
  dhtPort: swarm.dhtPort,
  infohashes: { seeded: info.infohash, fetched: wanted.infohash, bare },
  pieceCount: info.pieceCount,
  pieceLengthBytes: info.pieceLengthBytes,
};
process.send?.(target);

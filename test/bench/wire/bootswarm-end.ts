/** One end of the wire benchmark with our engine: `bootswarm-end.ts seed TORRENT FILE` or `bootswarm-end.ts leech TORRENT FILE PORT`. */
import { readFileSync } from "node:fs";
import bencode from "bencode";
import { torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import { report } from "./report.ts";

const [role, torrentPath, dataPath, port] = process.argv.slice(2) as [string, string, string, string?];
const metainfo = bencode.decode(readFileSync(torrentPath)) as { info: Parameters<typeof bencode.encode>[0] };
const info = torrentInfoFromInfoBytes(bencode.encode(metainfo.info));
const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 });

if (role === "seed") {
  swarm.add({ infohash: info.infohash, info, dataPath, complete: true });
  report({ port: swarm.peerPort });
} else {
  const startedAtMs = performance.now();
  const cpuAtStart = process.cpuUsage();
  const peers = [{ host: "127.0.0.1", port: Number(port) }];
  const torrent = swarm.add({ infohash: info.infohash, info, dataPath, havePath: `${dataPath}.have`, peers });
  torrent.on("complete", async () => {
    const seconds = (performance.now() - startedAtMs) / 1_000;
    const cpu = process.cpuUsage(cpuAtStart);
    report({ seconds, cpuSeconds: (cpu.user + cpu.system) / 1e6, peakMib: process.resourceUsage().maxRSS / 1024 });
    await swarm.close();
    process.exit(0);
  });
}

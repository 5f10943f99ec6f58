/**
 * How soon a flash crowd is a well-mixed graph: NODES swarms in this process, all started at once, know the seed's DHT
 * node and nothing else. Prints how many connections each has after a while, as JSON.
 *
 *     node test/bench/crowd/main.ts [NODES] [SECONDS]
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { infoBytesOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import type { Torrent } from "../../../swarm/torrent.ts";

const [nodeCount = 24, seconds = 8] = process.argv.slice(2).map(Number);
const lookMs = [250, 500, 750, 1_000, 1_500, 2_000, 3_000, 4_000, 6_000, 8_000, 12_000, 16_000, 24_000, 32_000];
const pieceLengthBytes = 64 * 1024;
/** So slow that nobody is complete before the end: then they would part. */
const bytesPerSecond = 256 * 1024;

const folder = await mkdtemp(join(tmpdir(), "bootswarm-crowd-"));
const data = randomBytes(bytesPerSecond * (seconds + 8));
const hashes = [];
for (let at = 0; at < data.length; at += pieceLengthBytes) {
  const piece = data.subarray(at, at + pieceLengthBytes);
  hashes.push(createHash("sha1").update(piece).digest());
}
const fields = { name: "image", lengthBytes: data.length, pieceLengthBytes, pieceHashes: Buffer.concat(hashes) };
const info = torrentInfoFromInfoBytes(infoBytesOf(fields));
const options = { host: "127.0.0.1", port: 0, dhtPort: 0, uploadBytesPerSecondMax: bytesPerSecond };
const seed = await Swarm.open(options);
const dataPath = join(folder, "seed");
await writeFile(dataPath, data);
seed.add({ infohash: info.infohash, info, dataPath, complete: true });
const bootstrap = [{ host: "127.0.0.1", port: seed.dhtPort }];

const cpuBefore = process.cpuUsage();
const startMs = performance.now();
const swarms = await Promise.all(Array.from({ length: nodeCount }, () => Swarm.open({ ...options, bootstrap })));
const torrents = swarms.map((swarm, number): Torrent => {
  const path = join(folder, String(number));
  return swarm.add({ infohash: info.infohash, dataPath: path, havePath: `${path}.have` });
});
for (const atMs of lookMs) {
  if (atMs > seconds * 1_000) break;
  await new Promise((resolve) => setTimeout(resolve, startMs + atMs - performance.now()));
  const counts = torrents.map((torrent) => torrent.status().peers).sort((a, b) => a - b);
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  const quantiles = { least: counts[0], median: counts[counts.length >> 1], most: counts.at(-1), mean };
  const withInfo = torrents.filter((torrent) => torrent.info).length;
  const lateMs = Math.round(performance.now() - startMs) - atMs;
  console.log(JSON.stringify({ atMs, lateMs, ...quantiles, seed: seed.status().peers, withInfo }));
}
const { user, system } = process.cpuUsage(cpuBefore);
console.log(JSON.stringify({ cpuSeconds: (user + system) / 1e6 }));
await Promise.all([seed, ...swarms].map((swarm) => swarm.close()));
await rm(folder, { recursive: true });

/** A disk that is slower than the network. */
import { createHash } from "node:crypto";
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import bencode from "bencode";
import { expect, onTestFinished, test } from "vitest";
import { assemblyBytesMax } from "../../../swarm/limits.ts";
import { torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { TroubledDisk } from "../../fixtures/troubled-disk.ts";

const pieceBytes = 1024 * 1024;
const pieceCount = 2 * (assemblyBytesMax / pieceBytes);

async function openSwarm(disk?: TroubledDisk): Promise<Swarm> {
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0, ...(disk && { disk }) });
  onTestFinished(() => swarm.close());
  return swarm;
}

test("a slow disk holds back the peers: no more arrives than the memory for pieces may hold", async () => {
  const directory = await temporaryDirectory();
  const seedPath = join(directory, "seed");
  await writeFile(seedPath, "");
  await truncate(seedPath, pieceCount * pieceBytes);
  const pieceHash = createHash("sha1").update(Buffer.alloc(pieceBytes)).digest();
  const pieces = Buffer.concat(new Array<Buffer>(pieceCount).fill(pieceHash));
  const fields = { length: pieceCount * pieceBytes, name: "zeros", "piece length": pieceBytes, pieces };
  const info = torrentInfoFromInfoBytes(bencode.encode(fields));
  const { infohash } = info;

  const seed = await openSwarm();
  seed.add({ infohash, info, dataPath: seedPath, complete: true });
  const disk = new TroubledDisk();
  const held = Promise.withResolvers<void>();
  let heldBack = 0;
  disk.beforeWrite = async (path) => {
    if (!path.endsWith("data")) return;
    heldBack++;
    await held.promise;
  };
  const leecher = await openSwarm(disk);
  const torrent = leecher.add({
    infohash,
    info,
    dataPath: join(directory, "data"),
    havePath: join(directory, "have"),
    peers: [{ host: "127.0.0.1", port: seed.peerPort }],
  });
  const complete = new Promise((resolve, reject) => torrent.once("complete", () => resolve(true)).on("error", reject));
  // All that may be in memory is there; then the peer goes on for as long as it would take to send the rest.
  await expect.poll(() => torrent.status().swarmBytes, { timeout: 20_000 }).toBeGreaterThanOrEqual(assemblyBytesMax);
  const before = performance.now();
  while (performance.now() - before < 500) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(torrent.status().swarmBytes).toBeLessThanOrEqual(assemblyBytesMax);
  expect([heldBack, torrent.status().doneBytes]).toEqual([1, 0]);
  held.resolve();
  expect(await complete).toBe(true);
});

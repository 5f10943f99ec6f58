/** A disk that is slower than the network. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import bencode from "bencode";
import { expect, onTestFinished, test } from "vitest";
import { assemblyBytesMax } from "../../../swarm/limits.ts";
import { torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { Swarm } from "../../../swarm/swarm.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";
import { TroubledDisk } from "../../fixtures/troubled-disk.ts";

const pieceBytes = 1024 * 1024;
const piecesInMemory = assemblyBytesMax / pieceBytes;
const pieceCount = 2 * piecesInMemory;

test("a slow disk holds back the sources: no more is asked for than the memory for pieces may hold", async () => {
  const directory = await temporaryDirectory();
  const piece = Buffer.alloc(pieceBytes);
  piece[0] = 1;
  const pieceHash = createHash("sha1").update(piece).digest();
  const pieces = Buffer.concat(new Array<Buffer>(pieceCount).fill(pieceHash));
  const fields = { length: pieceCount * pieceBytes, name: "image", "piece length": pieceBytes, pieces };
  const info = torrentInfoFromInfoBytes(bencode.encode(fields));

  const disk = new TroubledDisk();
  const held = Promise.withResolvers<void>();
  onTestFinished(() => held.resolve());
  let heldBack = 0;
  disk.beforeWrite = async (path) => {
    if (!path.endsWith("data")) return;
    heldBack++;
    await held.promise;
  };
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0, disk });
  onTestFinished(() => swarm.close());
  const paths = { dataPath: join(directory, "data"), havePath: join(directory, "have") };
  const torrent = swarm.add({ infohash: info.infohash, info, ...paths });
  const complete = new Promise((resolve, reject) => torrent.once("complete", () => resolve(true)).on("error", reject));
  let reads = 0;
  const requestsMax = 4;
  const read = async () => {
    reads++;
    return piece;
  };
  torrent.addSource({ name: "a fast source", requestsMax, read });

  await expect.poll(() => reads, { timeout: 20_000 }).toBe(piecesInMemory);
  // The source looks for more to do several times in this while, and finds nothing.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect([reads, heldBack, torrent.status().doneBytes]).toEqual([piecesInMemory, 1, 0]);
  held.resolve();
  expect(await complete).toBe(true);
});

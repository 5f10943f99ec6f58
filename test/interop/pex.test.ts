/** Peer exchange with libtorrent: each learns of a peer from the other alone, without DHT or tracker. */
import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { infoBytesOf, magnetUriOf, metainfoOf, torrentInfoFromInfoBytes } from "../../swarm/metainfo.ts";
import { Swarm } from "../../swarm/swarm.ts";
import type { SwarmOptions } from "../../swarm/types.ts";
import { startLibtorrent } from "../fixtures/foreign-peers.ts";
import { eventually } from "../fixtures/processes.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";

const pieceLengthBytes = 64 * 1024;
const pieceCount = 256;
const data = randomBytes(pieceCount * pieceLengthBytes);
const pieceHashes = Buffer.concat(
  Array.from({ length: pieceCount }, (_, piece) => {
    const begin = piece * pieceLengthBytes;
    return createHash("sha1")
      .update(data.subarray(begin, begin + pieceLengthBytes))
      .digest();
  }),
);
const info = torrentInfoFromInfoBytes(
  infoBytesOf({ name: "image", lengthBytes: data.length, pieceLengthBytes, pieceHashes }),
);
/** So slow that nobody is complete before the test ends: those that are part from each other. */
const bytesPerSecond = 32 * 1024;

async function openSwarm(options: Partial<SwarmOptions> = {}): Promise<Swarm> {
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0, ...options });
  onTestFinished(() => swarm.close());
  return swarm;
}

async function leech(peer: string) {
  // The directory goes last, after the swarm that writes to it.
  const dataPath = join(await temporaryDirectory(), "image");
  const swarm = await openSwarm({ downloadBytesPerSecondMax: bytesPerSecond });
  const [host, port] = peer.split(":") as [string, string];
  const peers = [{ host, port: Number(port) }];
  const torrent = swarm.add({ infohash: info.infohash, info, dataPath, havePath: `${dataPath}.have`, peers });
  return { torrent, port: swarm.peerPort };
}

const peersOf = (node: Awaited<ReturnType<typeof leech>>, count: number) =>
  eventually(() => node.torrent.status().peers >= count || undefined, `${count} peers`, 120_000);

test("libtorrent learns from us who else is in the swarm, and connects to it", async () => {
  const dataPath = join(await temporaryDirectory(), "image");
  await writeFile(dataPath, data);
  const seed = await openSwarm({ uploadBytesPerSecondMax: bytesPerSecond });
  seed.add({ infohash: info.infohash, info, dataPath, complete: true });
  const node = await leech(`127.0.0.1:${seed.peerPort}`);
  await peersOf(node, 1);
  const torrent = magnetUriOf(info, [{ host: "127.0.0.1", port: node.port }]);
  const libtorrent = await startLibtorrent({ directory: await temporaryDirectory(), torrent });
  // A seed dials nobody: libtorrent must have dialled it.
  await libtorrent.process.says(new RegExp(`^pex ${seed.peerPort}$`, "m"), 120_000);
  expect(seed.status().peers).toBe(2);
});

test("we learn from libtorrent who else is in the swarm, and connect to it", async () => {
  const directory = await temporaryDirectory();
  await writeFile(join(directory, "image"), data);
  const torrent = join(directory, "image.torrent");
  await writeFile(torrent, metainfoOf(info));
  const libtorrent = await startLibtorrent({ directory, torrent });
  await libtorrent.complete;
  const first = await leech(libtorrent.address);
  await peersOf(first, 1);
  const second = await leech(libtorrent.address);
  await Promise.all([first, second].map((node) => peersOf(node, 2)));
});

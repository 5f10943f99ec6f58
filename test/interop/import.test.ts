/** `bootswarm import` of torrents that other clients seed, found through a tracker of the test's own. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { importImage, startSeeder } from "../fixtures/daemons.ts";
import { makeQcow2Disk, makeRawDisk, sha256Of } from "../fixtures/disks.ts";
import { startAria2, startLibtorrent } from "../fixtures/foreign-peers.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { makeTorrent } from "../fixtures/torrents.ts";
import { startTracker } from "../fixtures/tracker.ts";

test.each([
  { name: "aria2c", start: startAria2 },
  { name: "libtorrent", start: startLibtorrent },
])("a disk that $name seeds is imported byte for byte, by .torrent and by magnet link", async ({ start }) => {
  const directory = await temporaryDirectory();
  const disk = await makeQcow2Disk(await makeRawDisk(directory, "disk", 48));
  const tracker = await startTracker();
  onTestFinished(() => tracker.close());
  const torrent = makeTorrent([{ path: "disk.qcow2", data: await readFile(disk) }], {
    announce: tracker.announceUrl,
    pieceLengthBytes: 262_144,
  });
  const torrentPath = join(directory, "disk.torrent");
  await writeFile(torrentPath, torrent.metainfo);
  const peer = await start({ torrent: torrentPath, directory });
  await peer.complete;
  await tracker.whenAnnounced(torrent.infohash, peer.address);
  const seeder = await startSeeder(join(directory, "seeder"));
  const image = await importImage(seeder, { torrentFile: torrent.metainfo, name: "by-file" });
  expect(image.digest).toBe(await sha256Of(disk));
  expect(image.virtualSizeBytes).toBe(48n * 1024n * 1024n);
  const again = await importImage(seeder, { source: torrent.magnet, name: "by-magnet" });
  expect(again).toMatchObject({ digest: image.digest, names: ["by-file", "by-magnet"] });
});

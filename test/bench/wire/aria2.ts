/**
 * aria2c at both ends. It takes peers from trackers only, so one on loopback names the seed to the leecher. Its pieces are
 * checked as they come. The time is that of the whole process, whose start is a matter of milliseconds.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import bencode from "bencode";
import { python, requireTool } from "../../fixtures/tools.ts";
import { freePort } from "../../fixtures/torrents.ts";
import { startTracker } from "../../fixtures/tracker.ts";
import { BenchChild } from "../child.ts";
import { type Contender, type Job, measure, type Received } from "./contender.ts";

const options = [
  "--no-conf",
  "--enable-dht=false",
  "--enable-dht6=false",
  "--bt-enable-lpd=false",
  "--enable-peer-exchange=false",
  "--allow-overwrite=true",
  "--file-allocation=none",
  "--bt-external-ip=127.0.0.1",
  "--console-log-level=notice",
  "--show-console-readout=false",
  "--summary-interval=0",
];

export const aria2: Contender = {
  isComparable: true,
  prepare: async (job, opened) => {
    requireTool("aria2c");
    const tracker = opened.adopt(await startTracker(), (it) => it.close());
    const torrentPath = announcedBy(job, tracker.announceUrl);
    return async (targetPath) => {
      const port = await freePort();
      const seedOptions = ["--check-integrity=true", "--seed-ratio=0.0", `--listen-port=${port}`];
      const seedFolder = `--dir=${join(job.dataPath, "..")}`;
      const command = ["aria2c", ...options, ...seedOptions, seedFolder, torrentPath];
      const announced = tracker.whenAnnounced(job.infohash, `127.0.0.1:${port}`);
      await using seed = new BenchChild(command);
      seed.drain();
      await announced;
      const measured = await measure(job, seed.pid, () => leech(torrentPath, targetPath));
      // It tells the tracker that it stops, so that the next round's leecher does not look for it.
      await seed.end("SIGTERM");
      return measured;
    };
  },
};

async function leech(torrentPath: string, targetPath: string): Promise<Received> {
  const leechOptions = ["--seed-time=0", `--listen-port=${await freePort()}`, `--dir=${join(targetPath, "..")}`];
  const command = ["aria2c", ...options, ...leechOptions, torrentPath];
  await using child = new BenchChild([python, join(import.meta.dirname, "measured.py"), ...command]);
  return await child.json<Received>("seconds");
}

/** The torrent file with a tracker in it; the infohash stays. */
function announcedBy(job: Job, announceUrl: string): string {
  const { info } = bencode.decode(readFileSync(job.torrentPath)) as { info: Parameters<typeof bencode.encode>[0] };
  const path = join(job.folder, "announced.torrent");
  writeFileSync(path, bencode.encode({ announce: announceUrl, info }));
  return path;
}

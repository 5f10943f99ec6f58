/** (g) nbdkit's torrent plugin (libtorrent): the same seed, pieces of the same length, a tracker that names the seed. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import bencode, { type Bencodable } from "bencode";
import { torrentFromFile } from "../../../../seeder/catalog/torrent.ts";
import { LabProcess } from "../../swarm/lab-process.ts";
import type { BootCase } from "../case.ts";
import { startNbdkitOn } from "../nbdkit.ts";

const seedProgram = join(import.meta.dirname, "../../../fixtures/swarm-seed.ts");

export const nbdkitTorrent: BootCase = {
  name: "nbdkit-torrent",
  title: "nbdkit's torrent plugin",
  start: async (scene) => {
    const { lab, directory, disk } = scene;
    const torrentPath = join(directory, "image.torrent");
    const { infoBytes } = await torrentFromFile(disk.sha256, disk.rawPath, disk.sizeBytes);
    const info = bencode.decode(infoBytes) as Bencodable;
    writeFileSync(torrentPath, bencode.encode({ info }));
    const { seeder } = lab.plan;
    const command = [process.execPath, seedProgram, seeder.address, torrentPath, disk.rawPath];
    const seed = new LabProcess("seed", lab.commandOn(seeder, command));
    const { announceUrl } = await seed.says<{ announceUrl: string }>("announceUrl");
    writeFileSync(torrentPath, bencode.encode({ announce: announceUrl, info }));
    const processes: LabProcess[] = [seed];
    return {
      attach: async (host) => {
        const cache = join(directory, `${host.name}.torrent`);
        mkdirSync(cache);
        const started = await startNbdkitOn(scene, host, ["torrent", torrentPath, `cache=${cache}`]);
        processes.push(started.process);
        return { uri: started.uri, format: "raw" };
      },
      [Symbol.asyncDispose]: async () => {
        for (const each of processes) await each.kill();
      },
    };
  },
};

/**
 * libtorrent as contender, as the paper deployed it: at most three torrents downloading at once on each node. Every
 * node's address is given to it with the torrents, so it need not look for anyone.
 */
import { hash } from "node:crypto";
import { createReadStream, linkSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { infoBytesOf, metainfoOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { python, requireLibtorrent } from "../../fixtures/tools.ts";
import type { BenchImage, ContenderOptions, Field, Ready } from "./contender.ts";
import type { LabHost } from "./lab-plan.ts";
import { LabProcess } from "./lab-process.ts";

const program = join(import.meta.dirname, "libtorrent-peer.py");
const port = 6881;
const activeDownloads = 3;
const pieceLengthBytes = 256 * 1024;

/** Starts a seed that has the images, and a peer on every node. */
export async function startLibtorrent(options: ContenderOptions): Promise<Field> {
  requireLibtorrent();
  const { lab, directory, images } = options;
  const torrents: string[] = [];
  for (const image of images) torrents.push(await makeTorrent(directory, image));
  const seedDirectory = join(directory, lab.plan.seeder.name);
  mkdirSync(seedDirectory);
  for (const image of images) linkSync(image.path, join(seedDirectory, image.name));
  const hosts = [lab.plan.seeder, ...lab.plan.nodes];
  const processes: LabProcess[] = [];
  const killAll = async () => {
    await Promise.all(processes.map((each) => each.kill()));
  };
  try {
    for (const host of hosts) {
      const peer = spawnPeer(options, host);
      processes.push(peer);
      peer.write({
        role: host === lab.plan.seeder ? "seed" : "leech",
        address: host.address,
        port,
        peers: hosts.filter((other) => other !== host).map((other) => other.address),
        torrents,
        directory: join(directory, host.name),
        active: activeDownloads,
      });
    }
    await Promise.all(processes.map((peer) => peer.says("ready")));
  } catch (error) {
    await killAll();
    throw error;
  }
  const [seed, ...nodes] = processes as [LabProcess, ...LabProcess[]];
  return {
    seederPid: seed.pid,
    nodePids: nodes.map((node) => node.pid),
    fetchAll: async (onReady) => {
      await Promise.all(nodes.map((node) => fetchOn(node, options, onReady)));
    },
    seederPayload: async () => {
      const answer = seed.says<{ sentBytes: number }>("sentBytes");
      seed.write("usage");
      return { swarmBytes: (await answer).sentBytes, httpBytes: 0 };
    },
    [Symbol.asyncDispose]: killAll,
  };
}

function spawnPeer({ lab, directory, logDirectory }: ContenderOptions, host: LabHost): LabProcess {
  mkdirSync(join(directory, host.name), { recursive: true });
  const log = logDirectory && join(logDirectory, `${host.name}.log`);
  return new LabProcess(host.name, lab.commandOn(host, [python, program]), log);
}

/** Resolves once a node has all images. */
async function fetchOn(
  node: LabProcess,
  { images, directory, signal }: ContenderOptions,
  onReady: (ready: Ready) => void,
): Promise<void> {
  const wanted = new Set(images.map((image) => image.name));
  await new Promise<void>((resolve, reject) => {
    const end = (act: () => void) => {
      stop();
      signal.removeEventListener("abort", onAbort);
      act();
    };
    const onAbort = () => end(() => reject(signal.reason));
    const stop = node.watch((text) => {
      if (text === undefined) return end(() => reject(node.failure("ended")));
      const line = JSON.parse(text) as { image?: string; atMs: number; error?: string };
      if (line.error) return end(() => reject(node.failure("failed")));
      if (line.image === undefined || !wanted.delete(line.image)) return;
      onReady({ node: node.name, image: line.image, atMs: line.atMs, path: join(directory, node.name, line.image) });
      if (wanted.size === 0) end(resolve);
    });
    signal.addEventListener("abort", onAbort);
    node.write("fetch");
  });
}

async function makeTorrent(directory: string, image: BenchImage): Promise<string> {
  const hashes: Buffer[] = [];
  for await (const piece of createReadStream(image.path, { highWaterMark: pieceLengthBytes })) {
    hashes.push(hash("sha1", piece as Buffer, "buffer"));
  }
  const fields = {
    name: image.name,
    lengthBytes: image.sizeBytes,
    pieceLengthBytes,
    pieceHashes: Buffer.concat(hashes),
  };
  const path = join(directory, `${image.name}.torrent`);
  writeFileSync(path, metainfoOf(torrentInfoFromInfoBytes(infoBytesOf(fields))));
  return path;
}

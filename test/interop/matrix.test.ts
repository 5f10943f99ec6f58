/** Our engine against every client that people run: each as leecher and as seed, by magnet link and by .torrent file. */
import { hash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import bencode, { type Bencodable } from "bencode";
import { describe, expect, test } from "vitest";
import { magnetPeersFrom } from "../../agent/endpoint.ts";
import { infoBytesOf, magnetUriOf, metainfoOf, torrentInfoFromInfoBytes } from "../../swarm/metainfo.ts";
import { Swarm } from "../../swarm/swarm.ts";
import type { TorrentInfo } from "../../swarm/types.ts";
import { sha256Of } from "../fixtures/disks.ts";
import { startAria2, startLibtorrent } from "../fixtures/foreign-peers.ts";
import { startNetworkNamespace } from "../fixtures/network-namespace.ts";
import { eventually, TestProcess } from "../fixtures/processes.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { onTestFinished, withinTest } from "../fixtures/test-hooks.ts";
import { startTorrentStream } from "../fixtures/torrent-stream-peer.ts";
import { startTracker } from "../fixtures/tracker.ts";
import { startTransmission } from "../fixtures/transmission.ts";

/** An image, its torrent, and where a client is to put what it fetches. */
interface Case {
  info: TorrentInfo;
  digest: string;
  dataPath: string;
  torrentPath: string;
  /** Empty directories: one for the client's data, one for its own files. */
  clientDirectory: string;
  configDirectory: string;
}

type By = "magnet link" | ".torrent file";

interface Client {
  name: string;
  /** Seeds the case's image with our engine, and starts the client so that it fetches it. */
  leechFromUs(image: Case, by: By): Promise<unknown>;
  /** Starts the client as a seed of what is in its directory; gives "HOST:PORT" once it serves. */
  seed(image: Case): Promise<string>;
}

/** Some clients look for peers, and deal out slots, only every ten seconds or so. */
const fetchTimeoutMs = 120_000;

const seeded = async (peer: { address: string; complete: Promise<unknown> }) => {
  await peer.complete;
  return peer.address;
};

const clients: Client[] = [
  {
    name: "libtorrent",
    leechFromUs: async (image, by) => {
      const ours = await seedWithUs(image);
      const directory = image.clientDirectory;
      // The magnet link names us by x.pe; the file names nobody, and our DHT does.
      return by === "magnet link"
        ? startLibtorrent({ directory, torrent: magnetUriOf(image.info, [{ host: "127.0.0.1", port: ours.peerPort }]) })
        : startLibtorrent({ directory, torrent: image.torrentPath, dhtPort: ours.dhtPort });
    },
    seed: async ({ torrentPath, clientDirectory }) =>
      seeded(await startLibtorrent({ torrent: torrentPath, directory: clientDirectory })),
  },
  {
    name: "aria2c",
    leechFromUs: async (image, by) => {
      const ours = await seedWithUs(image);
      // A tracker, because it takes its time with a DHT, and knows no x.pe.
      const tracker = await startTracker();
      onTestFinished(() => tracker.close());
      tracker.addPeer(image.info.infohash, `127.0.0.1:${ours.peerPort}`);
      const directory = image.clientDirectory;
      return by === "magnet link"
        ? startAria2({ directory, torrent: withTracker(magnetUriOf(image.info), tracker.announceUrl) })
        : startAria2({ directory, torrent: image.torrentPath, announceUrl: tracker.announceUrl });
    },
    seed: async ({ torrentPath, clientDirectory }) =>
      seeded(await startAria2({ torrent: torrentPath, directory: clientDirectory })),
  },
  {
    name: "Transmission",
    leechFromUs: async (image, by) => {
      // It dials no loopback address, knows no x.pe, and with the DHT it asks the public one: a tracker and another address.
      const namespace = await startNetworkNamespace();
      const script = join(import.meta.dirname, "../fixtures/swarm-seed.ts");
      const args = [script, namespace.address, image.torrentPath, image.dataPath];
      const ours = new TestProcess("our seed", ...namespace.command(process.execPath, args));
      const { announceUrl } = JSON.parse((await ours.says(/^\{.*\}$/m))[0]) as { announceUrl: string };
      const torrent =
        by === "magnet link"
          ? withTracker(magnetUriOf(image.info), announceUrl)
          : await torrentFileWithTracker(image, announceUrl);
      const { clientDirectory: directory, configDirectory } = image;
      return startTransmission({ torrent, directory, configDirectory, namespace });
    },
    seed: async ({ torrentPath, clientDirectory, configDirectory }) =>
      seeded(await startTransmission({ torrent: torrentPath, directory: clientDirectory, configDirectory })),
  },
  {
    name: "torrent-stream",
    leechFromUs: async (image, by) => {
      const ours = await seedWithUs(image);
      const torrent = by === "magnet link" ? magnetUriOf(image.info) : image.torrentPath;
      return startTorrentStream({
        torrent,
        directory: image.clientDirectory,
        peer: `127.0.0.1:${ours.peerPort}`,
      });
    },
    seed: async ({ torrentPath, clientDirectory }) =>
      (await startTorrentStream({ torrent: torrentPath, directory: clientDirectory })).address,
  },
];

// At the same time, as far as vitest's bound allows: most of the time goes by in others' waiting for their next turn.
describe.concurrent.each(clients)("$name", (client) => {
  for (const by of ["magnet link", ".torrent file"] as const) {
    test(`fetches an image from us by its ${by}`, (context) => withinTest(context, () => fetchesFromUs(client, by)));
    test(`gives an image to us by its ${by}`, (context) => withinTest(context, () => givesToUs(client, by)));
  }
});

async function fetchesFromUs(client: Client, by: By): Promise<void> {
  const image = await makeCase();
  await client.leechFromUs(image, by);
  const fetched = join(image.clientDirectory, image.info.name);
  await eventually(
    async () => ((await sha256Of(fetched).catch(() => "")) === image.digest ? true : undefined),
    `${client.name} has the image`,
    fetchTimeoutMs,
  );
}

async function givesToUs(client: Client, by: By): Promise<void> {
  const image = await makeCase();
  await writeFile(join(image.clientDirectory, image.info.name), await readFile(image.dataPath));
  const address = await client.seed(image);
  const [host, port] = address.split(":") as [string, string];
  const magnet = magnetUriOf(image.info, [{ host, port: Number(port) }]);
  const swarm = await openSwarm();
  const dataPath = join(await temporaryDirectory(), "fetched");
  const torrent = swarm.add({
    infohash: image.info.infohash,
    ...(by === ".torrent file" ? { info: await infoOf(image.torrentPath) } : {}),
    dataPath,
    havePath: `${dataPath}.have`,
    peers: magnetPeersFrom(magnet),
  });
  await once(torrent, "complete");
  expect(await sha256Of(dataPath)).toBe(image.digest);
  expect(torrent.status().verifyFailures).toBe(0);
}

/** Some MiB, of which neither the last piece nor the last block is whole. */
async function makeCase(): Promise<Case> {
  const directory = await temporaryDirectory();
  const data = randomBytes(5 * 1024 * 1024 + 12_345);
  const pieceLengthBytes = 256 * 1024;
  const hashes: Buffer[] = [];
  for (let at = 0; at < data.length; at += pieceLengthBytes) {
    hashes.push(hash("sha1", data.subarray(at, at + pieceLengthBytes), "buffer"));
  }
  const fields = { lengthBytes: data.length, pieceLengthBytes, pieceHashes: Buffer.concat(hashes) };
  const info = torrentInfoFromInfoBytes(infoBytesOf({ name: "image.raw", ...fields }));
  const dataPath = join(directory, "data");
  const torrentPath = join(directory, "image.torrent");
  await writeFile(dataPath, data);
  await writeFile(torrentPath, metainfoOf(info));
  return {
    ...{ info, digest: hash("sha256", data), dataPath, torrentPath },
    clientDirectory: await temporaryDirectory(),
    configDirectory: await temporaryDirectory(),
  };
}

async function openSwarm(): Promise<Swarm> {
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0 });
  onTestFinished(() => swarm.close());
  return swarm;
}

async function seedWithUs({ info, dataPath }: Case): Promise<Swarm> {
  const swarm = await openSwarm();
  swarm.add({ infohash: info.infohash, info, dataPath, complete: true });
  return swarm;
}

function withTracker(magnet: string, announceUrl: string): string {
  return `${magnet}&tr=${encodeURIComponent(announceUrl)}`;
}

async function torrentFileWithTracker({ torrentPath, configDirectory }: Case, announceUrl: string): Promise<string> {
  const metainfo = bencode.decode(await readFile(torrentPath)) as { info: Bencodable };
  const path = join(configDirectory, "with-tracker.torrent");
  await writeFile(path, bencode.encode({ announce: announceUrl, info: metainfo.info }));
  return path;
}

async function infoOf(torrentPath: string): Promise<TorrentInfo> {
  const metainfo = bencode.decode(await readFile(torrentPath)) as { info: Bencodable };
  return torrentInfoFromInfoBytes(bencode.encode(metainfo.info));
}

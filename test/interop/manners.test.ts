/** What other clients may want of us beyond the common protocol: each is served, or refused in so many words. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import bencode, { type Bencodable } from "bencode";
import { expect, onTestFinished, test } from "vitest";
import { magnetUriOf, torrentInfoFromInfoBytes } from "../../swarm/metainfo.ts";
import { Swarm } from "../../swarm/swarm.ts";
import type { SwarmOptions, TorrentInfo } from "../../swarm/types.ts";
import { completeTimeoutMs, makeHybridTorrent, startLibtorrent } from "../fixtures/foreign-peers.ts";
import { eventually } from "../fixtures/processes.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { makeTorrent } from "../fixtures/torrents.ts";

const data = randomBytes(1024 * 1024 + 321);

async function openSwarm(options: Partial<SwarmOptions> = {}): Promise<Swarm> {
  const swarm = await Swarm.open({ host: "127.0.0.1", port: 0, dhtPort: 0, ...options });
  onTestFinished(() => swarm.close());
  return swarm;
}

async function seedWithUs(info: TorrentInfo, options: Partial<SwarmOptions> = {}): Promise<Swarm> {
  const dataPath = join(await temporaryDirectory(), "seed");
  await writeFile(dataPath, data);
  const swarm = await openSwarm(options);
  swarm.add({ infohash: info.infohash, info, dataPath, complete: true });
  return swarm;
}

/** A fetch of ours from one peer alone. */
async function leechFrom(infohash: string, address: string) {
  const [host, port] = address.split(":") as [string, string];
  const dataPath = join(await temporaryDirectory(), "fetched");
  const said: string[] = [];
  const note = (fields: object, message?: string) => void said.push(`${message} ${JSON.stringify(fields)}`);
  const swarm = await openSwarm({ log: { debug: note, info: note, warn: note } });
  const peers = [{ host, port: Number(port) }];
  const torrent = swarm.add({ infohash, dataPath, havePath: `${dataPath}.have`, peers });
  const complete = once(torrent, "complete", { signal: AbortSignal.timeout(completeTimeoutMs) }).catch((cause) => {
    const state = JSON.stringify(torrent.status());
    throw new Error(`it is not complete, but ${state}; it last said:\n${said.slice(-20).join("\n")}`, { cause });
  });
  complete.catch(() => {});
  return { torrent, complete, dataPath };
}

test("a client that speaks encrypted alone is turned away with a word in the log, and one that tries it first is served", async () => {
  const { info } = makeTorrent([{ path: "image.raw", data }]);
  const said: string[] = [];
  const note = (fields: object) => void said.push(JSON.stringify(fields));
  const ours = await seedWithUs(info, { log: { debug: note, info: note, warn: note } });
  const torrent = magnetUriOf(info, [{ host: "127.0.0.1", port: ours.peerPort }]);
  await startLibtorrent({ torrent, directory: await temporaryDirectory(), manners: "encrypted-only" });
  await eventually(() => said.find((line) => line.includes("or an encrypted one")), "it was turned away", 60_000);
  expect(ours.status().peers).toBe(0);
  const usual = await startLibtorrent({ torrent, directory: await temporaryDirectory(), manners: "usual" });
  await usual.complete;
});

test("a seed that speaks encrypted alone gives nothing, and costs a fetch from others nothing", async () => {
  const { info, metainfo, infohash } = makeTorrent([{ path: "image.raw", data }]);
  const directory = await temporaryDirectory();
  const torrent = join(directory, "image.torrent");
  await writeFile(torrent, metainfo);
  await writeFile(join(directory, "image.raw"), data);
  const closed = await startLibtorrent({ torrent, directory, manners: "encrypted-only" });
  await closed.complete;
  const ours = await leechFrom(infohash, closed.address);
  const seed = await seedWithUs(info);
  ours.torrent.addPeer({ host: "127.0.0.1", port: seed.peerPort });
  await ours.complete;
  expect((await readFile(ours.dataPath)).equals(data)).toBe(true);
  expect(ours.torrent.status().verifyFailures).toBe(0);
});

test("a hybrid torrent of v1 and v2 is fetched from its seed, and given to others, by its v1 half", async () => {
  const directory = await temporaryDirectory();
  const [file, torrent] = [join(directory, "image.raw"), join(directory, "image.torrent")];
  await writeFile(file, data);
  await makeHybridTorrent(file, torrent);
  const { info: fields } = bencode.decode(await readFile(torrent)) as { info: { [key: string]: Bencodable } };
  expect(fields["meta version"]).toBe(2);
  const info = torrentInfoFromInfoBytes(bencode.encode(fields));
  const foreign = await startLibtorrent({ torrent, directory });
  await foreign.complete;
  const ours = await leechFrom(info.infohash, foreign.address);
  await ours.complete;
  expect((await readFile(ours.dataPath)).equals(data)).toBe(true);
  const seed = await seedWithUs(info);
  const fetched = await temporaryDirectory();
  const taker = await startLibtorrent({
    torrent: magnetUriOf(info, [{ host: "127.0.0.1", port: seed.peerPort }]),
    directory: fetched,
  });
  await taker.complete;
  expect((await readFile(join(fetched, "image.raw"))).equals(data)).toBe(true);
});

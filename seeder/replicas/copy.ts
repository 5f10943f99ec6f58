/**
 * One image's way from the other seeders, and the nodes, to this one: over the swarm where it has a torrent, with HTTP from
 * a seeder as one more source once the swarm is silent; by HTTP alone where it has none. What has come stays on disk until
 * the image is whole, through restarts. Nothing of it counts before the sha256 of the whole was found right.
 */
import { open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "../../daemon/log.ts";
import { messageOf, Problem } from "../../daemon/problem.ts";
import { torrentInfoFromInfoBytes } from "../../swarm/metainfo.ts";
import { writeSparsely } from "../../swarm/sparse-write.ts";
import type { Swarm } from "../../swarm/swarm.ts";
import type { Torrent } from "../../swarm/torrent.ts";
import type { Endpoint, PieceSource, TorrentInfo } from "../../swarm/types.ts";
import type { Image } from "../catalog/image.ts";
import { sha256OfFile } from "./hash-file.ts";
import type { ReplicaHttp } from "./replica-http.ts";

/** How often peers are named anew and progress is looked at. */
const lookIntervalMs = 500;
/** The swarm may be silent for so long before a seeder is asked by HTTP, too. */
const silenceMs = 5_000;
/** A copy that nothing arrives for gives its place to another. */
const givenUpMs = 60_000;
/** Ranges under way at one seeder. */
const rangesMax = 2;

export interface CopyParts {
  swarm: Swarm;
  http: ReplicaHttp;
  /** URL of a live seeder that holds the image; undefined if there is none. */
  holder: (digest: string) => string | undefined;
  /** Seeders and nodes that may have it. */
  peers: (digest: string) => Endpoint[];
  log: Log;
}

export interface CopyTask {
  image: Image;
  /** Where the copy is kept while it is not whole. */
  directory: string;
  onProgress: (doneBytes: number) => void;
  /** Told of every byte by its source. */
  onBytes: (bytes: number, source: "swarm" | "http") => void;
  signal: AbortSignal;
}

/**
 * Brings an image into its directory, whole and with the right sha256.
 *
 * @returns its torrent, if it has one
 * @throws Problem "unavailable" if nothing arrives any more, "data-loss" if the sha256 is wrong: then nothing of it stays;
 * an error of the disk; or the signal's reason.
 */
export async function fetchCopy(parts: CopyParts, task: CopyTask): Promise<TorrentInfo | undefined> {
  const { image, directory, signal } = task;
  const info = image.torrent ? await bySwarm(parts, task) : await byHttp(parts, task);
  const path = join(directory, "data");
  const found = await sha256OfFile(path, signal);
  if (found === image.digest) return info;
  await rm(directory, { recursive: true, force: true });
  throw new Problem("data-loss", `the bytes that came have sha256 ${found}; all of it is fetched anew`);
}

async function bySwarm(parts: CopyParts, task: CopyTask): Promise<TorrentInfo> {
  const { swarm, peers } = parts;
  const { image, directory, signal } = task;
  const { infohash } = image.torrent as NonNullable<Image["torrent"]>;
  const metainfoPath = join(directory, "metainfo");
  const known = await readInfo(metainfoPath, infohash);
  if (!known) {
    // What an HTTP copy left has no record of pieces.
    await rm(join(directory, "data"), { force: true });
    await rm(join(directory, "have"), { force: true });
  }
  const torrent = swarm.add({
    infohash,
    ...(known && { info: known }),
    dataPath: join(directory, "data"),
    havePath: join(directory, "have"),
    expectedLengthBytes: image.sizeBytes,
    peers: peers(image.digest),
  });
  try {
    const failed = new Promise<never>((_, reject) => torrent.on("error", reject));
    failed.catch(() => {});
    const keep = (info: TorrentInfo) => writeFile(metainfoPath, info.infoBytes).catch(() => {});
    torrent.once("info", (info) => void keep(info));
    await Promise.race([untilComplete(parts, task, torrent), failed]);
  } finally {
    await torrent.close();
  }
  signal.throwIfAborted();
  return torrent.info as TorrentInfo;
}

async function untilComplete(parts: CopyParts, task: CopyTask, torrent: Torrent): Promise<void> {
  const { image, signal } = task;
  const counted = { swarm: 0, http: 0 };
  const startMs = performance.now();
  let source: PieceSource | undefined;
  while (!torrent.isComplete) {
    const status = torrent.status();
    task.onProgress(status.doneBytes);
    count(task, counted, { swarm: status.swarmBytes, http: status.sourceBytes });
    for (const peer of parts.peers(image.digest)) torrent.addPeer(peer);
    const quietMs = Math.min(status.msSinceProgress, performance.now() - startMs);
    if (quietMs > silenceMs && !source && parts.holder(image.digest) !== undefined) {
      parts.log.info({ digest: image.digest }, "the swarm is silent; another seeder is asked by HTTP, too");
      source = httpSource(parts, image);
      torrent.addSource(source);
      // Without a peer nobody else tells what the pieces are.
      await learnInfo(parts, image, torrent, signal);
    }
    if (quietMs > givenUpMs) {
      throw new Problem("unavailable", `nothing came for ${Math.round(quietMs / 1_000)} s from ${status.peers} peers`);
    }
    await delay(lookIntervalMs, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
  const status = torrent.status();
  count(task, counted, { swarm: status.swarmBytes, http: status.sourceBytes });
  task.onProgress(status.doneBytes);
}

/** Tells what has come since the last look. */
function count(task: CopyTask, counted: { swarm: number; http: number }, now: { swarm: number; http: number }): void {
  for (const source of ["swarm", "http"] as const) {
    if (now[source] > counted[source]) task.onBytes(now[source] - counted[source], source);
    counted[source] = now[source];
  }
}

/** Whichever seeder holds the image at the time of a read, as a source of pieces. */
function httpSource({ http, holder }: CopyParts, image: Image): PieceSource {
  return {
    name: "another seeder's HTTP",
    requestsMax: rangesMax,
    isForLackingOnly: () => true,
    read: (offset, length, signal) => http.read(holderOf(holder, image), image, offset, length, signal),
  };
}

async function learnInfo({ http, holder, log }: CopyParts, image: Image, torrent: Torrent, signal: AbortSignal) {
  if (torrent.info) return;
  try {
    const info = await http.torrent(holderOf(holder, image), image.digest, torrent.infohash, signal);
    torrent.takeInfo(info.infoBytes);
  } catch (error) {
    signal.throwIfAborted();
    log.debug({ digest: image.digest, error: messageOf(error) }, "no seeder tells the torrent");
  }
}

/** The torrent as kept from an earlier try. */
async function readInfo(path: string, infohash: string): Promise<TorrentInfo | undefined> {
  try {
    const info = torrentInfoFromInfoBytes(await readFile(path));
    return info.infohash === infohash ? info : undefined;
  } catch {
    return undefined;
  }
}

/** From where the file ends. Nothing of it is verified before the whole is. */
async function byHttp({ http, holder }: CopyParts, { image, directory, onProgress, onBytes, signal }: CopyTask) {
  const path = join(directory, "data");
  // A record of pieces means that the file was filled by the swarm, in no order.
  const isFilledByPieces = await stat(join(directory, "have")).then(
    () => true,
    () => false,
  );
  if (isFilledByPieces) await rm(path, { force: true });
  await rm(join(directory, "have"), { force: true });
  await using file = await open(path, "a+").then(async (made) => {
    await made.close();
    return open(path, "r+");
  });
  let { size: doneBytes } = await file.stat();
  if (doneBytes > image.sizeBytes) {
    await file.truncate(0);
    doneBytes = 0;
  }
  onProgress(doneBytes);
  if (doneBytes === image.sizeBytes) return undefined;
  for await (const chunk of await http.open(holderOf(holder, image), image, doneBytes, undefined, signal)) {
    const end = doneBytes + chunk.length;
    if (end > image.sizeBytes) throw new Problem("unavailable", "the other seeder sent more than was asked for");
    // The file's size says how far it is, holes included.
    if ((await writeSparsely(file, chunk, doneBytes)) < end) await file.truncate(end);
    doneBytes = end;
    onProgress(doneBytes);
    onBytes(chunk.length, "http");
  }
  if (doneBytes < image.sizeBytes) throw new Problem("unavailable", "the other seeder ended the download early");
  return undefined;
}

function holderOf(holder: CopyParts["holder"], { digest }: Image): string {
  const url = holder(digest);
  if (url === undefined) throw new Problem("unavailable", "no live seeder holds it");
  return url;
}

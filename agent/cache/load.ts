/**
 * Reads a state directory at start. Whatever is in it, the agent starts: what can be mended is mended, what cannot is
 * taken away, and a log line says so. Complete images are not hashed again.
 */
import { join } from "node:path";
import type { Log } from "../../daemon/log.ts";
import { messageOf } from "../../daemon/problem.ts";
import { type Disk, flushPath } from "../../swarm/disk.ts";
import type { TorrentInfo } from "../../swarm/types.ts";
import { sha256OfFile } from "../hash-file.ts";
import { isDigest } from "../image-ref.ts";
import { allocatedBytesOf } from "./disk-space.ts";
import { readSmallFile } from "./durable-file.ts";
import { readMetainfo, removeBytes } from "./image-files.ts";
import { type ImagePaths, imagePaths, type StateLayout } from "./layout.ts";
import { loadLeases } from "./load-leases.ts";
import {
  type ImageRecord,
  imageRecordSchema,
  type LeaseRecord,
  parseRecord,
  recordBytesMax,
  type UsedRecord,
  unusedRecord,
  usedRecordSchema,
} from "./records.ts";

/** Images that are read at the same time: a full cache is to serve again within a second or two of a start. */
const loadingMax = 16;

export interface LoadedImage {
  record: ImageRecord;
  used: UsedRecord;
  leases: LeaseRecord[];
  allocatedBytes: number;
  /** Its image.json had to be made anew; it is to be written. */
  mended: boolean;
}

interface LoadTools {
  disk: Disk;
  now: () => Date;
  log: Log;
}

/** Makes the directories, empties tmp/, and reads every image there is. */
export async function loadImages(layout: StateLayout, now: () => Date, log: Log): Promise<LoadedImage[]> {
  const { disk } = layout;
  await disk.mkdir(layout.images, { recursive: true });
  await disk.rm(layout.tmp, { recursive: true, force: true });
  await disk.mkdir(layout.tmp);
  await flushPath(disk, layout.directory);
  const images: LoadedImage[] = [];
  const names = await disk.readdir(layout.images);
  const loadSome = async () => {
    for (let name = names.pop(); name !== undefined; name = names.pop()) {
      const image = await loadOne(layout, name, { disk, now, log });
      if (image) images.push(image);
    }
  };
  await Promise.all(Array.from({ length: loadingMax }, loadSome));
  return images;
}

/** The image in a directory; undefined if there is none that can be kept. */
async function loadOne(layout: StateLayout, name: string, tools: LoadTools): Promise<LoadedImage | undefined> {
  const { log } = tools;
  if (!isDigest(name)) {
    log.warn({ path: join(layout.images, name) }, "this is no image and is left alone; the cache has no use for it");
    return undefined;
  }
  try {
    return await loadImage(tools, imagePaths(layout, name), name);
  } catch (error) {
    log.warn({ digest: name, error: messageOf(error) }, "an image in the cache is damaged and is taken away");
    await takeAway(layout, name).catch((fault: unknown) => {
      log.error({ digest: name, error: messageOf(fault) }, "a damaged image cannot be taken away; it is passed over");
    });
    return undefined;
  }
}

async function takeAway({ disk, images, tmp }: StateLayout, name: string): Promise<void> {
  await disk.rename(join(images, name), join(tmp, name));
  // Before the files go: after a loss of power it would be back with some of them.
  await flushPath(disk, images);
  await disk.rm(join(tmp, name), { recursive: true, force: true });
}

async function loadImage(tools: LoadTools, paths: ImagePaths, digest: string): Promise<LoadedImage> {
  const { disk } = tools;
  const read = await readRecord(tools, paths, digest);
  const dataBytes = await sizeOf(disk, paths.data);
  const info = await usableMetainfo(disk, paths, read.record);
  const record = wholeOrPartial(tools, read.record, dataBytes, info);
  if (record.completedAt === null) await mendPartial(tools, paths, record, dataBytes);
  else if (info === undefined) await removeFiles(disk, paths.metainfo, paths.have);
  const used = await readUsed(tools, paths);
  const allocatedBytes = await allocatedBytesOf(disk, paths.data);
  const leases = await loadLeases(tools, paths.leases);
  return { record, used, leases, allocatedBytes, mended: read.mended || record !== read.record };
}

/** A complete image whose data was cut has lost the pieces beyond its end; without a torrent nobody can tell pieces. */
function wholeOrPartial(
  { now, log }: LoadTools,
  record: ImageRecord,
  dataBytes: number | undefined,
  info: TorrentInfo | undefined,
): ImageRecord {
  if (record.completedAt === null || dataBytes === record.sizeBytes) return record;
  const fault = `its data file has ${dataBytes ?? "no"} bytes; it was complete with ${record.sizeBytes}`;
  if (info === undefined || dataBytes === undefined) throw new Error(fault);
  log.warn({ digest: record.digest, error: fault }, "an image is damaged; what it has lost is fetched again");
  const wanted = { name: "", priority: "ensure" as const, requestedAt: now().toISOString() };
  return { ...record, wanted, completedAt: null };
}

async function readRecord(
  tools: LoadTools,
  paths: ImagePaths,
  digest: string,
): Promise<{ record: ImageRecord; mended: boolean }> {
  try {
    const text = await readSmallFile(tools.disk, paths.record, recordBytesMax);
    if (text === undefined) throw new Error("there is no image.json");
    const record = parseRecord(imageRecordSchema, text.toString("utf8"));
    if (record.digest !== digest) throw new Error(`image.json speaks of ${record.digest}`);
    return { record, mended: false };
  } catch (error) {
    return { record: await recordFromFiles(tools, paths, digest, error), mended: true };
  }
}

/**
 * The directory's name says what the data must hash to: if it does, the image is whole and only its record was lost. If
 * not, the torrent's info says what its pieces are, so that those of them that are here need not be fetched again.
 */
async function recordFromFiles(
  { disk, now, log }: LoadTools,
  paths: ImagePaths,
  digest: string,
  fault: unknown,
): Promise<ImageRecord> {
  const sizeBytes = await sizeOf(disk, paths.data);
  if (sizeBytes === undefined) throw fault;
  const record: ImageRecord = {
    version: 1,
    digest,
    names: [],
    sizeBytes,
    format: "unknown",
    virtualSizeBytes: sizeBytes,
    magnetUri: "",
    infohash: "",
    dataPath: "",
    wanted: null,
    completedAt: now().toISOString(),
  };
  if ((await sha256OfFile(disk, paths.data)) === digest) {
    log.warn({ digest, error: messageOf(fault) }, "an image lost its record; its data is whole, so it is kept");
    return record;
  }
  const info = await readMetainfo(disk, paths).catch(() => undefined);
  if (info === undefined || sizeBytes > info.lengthBytes) throw fault;
  log.warn(
    { digest, infohash: info.infohash, error: messageOf(fault) },
    "a partial image lost its record; its pieces are kept, and its fetch goes on when it is asked for",
  );
  const { infohash, lengthBytes } = info;
  const magnetUri = `magnet:?xt=urn:btih:${infohash}`;
  return { ...record, infohash, magnetUri, sizeBytes: lengthBytes, virtualSizeBytes: lengthBytes, completedAt: null };
}

async function readUsed({ disk, now, log }: LoadTools, paths: ImagePaths): Promise<UsedRecord> {
  try {
    const text = await readSmallFile(disk, paths.used, recordBytesMax);
    if (text === undefined) return unusedRecord(now());
    return parseRecord(usedRecordSchema, text.toString("utf8"));
  } catch (error) {
    // It may have said that the image is pinned: to keep too much is the lesser harm.
    log.warn({ path: paths.used, error: messageOf(error) }, "cannot read this; the image is taken to be pinned");
    return unusedRecord(now(), true);
  }
}

/**
 * A partial image fills by pieces (`metainfo` and `have` say which are there) or, by HTTP, from its beginning (the file's
 * size says how far). Pieces whose map is lost are hashed by the swarm engine; what cannot be its data starts over.
 */
async function mendPartial(
  { disk, log }: LoadTools,
  paths: ImagePaths,
  record: ImageRecord,
  dataBytes: number | undefined,
): Promise<void> {
  if (!(await usableMetainfo(disk, paths, record))) await removeFiles(disk, paths.metainfo);
  const pieces = (await sizeOf(disk, paths.have)) !== undefined;
  const fits = dataBytes === undefined ? !pieces : dataBytes <= record.sizeBytes;
  if (fits && (!pieces || record.infohash !== "")) return;
  log.warn({ digest: record.digest }, "a partial image does not fit its record; it starts over");
  await removeBytes(disk, paths);
}

async function usableMetainfo(disk: Disk, paths: ImagePaths, record: ImageRecord): Promise<TorrentInfo | undefined> {
  const info = await readMetainfo(disk, paths).catch(() => undefined);
  return info?.infohash === record.infohash && info.lengthBytes === record.sizeBytes ? info : undefined;
}

async function sizeOf(disk: Disk, path: string): Promise<number | undefined> {
  try {
    const status = await disk.stat(path);
    if (!status.isFile()) throw new Error(`${path} is no file`);
    return status.size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

async function removeFiles(disk: Disk, ...paths: string[]): Promise<void> {
  for (const path of paths) await disk.rm(path, { force: true, recursive: true });
}

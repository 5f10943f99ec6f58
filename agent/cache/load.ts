/**
 * Reads a state directory at start. Whatever is in it, the agent starts: what can be mended is mended, what cannot is
 * taken away, and a log line says so. Complete images are not hashed again.
 */
import { join } from "node:path";
import type { Log } from "../../daemon/log.ts";
import { messageOf } from "../../daemon/problem.ts";
import type { Disk } from "../../swarm/disk.ts";
import { infoBytesMax } from "../../swarm/limits.ts";
import { torrentInfoFromInfoBytes } from "../../swarm/metainfo.ts";
import { sha256OfFile } from "../hash-file.ts";
import { isDigest } from "../image-ref.ts";
import { allocatedBytesOf } from "./disk-space.ts";
import { readSmallFile } from "./durable-file.ts";
import { type ImagePaths, imagePaths, type StateLayout } from "./layout.ts";
import {
  type ImageRecord,
  imageRecordSchema,
  parseRecord,
  recordBytesMax,
  type UsedRecord,
  unusedRecord,
  usedRecordSchema,
} from "./records.ts";

export interface LoadedImage {
  record: ImageRecord;
  used: UsedRecord;
  allocatedBytes: number;
  /** Its image.json had to be made anew; it is to be written. */
  mended: boolean;
}

/** Makes the directories, empties tmp/, and reads every image there is. */
export async function loadImages(layout: StateLayout, now: () => Date, log: Log): Promise<LoadedImage[]> {
  const { disk } = layout;
  await disk.mkdir(layout.images, { recursive: true });
  await disk.rm(layout.tmp, { recursive: true, force: true });
  await disk.mkdir(layout.tmp);
  const images: LoadedImage[] = [];
  for (const name of await disk.readdir(layout.images)) {
    if (!isDigest(name)) {
      log.warn({ path: join(layout.images, name) }, "this is no image and is left alone; the cache has no use for it");
      continue;
    }
    try {
      images.push(await loadImage(disk, imagePaths(layout, name), name, now, log));
    } catch (error) {
      log.warn({ digest: name, error: messageOf(error) }, "an image in the cache is damaged and is taken away");
      await disk.rename(join(layout.images, name), join(layout.tmp, name));
      await disk.rm(join(layout.tmp, name), { recursive: true, force: true });
    }
  }
  return images;
}

async function loadImage(
  disk: Disk,
  paths: ImagePaths,
  digest: string,
  now: () => Date,
  log: Log,
): Promise<LoadedImage> {
  const { record, mended } = await readRecord(disk, paths, digest, now, log);
  const used = await readUsed(disk, paths, now, log);
  const dataBytes = await sizeOf(disk, paths.data);
  if (record.completedAt !== null) {
    if (dataBytes !== record.sizeBytes) {
      throw new Error(`its data file has ${dataBytes ?? "no"} bytes; it was complete with ${record.sizeBytes}`);
    }
    if (!(await hasUsableMetainfo(disk, paths, record))) await removeFiles(disk, paths.metainfo, paths.have);
  } else {
    await mendPartial(disk, paths, record, dataBytes, log);
  }
  return { record, used, allocatedBytes: await allocatedBytesOf(disk, paths.data), mended };
}

async function readRecord(
  disk: Disk,
  paths: ImagePaths,
  digest: string,
  now: () => Date,
  log: Log,
): Promise<{ record: ImageRecord; mended: boolean }> {
  try {
    const text = await readSmallFile(disk, paths.record, recordBytesMax);
    if (text === undefined) throw new Error("there is no image.json");
    const record = parseRecord(imageRecordSchema, text.toString("utf8"));
    if (record.digest !== digest) throw new Error(`image.json speaks of ${record.digest}`);
    return { record, mended: false };
  } catch (error) {
    return { record: await recordFromData(disk, paths, digest, now, log, error), mended: true };
  }
}

/** The directory's name says what the data must hash to: if it does, the image is whole and only its record was lost. */
async function recordFromData(
  disk: Disk,
  paths: ImagePaths,
  digest: string,
  now: () => Date,
  log: Log,
  fault: unknown,
): Promise<ImageRecord> {
  const sizeBytes = await sizeOf(disk, paths.data);
  if (sizeBytes === undefined || (await sha256OfFile(disk, paths.data)) !== digest) throw fault;
  log.warn({ digest, error: messageOf(fault) }, "an image lost its record; its data is whole, so it is kept");
  return {
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
}

async function readUsed(disk: Disk, paths: ImagePaths, now: () => Date, log: Log): Promise<UsedRecord> {
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
  disk: Disk,
  paths: ImagePaths,
  record: ImageRecord,
  dataBytes: number | undefined,
  log: Log,
): Promise<void> {
  if (!(await hasUsableMetainfo(disk, paths, record))) await removeFiles(disk, paths.metainfo);
  const pieces = (await sizeOf(disk, paths.have)) !== undefined;
  const fits = dataBytes === undefined ? !pieces : dataBytes <= record.sizeBytes;
  if (fits && (!pieces || record.infohash !== "")) return;
  log.warn({ digest: record.digest }, "a partial image does not fit its record; it starts over");
  await removeFiles(disk, paths.have, paths.metainfo, paths.data);
}

async function hasUsableMetainfo(disk: Disk, paths: ImagePaths, record: ImageRecord): Promise<boolean> {
  try {
    const bytes = await readSmallFile(disk, paths.metainfo, infoBytesMax);
    if (bytes === undefined) return false;
    const info = torrentInfoFromInfoBytes(bytes);
    return info.infohash === record.infohash && info.lengthBytes === record.sizeBytes;
  } catch {
    return false;
  }
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

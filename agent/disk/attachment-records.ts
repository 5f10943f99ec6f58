/** What is written down of each attached disk: one small file each, so that damage to one does not take others along. */
import { join } from "node:path";
import { z } from "zod";
import type { Log } from "../../daemon/log.ts";
import { messageOf, systemCodeOf } from "../../daemon/problem.ts";
import { flushPath } from "../../swarm/disk.ts";
import { diskProblem } from "../cache/disk-space.ts";
import { readSmallFile, writeDurably } from "../cache/durable-file.ts";
import type { StateLayout } from "../cache/layout.ts";
import { parseRecord } from "../cache/records.ts";

/** Linux' PATH_MAX. */
export const pathCharactersMax = 4_096;
/** Far more than the bounds of a record's parts together. */
const recordBytesMax = 64 * 1024;
const path = z.string().max(pathCharactersMax);
const moment = z.iso.datetime();

export const attachmentNamePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export const attachmentRecordSchema = z.object({
  version: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{8}$/),
  name: z.string().regex(attachmentNamePattern),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  /** Where it is served: kept, since a change of the settings must not move it away from a running VM. */
  socketPath: path.min(1),
  attachedAt: moment,
  /** The overlay on it, and the file as which it is mounted; for people, and empty where there is none. */
  overlayPath: path,
  mountPath: path,
  /** By which it is handed over once the image is complete; empty if it is not. */
  qmpPath: path,
  handedOverAt: moment.nullable(),
});

export type AttachmentRecord = z.infer<typeof attachmentRecordSchema>;

/** Reads the records of all disks. What cannot be read is left where it is, with a log line. */
export async function loadAttachments(layout: StateLayout, log: Log): Promise<AttachmentRecord[]> {
  const { disk, disks } = layout;
  const records: AttachmentRecord[] = [];
  const files = await disk.readdir(disks).catch((error: unknown) => {
    // Nothing was ever attached.
    if (systemCodeOf(error) === "ENOENT") return [];
    throw error;
  });
  for (const file of files.sort()) {
    const path = join(disks, file);
    try {
      const text = await readSmallFile(disk, path, recordBytesMax);
      const record = parseRecord(attachmentRecordSchema, text?.toString("utf8") ?? "");
      if (file !== `${record.id}.json`) throw new Error(`it is the record of ${record.id}`);
      if (records.some(({ name }) => name === record.name)) throw new Error(`there are two disks "${record.name}"`);
      records.push(record);
    } catch (error) {
      const advice = "its VM reads errors until the disk is attached again by the same name";
      log.error({ path, error: messageOf(error) }, `cannot read the record of an attached disk; ${advice}`);
    }
  }
  return records;
}

/**
 * Writes a disk's record down, for good.
 *
 * @throws Problem if the state directory takes no more
 */
export async function saveAttachment(layout: StateLayout, record: AttachmentRecord): Promise<void> {
  const { disk, disks, directory } = layout;
  try {
    await disk.mkdir(disks, { recursive: true });
    await flushPath(disk, directory);
    await writeDurably(layout, recordPath(layout, record), `${JSON.stringify(record, null, 2)}\n`);
  } catch (error) {
    throw diskProblem(error, `disk ${record.name}`, directory);
  }
}

/** Removes a disk's record, for good. @throws Problem if that cannot be done. */
export async function removeAttachment(layout: StateLayout, record: AttachmentRecord): Promise<void> {
  const { disk, disks, directory } = layout;
  try {
    await disk.rm(recordPath(layout, record), { force: true });
    await flushPath(disk, disks);
  } catch (error) {
    throw diskProblem(error, `disk ${record.name}`, directory);
  }
}

function recordPath(layout: StateLayout, { id }: AttachmentRecord): string {
  return join(layout.disks, `${id}.json`);
}

import { z } from "zod";
import { readSmallFile, writeDurably } from "../cache/durable-file.ts";
import type { StateLayout } from "../cache/layout.ts";
import { parseRecord } from "../cache/records.ts";

const recordBytesMax = 4_096;

/** scrub.json */
const scrubRecordSchema = z.object({
  version: z.literal(1),
  /** The first piece that this round has not looked at; 0 between rounds, and for an image without a torrent. */
  nextPiece: z.int().min(0),
  /** When all of the image was last found right. */
  soundAt: z.iso.datetime().nullable(),
});

export type ScrubRecord = z.infer<typeof scrubRecordSchema>;

/** An image that no scrub has looked at. */
export const neverScrubbed: ScrubRecord = { version: 1, nextPiece: 0, soundAt: null };

/** How far the scrub of an image is. One that cannot be read only costs a look at the image. */
export async function readScrubRecord({ disk }: StateLayout, path: string): Promise<ScrubRecord> {
  try {
    const text = await readSmallFile(disk, path, recordBytesMax);
    return text === undefined ? neverScrubbed : parseRecord(scrubRecordSchema, text.toString("utf8"));
  } catch {
    return neverScrubbed;
  }
}

/** Writes down how far the scrub of an image is. */
export function writeScrubRecord(layout: StateLayout, path: string, record: ScrubRecord): Promise<void> {
  return writeDurably(layout, path, `${JSON.stringify(record)}\n`);
}

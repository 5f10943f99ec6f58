import { randomBytes } from "node:crypto";
import type { Log } from "../../daemon/log.ts";
import { messageOf } from "../../daemon/problem.ts";
import type { Disk } from "../../swarm/disk.ts";
import { readSmallFile } from "./durable-file.ts";
import { type LeaseRecord, leasesRecordSchema, parseRecord, recordBytesMax } from "./records.ts";

/** How long an image is held whose leases cannot be read: time for their holders to ask again, or for somebody to look. */
const unreadableHoldMs = 24 * 3_600_000;

/** How the ids begin of leases that stand for what could not be read. */
export const unreadableIdStart = "unreadable-";

/** Reads an image's leases, those that have ended left out. What cannot be read counts as a lease for a day. */
export async function loadLeases(
  { disk, now, log }: { disk: Disk; now: () => Date; log: Log },
  path: string,
): Promise<LeaseRecord[]> {
  const nowMs = now().getTime();
  try {
    const text = await readSmallFile(disk, path, recordBytesMax);
    if (text === undefined) return [];
    const { leases } = parseRecord(leasesRecordSchema, text.toString("utf8"));
    return leases.filter(({ expiresAt }) => expiresAt === null || Date.parse(expiresAt) > nowMs);
  } catch (error) {
    log.warn({ path, error: messageOf(error) }, "cannot read this; the image is kept for a day");
    return [
      {
        id: `${unreadableIdStart}${randomBytes(6).toString("hex")}`,
        holder: "leases.json that cannot be read",
        acquiredAt: new Date(nowMs).toISOString(),
        expiresAt: new Date(nowMs + unreadableHoldMs).toISOString(),
      },
    ];
  }
}

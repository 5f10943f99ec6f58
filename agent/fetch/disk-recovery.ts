/** A disk that takes no more, and the wait until it does. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { messageOf, type Problem } from "../../daemon/problem.ts";
import { readStart, writeAll } from "../../swarm/disk.ts";
import type { Clock } from "../../swarm/types.ts";
import { type BackoffLimits, backoffMs } from "../backoff.ts";
import type { DiskFault } from "../cache/disk-fault.ts";
import type { StateLayout } from "../cache/layout.ts";
import { wait } from "../clock.ts";

/** Between looks at the disk: soon at first, since space often comes back with one command; seldom in the long run. */
const lookLimits: BackoffLimits = { firstMs: 500, longestMs: 30_000 };
/** What is written to try the disk: more than a file system keeps inside an inode. */
const trialBytes = 64 * 1024;

export interface DiskWait {
  fault: DiskFault;
  /** How often in a row the disk has failed without anything having been written between. */
  failures: number;
  /** Finds room for what is missing, or says why there is none. */
  lacksRoom: () => Promise<Problem | undefined>;
  /** Told what is being waited for, for a person. */
  onWaiting: (activity: string) => void;
  layout: StateLayout;
  clock: Clock;
  random: () => number;
}

/** Resolves once the disk seems to take what is missing. Rejects with the signal's reason when it aborts. */
export async function untilDiskTakesMore(options: DiskWait, signal: AbortSignal): Promise<void> {
  const { clock, random, onWaiting, fault } = options;
  onWaiting(waitingFor[fault]);
  for (let attempt = options.failures; ; attempt++) {
    await wait(clock, backoffMs(attempt, lookLimits, random), signal);
    const trouble = await orAborted(look(options), signal);
    if (trouble === undefined) return;
    onWaiting(`${waitingFor[fault]}: ${trouble}`);
  }
}

const waitingFor: Readonly<Record<DiskFault, string>> = {
  full: "waiting for room on the disk",
  "read-only": "waiting until the disk can be written to again",
  failing: "waiting until the disk works again",
};

/** What still keeps the disk from taking more; undefined if nothing seems to. */
async function look({ fault, layout, lacksRoom }: DiskWait): Promise<string | undefined> {
  try {
    // Free space may be somebody else's: a quota shows only in a write.
    await tryWriting(layout);
    return fault === "full" ? (await lacksRoom())?.message : undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** Does not wait for others' turns when nobody wants the answer any more. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** Writes a little, makes it last, reads it back and removes it. Rejects with an Error of the file system. */
async function tryWriting({ disk, tmp }: StateLayout): Promise<void> {
  const path = join(tmp, `trial-${randomBytes(4).toString("hex")}`);
  const content = randomBytes(trialBytes);
  try {
    const file = await disk.open(path, "wx");
    try {
      await writeAll(file, content, 0);
      await file.sync();
    } finally {
      await file.close();
    }
    const back = await disk.open(path, "r");
    const bytes = await readStart(back, trialBytes).finally(() => back.close());
    if (!bytes.equals(content)) throw new Error("the disk gives back other bytes than it was given");
  } finally {
    await disk.rm(path, { force: true });
  }
}

/** What is compared: two programs, one of which has the data and the other gets it. */
import { usageOf } from "../process-usage.ts";

/** What is transferred; the same in every round. */
export interface Job {
  /** Empty, for files of the contender's own. */
  folder: string;
  torrentPath: string;
  infohash: string;
  /** The file that there is, called "data" as in the torrent. */
  dataPath: string;
  bytes: number;
}

export interface Measurement extends Record<string, number> {
  mbPerSecond: number;
  seedCpuSecondsPerGb: number;
  leechCpuSecondsPerGb: number;
  seedPeakMib: number;
  leechPeakMib: number;
}

/** What one transfer took at the receiving end. */
export interface Received {
  seconds: number;
  cpuSeconds: number;
  peakMib: number;
}

/** Transfers to a file called "data", in a folder that is empty. Every round has both ends as new processes. */
export type Transfer = (targetPath: string) => Promise<Measurement>;

export interface Contender {
  /** Prepares what the rounds share; what it opens it gives to `opened`. */
  prepare: (job: Job, opened: AsyncDisposableStack) => Promise<Transfer>;
  /** False if the receiver's end is told before its last writes are on the way: then its file cannot be compared. */
  isComparable: boolean;
}

/** Measures one transfer. The seed's CPU counts from when it is ready, the same for all. */
export async function measure(job: Job, seedPid: number, receive: () => Promise<Received>): Promise<Measurement> {
  const before = usageOf(seedPid);
  const received = await receive();
  const after = usageOf(seedPid);
  const gigabytes = job.bytes / 1e9;
  return {
    mbPerSecond: (gigabytes * 1e3) / received.seconds,
    seedCpuSecondsPerGb: (after.cpuSeconds - before.cpuSeconds) / gigabytes,
    leechCpuSecondsPerGb: received.cpuSeconds / gigabytes,
    seedPeakMib: after.peakMib,
    leechPeakMib: received.peakMib,
  };
}

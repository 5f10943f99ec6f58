/** When a boot's recording is over, and whether that was a boot: pure. */
import type { RecordingProgress } from "../disk/messages.ts";

export interface RecordingRules {
  /** The guest is up when it has read nothing new for so long. */
  quietMs: number;
  /** Who has read less than this has only looked at the disk: a guest that is quiet before has yet to boot. */
  bytesMin: number;
  /** A recording is over with so many bytes, whatever comes after. */
  bytesMax: number;
  /** Who reads more than this copies the disk. */
  bootBytesMax: number;
  /** How long nothing may be read at all before there is nothing to record. */
  firstReadMs: number;
  /** Longest recording: who reads new blocks for longer does not boot. */
  longestMs: number;
}

/** The last three are no boots. */
export type RecordingEnd = "quiet" | "bytes" | "longest" | "nothing-read" | "too-little" | "too-much";

/** A recording that nobody asked for: most first readers of a disk boot from it, but not all. */
export function automaticRules(imageBytes: number): Pick<RecordingRules, "bytesMin" | "bootBytesMax"> {
  return { bytesMin: bootBytesLeast, bootBytesMax: Math.max(copyBytesLeast, imageBytes * copyShare) };
}

/** The smallest Linux reads more than this to boot; QEMU's tools and a partition table's reader, less. */
const bootBytesLeast = 4 * 1024 * 1024;
/** A boot reads a twentieth of most images, and of a compressed one that has little beside the system, less than this. */
const copyShare = 0.75;
/** Of smaller images a boot may read all. */
const copyBytesLeast = 64 * 1024 * 1024;

/** Why a recording ends now; undefined if it goes on. */
export function recordingEnd(
  progress: RecordingProgress | undefined,
  elapsedMs: number,
  rules: RecordingRules,
): RecordingEnd | undefined {
  if (!progress || progress.reads === 0) return elapsedMs >= rules.firstReadMs ? "nothing-read" : undefined;
  const { blockBytes, quietMs } = progress;
  if (blockBytes > rules.bootBytesMax) return "too-much";
  if (blockBytes >= rules.bytesMax) return "bytes";
  if (blockBytes >= rules.bytesMin && quietMs >= rules.quietMs) return "quiet";
  if (elapsedMs < rules.longestMs) return undefined;
  return blockBytes >= rules.bytesMin ? "longest" : "too-little";
}

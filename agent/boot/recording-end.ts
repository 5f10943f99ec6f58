/** When a boot's recording is over: pure. */
import type { RecordingProgress } from "../disk/messages.ts";

export interface RecordingRules {
  /** The guest is up when it has read nothing new for so long. */
  quietMs: number;
  /** A recording is over with so many bytes, whatever comes after. */
  bytesMax: number;
  /** How long nothing may be read at all before there is nothing to record. */
  firstReadMs: number;
  /** Longest recording: who reads new blocks for longer does not boot. */
  longestMs: number;
}

export type RecordingEnd = "quiet" | "bytes" | "longest" | "nothing-read";

/** Why a recording ends now; undefined if it goes on. */
export function recordingEnd(
  progress: RecordingProgress | undefined,
  elapsedMs: number,
  rules: RecordingRules,
): RecordingEnd | undefined {
  if (!progress || progress.reads === 0) return elapsedMs >= rules.firstReadMs ? "nothing-read" : undefined;
  if (progress.blockBytes >= rules.bytesMax) return "bytes";
  if (progress.quietMs >= rules.quietMs) return "quiet";
  return elapsedMs >= rules.longestMs ? "longest" : undefined;
}

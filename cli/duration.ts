import { usageError } from "./cli-error.ts";

const unitsMs: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of "90s", "15m", "2h" or "7d". @throws CliError for anything else. */
export function durationMsFrom(text: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)([smhd])$/.exec(text);
  if (!match) throw usageError(`"${text}" is no duration; write 90s, 15m, 2h or 7d`);
  return Math.round(Number(match[1]) * (unitsMs[match[2] as string] as number));
}

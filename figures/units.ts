/** Quantities as people read them. Pure: numbers in, text out. */

const byteUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** "0 B", "1.5 KiB", "342 MiB": three digits at most, in powers of 1024. Takes protobuf's 64-bit integers as they are. */
export function formatBytes(bytes: number | bigint): string {
  let value = Number(bytes);
  let unit = 0;
  // 999.5 would be shown as 1000: go to the next unit before that.
  while (value >= 999.5 && unit < byteUnits.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${byteUnits[unit]}`;
}

/** "45.2 MiB/s". */
export function formatRate(bytesPerSecond: number | bigint): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

/** "40 ms", "0.4 s", "12 s", "3 min 5 s", "2 h 10 min", "4 d 3 h": the two largest units. */
export function formatSeconds(seconds: number): string {
  if (seconds > 0 && seconds < 0.095) return `${Math.ceil(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${Number.isInteger(seconds) ? seconds : seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < minute) return `${whole} s`;
  if (whole < hour) return pair(whole, minute, "min", 1, "s");
  if (whole < day) return pair(whole, hour, "h", minute, "min");
  return pair(whole, day, "d", hour, "h");
}

function pair(value: number, unit: number, name: string, below: number, belowName: string): string {
  const rest = Math.floor((value % unit) / below);
  return `${Math.floor(value / unit)} ${name}${rest === 0 ? "" : ` ${rest} ${belowName}`}`;
}

/** "42 %". Only what is whole is shown as 100 %; nothing of nothing is whole. */
export function formatPercent(done: number | bigint, total: number | bigint): string {
  return `${Math.floor(fractionOf(done, total) * 100)} %`;
}

/** Between 0 and 1, whatever comes in. */
export function fractionOf(done: number | bigint, total: number | bigint): number {
  if (Number(total) <= 0) return 1;
  return Math.min(1, Math.max(0, Number(done) / Number(total)));
}

/** "now", "5 s ago"; a clock that runs ahead of ours counts as now. */
export function formatAge(thenMs: number, nowMs: number): string {
  const seconds = Math.floor((nowMs - thenMs) / 1000);
  return seconds < 1 ? "now" : `${formatSeconds(seconds)} ago`;
}

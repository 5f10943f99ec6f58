/** Values of protobuf's JSON as the page uses them. */

/** A double, an integer, or a 64-bit integer, which JSON has as a string; 0 for what is absent or no number. */
export function numberFrom(value: number | string | undefined): number {
  const number = Number(value ?? 0);
  return Number.isFinite(number) ? number : 0;
}

/** Bytes, which JSON has in base64. */
export function bytesFrom(base64: string): Uint8Array {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** A timestamp in milliseconds since 1970; undefined for what is absent. */
export function timeFrom(timestamp: string | undefined): number | undefined {
  const ms = timestamp === undefined ? Number.NaN : Date.parse(timestamp);
  return Number.isNaN(ms) ? undefined : ms;
}

/** Below zero if `a` goes before `b`, as `sort` wants it: by code units, the same on every machine. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

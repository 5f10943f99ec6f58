import { cpus, totalmem } from "node:os";

/** What a result must say about where and when it was measured. */
export function runFacts(): { date: string; machine: string; node: string } {
  const memoryGib = Math.round(totalmem() / 2 ** 30);
  return {
    date: new Date().toISOString(),
    machine: `${cpus().length} x ${cpus()[0]?.model}, ${memoryGib} GiB`,
    node: process.version,
  };
}

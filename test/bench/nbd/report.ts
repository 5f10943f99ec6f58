import type { Contender } from "./servers.ts";

/**
 * warm: the kernel has the file in memory when each run begins; cold: it has none of it; fetching: it has, and our server is an
 * agent that fetches three images meanwhile, beside whichever server is measured.
 */
export const conditions = ["warm", "cold", "fetching"] as const;
export type Condition = (typeof conditions)[number];

export interface NbdRow {
  name: string;
  unit: string;
  /** One of each round. */
  figures: Record<Contender, number[]>;
  /** Of random reads: the latency that 99 of 100 keep to, in microseconds. */
  p99Us: Record<Contender, number[]>;
}

export interface NbdReport {
  date: string;
  machine: string;
  node: string;
  condition: Condition;
  rounds: number;
  mib: number;
  rows: NbdRow[];
  /** Most resident memory of each server's process. */
  peakMib: Partial<Record<Contender, number>>;
  /** What the agent fetched meanwhile, in MB/s. */
  fetchedMbPerSecond?: number;
}

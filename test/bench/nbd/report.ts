import type { Contender } from "./servers.ts";

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
  /** Whether the kernel had the file in memory when each run began. */
  cache: "warm" | "cold";
  rounds: number;
  mib: number;
  rows: NbdRow[];
  /** Most resident memory of each server's process. */
  peakMib: Record<Contender, number>;
}

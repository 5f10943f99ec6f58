import type { NodeShape } from "./nodes.ts";

/** One seeder at its nodes' usual pace. */
export interface Steady {
  reportsPerSecond: number;
  failed: number;
  full: number;
  /** Of one core. */
  cpuPercent: number;
  cpuMicrosecondsPerReport: number;
  residentMib: number;
  /** As an idle process sees them. */
  reportMsP50: number;
  reportMsP99: number;
  /** As the processes of the crowd see them, which are busy themselves. */
  crowdReportMsP50: number;
  crowdReportMsP99: number;
  /** Of 10,000 hosts, or of all if there are fewer. */
  weighHostsMsP50: number;
  weighHostsMsP99: number;
}

/** Since the seeder was started again. */
export interface Moment {
  seconds: number;
  /** Nodes of which all is known. */
  settled: number;
  answered: number;
  residentMib: number;
  cpuSeconds: number;
}

export interface Recovery {
  database: "kept" | "deleted";
  listeningSeconds: number;
  /** From the start of the process. */
  completeSeconds: number;
  /** From the time that it listened, in report intervals. */
  completeIntervals: number;
  answered: number;
  full: number;
  failed: number;
  reportMsP50: number;
  reportMsP99: number;
  peakMib: number;
  cpuSeconds: number;
  timeline: Moment[];
}

export interface Run {
  store: string;
  steady: Steady;
  recoveries: Recovery[];
}

export interface InventoryReport {
  date: string;
  machine: string;
  node: string;
  nodes: number;
  shape: NodeShape;
  runs: Run[];
}

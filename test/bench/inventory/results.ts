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
  reportMsP50: number | null;
  reportMsP99: number | null;
  reportMsMax: number | null;
  /** As the processes of the crowd see them, which are busy themselves. */
  crowdReportMsP50: number | null;
  crowdReportMsP99: number | null;
  /** Of 10,000 hosts, or of all if there are fewer. */
  weighHostsMsP50: number | null;
  weighHostsMsP99: number | null;
  /** The longest that the seeder's main thread stood still in a second: of the seconds, the middle one and the worst. */
  standstillMsP50: number | null;
  standstillMsMax: number | null;
}

/** One second of a run. */
export interface Moment {
  /** At its end, since the usual pace began. */
  seconds: number;
  phase: "steady" | "kept" | "deleted";
  answeredPerSecond: number;
  failedPerSecond: number;
  /** Of the answers to the crowd in that second; null if there were none. */
  reportMsP99: number | null;
  /** Nodes of which all is known since the last SIGKILL. */
  known: number;
  /** The longest that the seeder's main thread did not turn to what came in; null while it is away or does not say. */
  standstillMs: number | null;
  /** Of one core; null while the seeder is away. */
  cpuPercent: number | null;
  residentMib: number | null;
}

export interface Recovery {
  database: "kept" | "deleted";
  /** Of the run's moments: SIGKILL, and the seeder's start after it. */
  killedAtSeconds: number;
  startedAtSeconds: number;
  /** From the start of the process. */
  listeningSeconds: number;
  /** From the start of the process; null if it was given up. */
  completeSeconds: number | null;
  /** From the time that it listened, in report intervals; null if it was given up. */
  completeIntervals: number | null;
  /** Until it was complete, or given up. */
  known: number;
  answered: number;
  full: number;
  failed: number;
  reportMsP50: number | null;
  reportMsP99: number | null;
  peakMib: number;
  cpuSeconds: number;
}

export interface Run {
  store: string;
  steady: Steady;
  recoveries: Recovery[];
  timeline: Moment[];
}

export interface InventoryReport {
  date: string;
  machine: string;
  node: string;
  nodes: number;
  shape: NodeShape;
  runs: Run[];
}

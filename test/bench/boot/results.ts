/** What boots leave, and the figures made of them: pure. */
import { median, rounded } from "../statistics.ts";
import type { DaemonsCpu, ServedBytes } from "./case.ts";
import type { Link } from "./scene.ts";

export interface BootResult {
  case: string;
  /** Of the agents, as KEY=VALUE, beside what the case itself sets. */
  agentSettings?: string[];
  link: Link;
  /** Nodes that booted at the same time. */
  nodes: number;
  /** Of each VM; two where it is not said. */
  processors?: number;
  /** For each node: from the wish for a VM to its READY line, and the part of it before QEMU's start. */
  seconds: number[];
  attachSeconds: number[];
  /** For each node: what it received until then, frames and all. */
  receivedBytes: number[];
  /** For each node: what its VM asked of the image. */
  guestReads: number[];
  guestReadBytes: number[];
  /** For each node: CPU time of its QEMU until then. */
  vmCpuSeconds: number[];
  /** Requests that reached the image's HTTP origin, over all nodes. */
  linkRequests?: number;
  /** For each node, where its agent took what the VM read. */
  served?: ServedBytes[];
  /** For each node, from the wish for its VM to the READY line. Several nodes share one seeder. */
  daemonsCpu?: DaemonsCpu[];
  /** Of the machine's CPU time, over all cores. */
  machineIdlePercent: number;
}

export interface Summary {
  case: string;
  agentSettings: string[];
  link: string;
  nodes: number;
  processors: number;
  rounds: number;
  /** Of the slowest node in each round: the median over the rounds, the least and the most. */
  seconds: number;
  secondsRange: [number, number];
  /**
   * Median over the rounds of a boot's time over that of the boot from the local file nearest to it in the run: the machine's
   * own speed drifts by half and more within minutes. 0 where no local file was measured.
   */
  overLocal: number;
  /**
   * Seconds for each of the guest's own CPU seconds, over the same of the local file's: what is left of the difference when the
   * machine's speed is taken out, which the guest's work, the same in each boot, tells. What slows a processor for its
   * neighbour is not in it. 0 where no local file was measured.
   */
  overLocalAtEqualSpeed: number;
  attachSeconds: number;
  receivedMegabytes: number;
  guestReads: number;
  guestReadMegabytes: number;
  /** CPU time of QEMU, of it over the local file's, and of the daemons, all of one node's boot. */
  vmCpuSeconds: number;
  vmCpuOverLocal: number;
  agentCpuSeconds: number | undefined;
  seederCpuSeconds: number | undefined;
  linkRequests: number | undefined;
  machineIdlePercent: number;
}

export function linkText({ megabitsPerSecond, delayMs }: Link): string {
  return `${megabitsPerSecond} Mbit/s${delayMs > 0 ? ` + ${delayMs} ms` : ""}`;
}

/** One for each case, link and number of nodes and processors, in the order in which they first came. */
export function summariesOf(results: readonly BootResult[]): Summary[] {
  const groups = Map.groupBy(
    results,
    (each) => `${machinesOf(each)} ${linkText(each.link)} ${each.case} ${each.agentSettings}`,
  );
  return [...groups.values()].map((group) => summaryOf(group, results));
}

function summaryOf(group: BootResult[], all: readonly BootResult[]): Summary {
  const first = group[0] as BootResult;
  const slowest = (each: BootResult) => Math.max(...each.seconds);
  const seconds = group.map(slowest);
  const medianOf = (figure: (each: BootResult) => number) => rounded(median(group.map(figure)));
  const locals = all.filter((each) => each.case === "local" && machinesOf(each) === machinesOf(first));
  const distance = (one: BootResult, other: BootResult) => Math.abs(all.indexOf(one) - all.indexOf(other));
  const nearest = (each: BootResult) =>
    locals.reduce((best, local) => (distance(local, each) < distance(best, each) ? local : best));
  // Runs of long ago have not noted it.
  const vmCpu = (runs: readonly BootResult[]) => runs.flatMap(({ vmCpuSeconds = [] }) => vmCpuSeconds);
  const secondsPerCpu = (runs: readonly BootResult[]) => {
    const each = runs.flatMap(({ seconds, vmCpuSeconds = [] }) =>
      vmCpuSeconds.map((cpu, at) => (seconds[at] ?? 0) / cpu),
    );
    return each.length === 0 ? 0 : median(each);
  };
  const [ownCpu, localCpu] = [vmCpu(group), vmCpu(locals)];
  const daemonsOf = (figure: keyof DaemonsCpu) => {
    const seconds = group.flatMap(({ daemonsCpu = [] }) => daemonsCpu.map((each) => each[figure]));
    return seconds.length === 0 ? undefined : rounded(median(seconds));
  };
  return {
    case: first.case,
    agentSettings: first.agentSettings ?? [],
    link: linkText(first.link),
    nodes: first.nodes,
    processors: processorsOf(first),
    rounds: group.length,
    seconds: rounded(median(seconds)),
    secondsRange: [rounded(Math.min(...seconds)), rounded(Math.max(...seconds))],
    overLocal: locals.length === 0 ? 0 : rounded(median(group.map((each) => slowest(each) / slowest(nearest(each))))),
    overLocalAtEqualSpeed: secondsPerCpu(locals) === 0 ? 0 : rounded(secondsPerCpu(group) / secondsPerCpu(locals)),
    attachSeconds: medianOf((each) => Math.max(...each.attachSeconds)),
    receivedMegabytes: medianOf((each) => sum(each.receivedBytes) / each.nodes / 1e6),
    guestReads: medianOf((each) => sum(each.guestReads) / each.nodes),
    guestReadMegabytes: medianOf((each) => sum(each.guestReadBytes) / each.nodes / 1e6),
    vmCpuSeconds: ownCpu.length === 0 ? 0 : rounded(median(ownCpu)),
    vmCpuOverLocal: ownCpu.length * localCpu.length === 0 ? 0 : rounded(median(ownCpu) / median(localCpu)),
    agentCpuSeconds: daemonsOf("agentSeconds"),
    seederCpuSeconds: daemonsOf("seederSeconds"),
    linkRequests: first.linkRequests === undefined ? undefined : medianOf((each) => each.linkRequests as number),
    machineIdlePercent: medianOf((each) => each.machineIdlePercent),
  };
}

/** What boots must have in common to be compared, whatever lies below their disks. */
function machinesOf(result: BootResult): string {
  return `${result.nodes} nodes, ${processorsOf(result)} processors`;
}

function processorsOf({ processors = 2 }: BootResult): number {
  return processors;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

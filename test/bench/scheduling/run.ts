/** Runs a trace through a cloud: VMs come when the trace says, each is placed, and waits for its image. */
import { setTimeout as sleep } from "node:timers/promises";
import { Random } from "../../sim/random.ts";
import { usageOf } from "../process-usage.ts";
import { cpuBetween, machineTicks } from "../swarm/machine-load.ts";
import type { Cloud } from "./cloud.ts";
import { Hosts } from "./hosts.ts";
import type { RunResult, VmRecord } from "./results.ts";
import { type Scheduler, schedulerFor } from "./scheduler.ts";
import type { Arrival } from "./trace.ts";
import { bringImage } from "./vm.ts";

export interface RunOptions {
  cloud: Cloud;
  trace: readonly Arrival[];
  /** Seconds of the trace that pass in one of the lab's. */
  timeScale: number;
  vmsPerHour: number;
  seed: number;
  vmsPerHostMax: number;
  /** Longest that the last image may take after the last VM was asked for. */
  patienceSeconds: number;
}

/** @throws Error if an image does not come to a host, or not in time. */
export async function run(options: RunOptions): Promise<RunResult> {
  const { cloud, vmsPerHour, seed } = options;
  const before = await countersOf(cloud);
  const ticksBefore = machineTicks();
  const played = await new Play(options).toItsEnd();
  const machine = cpuBetween(ticksBefore, machineTicks());
  const after = await countersOf(cloud);
  const ownCpuSeconds = after.cpuSeconds - before.cpuSeconds;
  return {
    scenario: cloud.scenario.name,
    vmsPerHour,
    seed,
    ...played,
    seederImagesSent: (after.sentBytes - before.sentBytes) / cloud.images[0]!.sizeBytes,
    copiesAtEnd: after.copiesAtEnd - before.copiesAtEnd,
    machineOwnPercent: (100 * ownCpuSeconds) / machine.seconds,
    machineIdlePercent: (100 * machine.idleSeconds) / machine.seconds,
  };
}

async function countersOf(cloud: Cloud) {
  const { swarmBytes, httpBytes } = await cloud.seederPayload();
  const statuses = await Promise.all([...cloud.agents.values()].map(({ service }) => service.getStatus({})));
  const copiesAtEnd = statuses.reduce((sum, { images }) => sum + images, 0);
  const pids = [cloud.seederPid, ...[...cloud.agents.values()].map((agent) => agent.process.pid)];
  const cpuSeconds = pids.reduce((sum, pid) => sum + usageOf(pid).cpuSeconds, 0);
  return { sentBytes: swarmBytes + httpBytes, copiesAtEnd, cpuSeconds };
}

/** One run of the trace. */
class Play {
  readonly #options: RunOptions;
  readonly #hosts: Hosts;
  readonly #scheduler: Scheduler;
  readonly #vms: VmRecord[] = [];
  readonly #vmEnds = new Set<NodeJS.Timeout>();
  readonly #over = new AbortController();
  #startMs = 0;
  #turnedAway = 0;
  #latestSeconds = 0;
  /** A scheduler takes one request after the other. */
  #placing: Promise<unknown> = Promise.resolve();

  constructor(options: RunOptions) {
    const { cloud, seed, vmsPerHostMax } = options;
    this.#options = options;
    this.#hosts = new Hosts([...cloud.agents.keys()], vmsPerHostMax);
    this.#scheduler = schedulerFor(cloud.scenario.scheduling, cloud.seeder, new Random(seed));
  }

  async toItsEnd(): Promise<Pick<RunResult, "vms" | "turnedAway" | "latestSeconds">> {
    const { trace, timeScale, patienceSeconds } = this.#options;
    const lastSeconds = (trace.at(-1)?.atSeconds ?? 0) / timeScale;
    const timeout = setTimeout(() => this.#over.abort(), (lastSeconds + patienceSeconds) * 1_000);
    this.#startMs = Date.now();
    try {
      await Promise.all(trace.map((arrival) => this.#play(arrival)));
    } catch (error) {
      if (!this.#over.signal.aborted) throw error;
      throw new Error(`not all images had come ${patienceSeconds} s after the last VM`, { cause: error });
    } finally {
      clearTimeout(timeout);
      for (const timer of this.#vmEnds) clearTimeout(timer);
      this.#over.abort();
    }
    const vms = this.#vms.toSorted((one, other) => one.atSeconds - other.atSeconds);
    return { vms, turnedAway: this.#turnedAway, latestSeconds: this.#latestSeconds };
  }

  async #play({ atSeconds, image, livesSeconds }: Arrival): Promise<void> {
    const { cloud, timeScale } = this.#options;
    const { signal } = this.#over;
    const dueMs = this.#startMs + (atSeconds / timeScale) * 1_000;
    await sleep(Math.max(0, dueMs - Date.now()), undefined, { signal });
    const askedAtMs = Date.now();
    this.#latestSeconds = Math.max(this.#latestSeconds, (askedAtMs - dueMs) / 1_000);
    const { name } = cloud.images[image]!;
    const host = await this.#place(name);
    if (host === undefined) return;
    const { found, readyAtMs } = await bringImage(cloud.agents.get(host)!, name, signal);
    this.#vms.push({
      atSeconds: (askedAtMs - this.#startMs) / 1_000,
      image: name,
      host,
      found,
      seconds: (readyAtMs - askedAtMs) / 1_000,
    });
    if (Number.isFinite(livesSeconds)) this.#endLater(host, (livesSeconds / timeScale) * 1_000);
  }

  /** @returns undefined if no host has room. */
  async #place(image: string): Promise<string | undefined> {
    const placed = this.#placing.then(async () => {
      const hosts = this.#hosts.withRoom();
      if (hosts.length === 0) {
        this.#turnedAway++;
        return undefined;
      }
      const host = await this.#scheduler.choose(image, hosts);
      this.#hosts.start(host);
      await this.#scheduler.launched(image, host);
      return host;
    });
    this.#placing = placed.catch(() => {});
    return await placed;
  }

  #endLater(host: string, afterMs: number): void {
    const timer = setTimeout(() => {
      this.#vmEnds.delete(timer);
      this.#hosts.end(host);
    }, afterMs);
    this.#vmEnds.add(timer);
  }
}

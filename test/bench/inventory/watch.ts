/** Looks at the crowd and the seeder once a second: the timeline of a run. */
import { type ProcessUsage, usageOf } from "../process-usage.ts";
import { rounded } from "../statistics.ts";
import type { Crowd } from "./crowd.ts";
import { percentile } from "./percentile.ts";
import type { Moment } from "./results.ts";
import type { MeasuredSeeder } from "./seeder.ts";

const lookEveryMs = 1_000;

export class Watch implements Disposable {
  readonly timeline: Moment[] = [];
  phase: Moment["phase"] = "steady";
  readonly #crowd: Crowd;
  readonly #seeder: MeasuredSeeder;
  readonly #startMs = performance.now();
  readonly #timer: NodeJS.Timeout;
  #last = { atMs: this.#startMs, answered: 0, failed: 0, cpuSeconds: 0, pid: 0 };

  constructor(crowd: Crowd, seeder: MeasuredSeeder) {
    this.#crowd = crowd;
    this.#seeder = seeder;
    this.#timer = setInterval(() => this.#look(), lookEveryMs);
  }

  /** Since the watch began. */
  get seconds(): number {
    return rounded((performance.now() - this.#startMs) / 1_000, 1);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const last = this.#last;
    const atMs = performance.now();
    const elapsedSeconds = (atMs - last.atMs) / 1_000;
    const { answered, failed, settled } = this.#crowd.counts;
    const { pid } = this.#seeder;
    const usage = pid === undefined ? undefined : usageNow(pid);
    // The crowd counts anew now and then, and a seeder that was started again uses its own CPU time.
    const since = (now: number, before: number) => (now < before ? now : now - before) / elapsedSeconds;
    const moment: Moment = {
      seconds: this.seconds,
      phase: this.phase,
      answeredPerSecond: rounded(since(answered, last.answered), 0),
      failedPerSecond: rounded(since(failed, last.failed), 0),
      reportMsP99: percentile(this.#crowd.latestLatencies(), 0.99),
      known: settled,
      cpuPercent: usage ? rounded(100 * since(usage.cpuSeconds, pid === last.pid ? last.cpuSeconds : 0), 0) : null,
      residentMib: usage ? rounded(usage.residentMib, 0) : null,
    };
    this.#last = { atMs, answered, failed, cpuSeconds: usage?.cpuSeconds ?? 0, pid: pid ?? 0 };
    this.timeline.push(moment);
    console.log(lineOf(moment));
  }
}

function usageNow(pid: number): ProcessUsage | undefined {
  try {
    return usageOf(pid);
  } catch {
    // It ended just now.
    return undefined;
  }
}

function lineOf(moment: Moment): string {
  const { seconds, phase, answeredPerSecond, failedPerSecond, reportMsP99, known, cpuPercent, residentMib } = moment;
  const seeder = cpuPercent === null ? "away" : `${cpuPercent} % of a core, ${residentMib} MiB`;
  return (
    `${seconds.toFixed(0).padStart(4)} s ${phase.padEnd(7)} ${String(answeredPerSecond).padStart(5)} answered/s, ` +
    `${failedPerSecond} failed, p99 ${reportMsP99 ?? "-"} ms, ${known} known; seeder ${seeder}`
  );
}

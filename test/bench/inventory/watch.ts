/** Looks at the crowd and the seeder once a second: the timeline of a run. */
import { type ProcessUsage, usageOf } from "../process-usage.ts";
import { rounded } from "../statistics.ts";
import type { Crowd } from "./crowd.ts";
import { percentile } from "./percentile.ts";
import type { Moment } from "./results.ts";
import type { MeasuredSeeder } from "./seeder.ts";

const lookEveryMs = 1_000;
/** Since the last scrape, as perf_hooks' monitorEventLoopDelay sees it. */
const lagPattern = /^nodejs_eventloop_lag_max_seconds (\S+)/m;

export class Watch implements Disposable {
  readonly timeline: Moment[] = [];
  phase: Moment["phase"] = "steady";
  readonly #crowd: Crowd;
  readonly #seeder: MeasuredSeeder;
  readonly #startMs = performance.now();
  readonly #timer: NodeJS.Timeout;
  #last: { atMs: number; answered: number; failed: number; cpuSeconds: number; pid: number };

  constructor(crowd: Crowd, seeder: MeasuredSeeder) {
    this.#crowd = crowd;
    this.#seeder = seeder;
    const { answered, failed } = crowd.counts;
    const pid = seeder.pid ?? 0;
    const cpuSeconds = (pid && usageNow(pid)?.cpuSeconds) || 0;
    this.#last = { atMs: this.#startMs, answered, failed, cpuSeconds, pid };
    this.#timer = setInterval(() => void this.#look(), lookEveryMs);
  }

  /** Since the watch began. */
  get seconds(): number {
    return rounded((performance.now() - this.#startMs) / 1_000, 1);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
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
      standstillMs: null,
      cpuPercent: usage ? rounded(100 * since(usage.cpuSeconds, pid === last.pid ? last.cpuSeconds : 0), 0) : null,
      residentMib: usage ? rounded(usage.residentMib, 0) : null,
    };
    this.#last = { atMs, answered, failed, cpuSeconds: usage?.cpuSeconds ?? 0, pid: pid ?? 0 };
    this.timeline.push(moment);
    if (usage) moment.standstillMs = await this.#standstillMs();
    console.log(lineOf(moment));
  }

  /** The longest since the last look; null if the seeder does not answer soon, or not yet. */
  async #standstillMs(): Promise<number | null> {
    try {
      const answer = await fetch(`${this.#seeder.url}/metrics`, { signal: AbortSignal.timeout(5 * lookEveryMs) });
      const seconds = Number(lagPattern.exec(await answer.text())?.[1]);
      return Number.isFinite(seconds) ? rounded(seconds * 1_000, 0) : null;
    } catch {
      return null;
    }
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
  const {
    seconds,
    phase,
    answeredPerSecond,
    failedPerSecond,
    reportMsP99,
    known,
    cpuPercent,
    residentMib,
    standstillMs,
  } = moment;
  const seeder =
    cpuPercent === null
      ? "away"
      : `${cpuPercent} % of a core, ${residentMib} MiB, stood still ${standstillMs ?? "-"} ms`;
  return (
    `${seconds.toFixed(0).padStart(4)} s ${phase.padEnd(7)} ${String(answeredPerSecond).padStart(5)} answered/s, ` +
    `${failedPerSecond} failed, p99 ${reportMsP99 ?? "-"} ms, ${known} known; seeder ${seeder}`
  );
}

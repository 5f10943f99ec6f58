/** All generator processes together. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { GeneratorCounts, GeneratorOrder } from "./generator.ts";
import type { NodeShape } from "./nodes.ts";

export class Crowd implements AsyncDisposable {
  readonly #children: ChildProcess[];
  readonly #counts = new Map<ChildProcess, GeneratorCounts>();
  #latencies: number[] = [];
  #latest: number[] = [];
  #round = 0;

  constructor(processes: number) {
    const file = join(import.meta.dirname, "generator.ts");
    this.#children = Array.from({ length: processes }, () => fork(file, { execArgv: ["--max-old-space-size=4000"] }));
    for (const child of this.#children) {
      child.on("message", (counts: GeneratorCounts) => {
        if (counts.round !== this.#round) return;
        this.#counts.set(child, counts);
        this.#latencies.push(...counts.latencies);
        this.#latest.push(...counts.latencies);
      });
    }
  }

  /** Has so many nodes report to a seeder. */
  start(url: string, nodes: number, shape: NodeShape): void {
    const each = Math.ceil(nodes / this.#children.length);
    for (const [at, child] of this.#children.entries()) {
      const first = at * each;
      const order: GeneratorOrder = { url, first, count: Math.min(each, nodes - first), shape };
      child.send({ order });
    }
  }

  /** Counts answers anew, and nodes of which all is known if nobody knows anything any more. */
  countAnew({ nobodyKnown }: { nobodyKnown: boolean }): void {
    this.#round++;
    this.#counts.clear();
    this.#latencies = [];
    for (const child of this.#children) child.send({ round: this.#round, nobodyKnown });
  }

  get counts(): Omit<GeneratorCounts, "latencies" | "round"> {
    const all = [...this.#counts.values()];
    const sum = (field: "settled" | "answered" | "full" | "failed") =>
      all.reduce((total, one) => total + one[field], 0);
    return {
      settled: sum("settled"),
      settledAtMs: Math.max(0, ...all.map(({ settledAtMs }) => settledAtMs)),
      answered: sum("answered"),
      full: sum("full"),
      failed: sum("failed"),
    };
  }

  /** Milliseconds of the answers since the last call. */
  latestLatencies(): readonly number[] {
    const latest = this.#latest;
    this.#latest = [];
    return latest;
  }

  /** Milliseconds of answers, since they were counted anew. */
  get latencies(): readonly number[] {
    return this.#latencies;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const exit = once(child, "exit");
        child.kill("SIGKILL");
        await exit;
      }),
    );
  }
}

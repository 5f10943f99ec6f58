/** Runs of the same scenario by the same contender, as one: pure. */
import { median } from "../statistics.ts";
import { type Figures, figuresOf, type RunResult } from "./results.ts";

export interface Summary extends Figures {
  rounds: number;
  /** Of the rounds' times until everything was ready. */
  allSecondsRange: [number, number];
}

/** A scenario's and contender's runs, in the order in which they first came. */
export function groupsOf(results: RunResult[]): RunResult[][] {
  const groups = Map.groupBy(results, (run) => `${run.contender} ${run.images} ${run.imageBytes} ${run.nodes}`);
  return [...groups.values()];
}

/** Medians over the rounds, figure by figure. */
export function summaryOf(runs: RunResult[]): Summary {
  const figures = runs.map(figuresOf);
  const [first] = figures as [Figures];
  const medians = Object.entries(first).map(([key, value]) => {
    if (typeof value !== "number") return [key, value];
    return [key, median(figures.map((each) => each[key as keyof Figures] as number))];
  });
  const allSeconds = figures.map((each) => each.allSeconds);
  return {
    ...(Object.fromEntries(medians) as Figures),
    rounds: runs.length,
    allSecondsRange: [Math.min(...allSeconds), Math.max(...allSeconds)],
  };
}

/** The run whose time until everything was ready is the median: the one to show where only one can be shown. */
export function typicalOf(runs: RunResult[]): RunResult {
  const all = (run: RunResult) => figuresOf(run).allSeconds;
  const sorted = runs.toSorted((one, other) => all(one) - all(other));
  return sorted[Math.floor((sorted.length - 1) / 2)]!;
}

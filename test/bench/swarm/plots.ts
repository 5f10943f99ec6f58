/** The plots of a report: of each scenario and contender the round with the median time. */
import { deploymentPlot } from "./plots/deployment.ts";
import { readyPlot } from "./plots/ready.ts";
import { seederCostPlot } from "./plots/seeder-cost.ts";
import { seederTrafficPlot } from "./plots/seeder-traffic.ts";
import { type RunResult, scenarioOf } from "./results.ts";
import { groupsOf, summaryOf, typicalOf } from "./summary.ts";

/** From the front to the back; others after. */
const order = ["bootswarm", "unzoned", "libtorrent", "http"];

function inOrder(runs: RunResult[]): RunResult[] {
  const place = ({ contender }: RunResult) => (order.includes(contender) ? order.indexOf(contender) : order.length);
  const scenarios = [...Map.groupBy(runs, scenarioOf).values()];
  return scenarios.flatMap((some) => some.toSorted((one, other) => place(one) - place(other)));
}

/** SVG texts by name. */
export function plotsOf(report: { runs: RunResult[]; linkBitsPerSecond: number }): Record<string, string> {
  const [run] = report.runs;
  if (!run) return {};
  const groups = groupsOf(inOrder(report.runs));
  const summaries = groups.map(summaryOf);
  const scenarios = [...Map.groupBy(groups.map(typicalOf), scenarioOf).values()];
  const zones = run.zones > 1 ? `, ${run.zones} zones` : "";
  const setting = `${run.nodes} nodes and a seeder${zones}, links of ${report.linkBitsPerSecond / 1e6} Mbit/s each way`;
  return {
    deployment: deploymentPlot(summaries, setting),
    ready: readyPlot(scenarios, setting),
    "seeder-traffic": seederTrafficPlot(scenarios, setting, report.linkBitsPerSecond),
    "seeder-cost": seederCostPlot(summaries, setting),
  };
}

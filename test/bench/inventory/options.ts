/** The options of bench:inventory. */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type NodeShape, usualShape } from "./nodes.ts";
import type { Recovery } from "./results.ts";

export interface BenchOptions {
  help: boolean;
  nodes: number;
  shape: NodeShape;
  seconds: number;
  stores: string[];
  recoveries: Recovery["database"][];
  recoverySecondsMax: number;
  generators: number;
  /** Where the seeder's CPU profiles go, if they are wanted. */
  profile: string | undefined;
  /** Undefined to write nothing. */
  out: string | undefined;
}

const defaults = {
  nodes: 10_000,
  seconds: 40,
  stores: "sqlite,postgres",
  recoveries: "kept,deleted",
  recoverySeconds: 120,
};

export const usage = `npm run bench:inventory -- [options]

One seeder under the reports of all its nodes, each with the agent's own reporter and an HTTP/2 connection of its own: first
at its usual pace, then through SIGKILL and its return 2 s later, with its database kept and with it deleted. All of it for
each store; about 8 minutes on a quiet machine, 12 at most.

  --nodes N                nodes (${defaults.nodes})
  --interval-ms N          between a node's reports (${usualShape.intervalMs})
  --seconds N              of the usual pace (${defaults.seconds})
  --store LIST             sqlite, postgres or both (${defaults.stores})
  --recoveries LIST        kept, deleted, both, or "" for none (${defaults.recoveries})
  --recovery-seconds N     after which a recovery that is not complete is given up (${defaults.recoverySeconds})
  --generators N           processes that the nodes share (1)
  --profile DIR            CPU profiles of the seeder go there
  --out FILE               JSON, and a plot beside it as SVG; "" for none (test/bench/results/inventory-DATE.json)
  --help                   this text
`;

export function optionsFrom(args: string[]): BenchOptions {
  const { values } = parseArgs({
    args,
    options: {
      nodes: { type: "string", default: String(defaults.nodes) },
      "interval-ms": { type: "string", default: String(usualShape.intervalMs) },
      seconds: { type: "string", default: String(defaults.seconds) },
      store: { type: "string", default: defaults.stores },
      recoveries: { type: "string", default: defaults.recoveries },
      "recovery-seconds": { type: "string", default: String(defaults.recoverySeconds) },
      generators: { type: "string", default: "1" },
      profile: { type: "string" },
      out: { type: "string", default: usualOut() },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  return {
    help: values.help,
    nodes: count("nodes", values.nodes),
    shape: { ...usualShape, intervalMs: count("interval-ms", values["interval-ms"]) },
    seconds: count("seconds", values.seconds),
    stores: oneOf("store", values.store, ["sqlite", "postgres"]),
    recoveries: oneOf("recoveries", values.recoveries, ["kept", "deleted"]),
    recoverySecondsMax: count("recovery-seconds", values["recovery-seconds"]),
    generators: count("generators", values.generators),
    profile: values.profile,
    out: values.out === "" ? undefined : values.out,
  };
}

function usualOut(): string {
  return join(import.meta.dirname, "../results", `inventory-${new Date().toISOString().slice(0, 10)}.json`);
}

function count(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name}: must be a whole number above 0`);
  return value;
}

function oneOf<Word extends string>(name: string, text: string, words: readonly Word[]): Word[] {
  const given = text.split(",").filter((word) => word !== "");
  const isKnown = (word: string): word is Word => (words as readonly string[]).includes(word);
  if (!given.every(isKnown)) throw new Error(`--${name}: must be ${words.join(", ")} or both`);
  return given;
}

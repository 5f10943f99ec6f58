import { parseArgs } from "node:util";
import { loadConfig } from "../daemon/config.ts";
import { createLog } from "../daemon/log.ts";
import { messageOf, Problem } from "../daemon/problem.ts";
import { runUntilSignal } from "../daemon/shutdown.ts";
import { exitStatusOf, UsageProblem } from "../daemon/usage-problem.ts";
import { openAgent } from "./agent.ts";
import { type AgentConfig, agentConfigSchema } from "./config.ts";

const usage = `Usage: bootswarm agent [options]

The daemon on each node: keeps a cache of images, fetches them from other nodes, and serves what it has.

  --config FILE      configuration, YAML or JSON
  --seeder URL       the seeder's URL, or several: A,B     (seeder.url)
  --state DIR        directory of the cache                (stateDirectory)
  --listen ADDRESS   where the API listens                 (listen)
  --name NAME        the node's name for people            (name)
  --set KEY=VALUE    any key of the configuration; may be repeated
  --help             this text
`;

try {
  const config = configFrom(process.argv.slice(2));
  if (config) {
    const log = createLog({ level: config.log.level, name: "bootswarm-agent" });
    await runUntilSignal(log, () => openAgent(config, log));
  } else {
    process.stdout.write(usage);
  }
} catch (error) {
  if (!(error instanceof Problem)) throw error;
  process.stderr.write(`bootswarm agent: ${messageOf(error)}\n`);
  process.exit(exitStatusOf(error));
}

/** The configuration that the command line asks for; undefined if it asks for help. */
function configFrom(args: string[]): AgentConfig | undefined {
  const values = optionsFrom(args);
  if (values.help) return undefined;
  const settings: Record<string, unknown> = {};
  for (const setting of values.set ?? []) {
    const split = setting.indexOf("=");
    if (split < 1) throw new UsageProblem(`--set ${setting}: write --set KEY=VALUE`);
    settings[setting.slice(0, split)] = setting.slice(split + 1);
  }
  const plain = { "seeder.url": values.seeder, stateDirectory: values.state, listen: values.listen, name: values.name };
  // Not to be read as YAML: a directory called 1 is no number.
  const given = Object.entries(plain).filter(([, value]) => value !== undefined);
  for (const [key, value] of given) settings[key] = JSON.stringify(value);
  return loadConfig(agentConfigSchema, { file: values.config, settings });
}

function optionsFrom(args: string[]) {
  const text = { type: "string" } as const;
  try {
    return parseArgs({
      args,
      options: {
        config: text,
        seeder: text,
        state: text,
        listen: text,
        name: text,
        set: { type: "string", multiple: true },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    throw new UsageProblem(`${messageOf(error)} (bootswarm agent --help lists the options)`);
  }
}

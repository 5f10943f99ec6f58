import { Command, Option } from "commander";
import { usageError } from "./cli-error.ts";
import { addBootCommands } from "./commands/boot.ts";
import { addDiskCommands } from "./commands/disk.ts";
import { addFetchCommands } from "./commands/fetch.ts";
import { addImageCommands } from "./commands/images.ts";
import { addImportCommands } from "./commands/import.ts";
import { addLeaseCommands } from "./commands/leases.ts";
import { addNodeCommands } from "./commands/nodes.ts";
import { addPlaceCommand } from "./commands/place.ts";
import { addPrefetchCommands } from "./commands/prefetch.ts";
import { addPublishCommands } from "./commands/publish.ts";
import { addReplicaCommands } from "./commands/replicas.ts";
import { addScrubCommand } from "./commands/scrub.ts";
import { addStatusCommand } from "./commands/status.ts";
import type { Context } from "./context.ts";
import { agentUrlDefault, seederUrlDefault } from "./daemons.ts";
import { packageVersion } from "./version.ts";

/** The whole command line. Parsing throws commander's own error for a wrong one, and for --help and --version. */
export function createProgram(context: Context): Command {
  const program = new Command("bootswarm")
    .description("Any hypervisor boots any image in seconds: VM images spread node to node over BitTorrent.")
    .version(packageVersion())
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.out.write(text),
      writeErr: (text) => context.err.write(text),
      getOutHelpWidth: () => (context.out.isTTY ? (context.out.columns ?? 80) : 100),
      getErrHelpWidth: () => (context.err.isTTY ? (context.err.columns ?? 80) : 100),
    })
    .addOption(
      new Option("--seeder <url>", "the seeder's API; of several that share a catalog: A,B")
        .env("BOOTSWARM_SEEDER")
        .default(seederUrlDefault),
    )
    .addOption(
      new Option("--agent <url>", "the agent's API, http://... or unix:/path")
        .env("BOOTSWARM_AGENT")
        .default(agentUrlDefault),
    )
    .option("--json", "print JSON instead of tables");
  program.commandsGroup("Daemons:");
  addDaemon(program, "seeder", "run the central daemon: catalog, origin, first seed, inventory");
  addDaemon(program, "agent", "run the daemon of a node: cache, fetches, peers");
  program.commandsGroup("Catalog:");
  addPublishCommands(program, context);
  addImportCommands(program, context);
  addReplicaCommands(program, context);
  program.commandsGroup("Images, fetches and nodes:");
  addFetchCommands(program, context);
  addDiskCommands(program, context);
  addImageCommands(program, context);
  addBootCommands(program, context);
  addLeaseCommands(program, context);
  addScrubCommand(program, context);
  addNodeCommands(program, context);
  addPlaceCommand(program, context);
  addPrefetchCommands(program, context);
  addStatusCommand(program, context);
  program.addHelpText("after", "\n`bootswarm COMMAND --help` shows a command's options.");
  return program;
}

/** The daemons are started by bin/bootswarm.js, before this program is; here they are only listed. */
function addDaemon(program: Command, name: string, summary: string): void {
  program
    .command(name)
    .summary(summary)
    .usage("[options]")
    .helpOption(false)
    .allowUnknownOption()
    .allowExcessArguments()
    .action(() => {
      throw usageError(`write \`bootswarm ${name}\` first and all options after it`);
    });
}

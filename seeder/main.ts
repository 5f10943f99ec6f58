/** The seeder's process: `node seeder/main.ts`, or `bootswarm seeder`. */
import { Command, CommanderError } from "commander";
import { loadConfig } from "../daemon/config.ts";
import { createLog, type Log } from "../daemon/log.ts";
import { messageOf, Problem } from "../daemon/problem.ts";
import { runUntilSignal } from "../daemon/shutdown.ts";
import { exitStatusOf, UsageProblem } from "../daemon/usage-problem.ts";
import { seederConfigSchema } from "./config.ts";

interface Flags {
  config?: string;
  data?: string;
  listen?: string;
  store?: string;
  set: Record<string, string>;
}

function flagsFrom(args: readonly string[]): Flags {
  const command = new Command("bootswarm seeder")
    .description("The central daemon: the catalog, the first seed of every image, and the inventory of all nodes.")
    .option("--config <file>", "configuration in YAML or JSON")
    .option("--data <directory>", "where images and the database are kept (dataDirectory)")
    .option("--listen <address>", "where the API listens: HOST:PORT, [IPV6]:PORT or unix:/PATH (listen)")
    .option("--store <url>", "PostgreSQL that several seeders share: postgres://USER@HOST/DATABASE (store.url)")
    .option(
      "--set <key=value>",
      "sets any configuration key, as in --set swarm.port=7401; may be given often",
      setting,
      {},
    )
    .allowExcessArguments(false)
    // It says in one line what is wrong, which is left to main.
    .configureOutput({ outputError: () => {} })
    .exitOverride();
  try {
    return command.parse(args, { from: "user" }).opts<Flags>();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) process.exit(0);
    throw new UsageProblem(`${error.message.replace(/^error: /, "")} (bootswarm seeder --help lists the options)`);
  }
}

function setting(text: string, settings: Record<string, string>): Record<string, string> {
  const equals = text.indexOf("=");
  if (equals < 1) throw new UsageProblem(`--set ${text}: write key=value, as in --set swarm.port=7401`);
  return { ...settings, [text.slice(0, equals)]: text.slice(equals + 1) };
}

async function main(): Promise<void> {
  const flags = flagsFrom(process.argv.slice(2));
  const config = loadConfig(seederConfigSchema, {
    file: flags.config,
    settings: {
      ...flags.set,
      ...(flags.data === undefined ? {} : { dataDirectory: flags.data }),
      ...(flags.listen === undefined ? {} : { listen: flags.listen }),
      ...(flags.store === undefined ? {} : { "store.url": flags.store }),
    },
  });
  const log = createLog({ level: config.log.level, name: "bootswarm-seeder" });
  warnOfShownPassword(log);
  // The program itself is loaded only now: help and faults in the configuration need not wait for it.
  const { openSeeder } = await import("./seeder.ts");
  await runUntilSignal(log, () => openSeeder(config, log));
}

/** Every user of a machine sees the arguments of its processes. */
function warnOfShownPassword(log: Log): void {
  if (!process.argv.some((argument) => /postgres(ql)?:\/\/([^@/]*:[^@/]+@|.*[?&]password=)/.test(argument))) return;
  log.warn(
    {},
    "the database's password is in the arguments, where ps shows it; give it in store.passwordFile, PGPASSWORD or ~/.pgpass",
  );
}

main().catch((error: unknown) => {
  // A Problem is for the operator; anything else is a bug of ours, whose place in the code matters.
  const text = error instanceof Problem || !(error instanceof Error) ? messageOf(error) : error.stack;
  process.stderr.write(`bootswarm seeder: ${text}\n`);
  process.exit(exitStatusOf(error));
});

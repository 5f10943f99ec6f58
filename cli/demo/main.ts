/**
 * The main job, watched live: one seeder and four nodes as processes on loopback, images published, fetched by all
 * nodes at once, and the inventory's view of it. `npm run demo`, or `npm run demo -- my.qcow2`.
 */
import { resolve } from "node:path";
import { CliError } from "../cli-error.ts";
import { cliErrorFrom } from "../daemon-errors.ts";
import { styleFor } from "../style.ts";
import { openStage } from "./stage.ts";
import { sayWhereNext, tellStory } from "./story.ts";

const interrupt = new AbortController();
const stage = openStage(interrupt.signal);
// Whatever ends this process, short of SIGKILL, neither processes nor files stay behind.
process.on("exit", () => stage.clearAtOnce());
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(name, () => {
    interrupt.abort(new CliError("interrupted", { exitStatus: 130 }));
    process.once(name, () => process.exit(130));
  });
}
process.stdout.on("error", () => process.exit(1));

const style = styleFor(process.stdout, process.env);
const story = {
  out: process.stdout,
  style,
  now: Date.now,
  signal: interrupt.signal,
  stage,
  // npm runs scripts in the package's folder; the path is meant from where the user stands.
  imagePath: process.argv[2] === undefined ? undefined : resolve(process.env.INIT_CWD ?? ".", process.argv[2]),
};
try {
  await tellStory(story);
  await stage.clear();
  sayWhereNext(story);
} catch (error) {
  const reason: unknown = interrupt.signal.aborted ? interrupt.signal.reason : error;
  const known = cliErrorFrom(reason);
  process.stderr.write(`\n${style.red("error:")} ${known?.message ?? (reason as Error).stack}\n`);
  process.exitCode = known?.exitStatus ?? 1;
  await stage.clear();
}
// Idle connections to daemons that are gone would keep the process a little longer.
process.exit();

/** The command line's entry point: streams, Ctrl-C, errors and the exit status. */
import { CommanderError } from "commander";
import type { Context } from "./context.ts";
import { cliErrorFrom } from "./daemon-errors.ts";
import { createProgram } from "./program.ts";
import { styleFor } from "./style.ts";
import { printable } from "./visible-text.ts";

/** What a shell reports for a program that Ctrl-C ended. */
const interruptedStatus = 130;
const usageStatus = 2;

const interrupt = new AbortController();
process.once("SIGINT", () => {
  interrupt.abort(new Error("interrupted"));
  // Whoever presses it twice wants no orderly end.
  process.once("SIGINT", () => process.exit(interruptedStatus));
});
// `bootswarm images | head -1` closes the pipe; that is no error of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const context: Context = {
  out: process.stdout,
  err: process.stderr,
  env: process.env,
  now: Date.now,
  signal: interrupt.signal,
};
process.exitCode = await run(context, process.argv);

async function run(context: Context, argv: readonly string[]): Promise<number> {
  try {
    await createProgram(context).parseAsync(argv);
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageStatus;
    const known = cliErrorFrom(error);
    const isOurs = known === undefined;
    if (context.signal.aborted && known?.exitStatus !== interruptedStatus) return interruptedStatus;
    const style = styleFor(context.err, context.env);
    const text = isOurs ? `this is a bug in bootswarm: ${stackOf(error)}` : printable(known.message);
    const isNote = known?.exitStatus === interruptedStatus;
    context.err.write(isNote ? `${text}\n` : `${style.red("error:")} ${text}\n`);
    return known?.exitStatus ?? 1;
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

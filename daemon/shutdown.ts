import type { Log } from "./log.ts";

/** A daemon that runs until it is closed. */
export interface Running {
  close(): Promise<void>;
}

/** Longest that an orderly end may take before the process goes without it. */
const closeMsMax = 4_000;

/**
 * Runs a daemon until SIGTERM or SIGINT, then closes it and ends the process: within `closeMsMax`, with status 0 if it
 * closed in time. A second signal ends the process at once.
 */
export async function runUntilSignal(log: Log, start: () => Promise<Running>): Promise<void> {
  const running = await start();
  const signal = await new Promise<NodeJS.Signals>((resolve) => {
    for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => resolve(name));
  });
  log.info({ signal }, "stopping");
  for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => process.exit(130));
  const timer = setTimeout(() => {
    log.error({ closeMsMax }, "did not stop in time; ending anyway");
    process.exit(1);
  }, closeMsMax);
  await running.close();
  clearTimeout(timer);
  log.info({}, "stopped");
  process.exit(0);
}

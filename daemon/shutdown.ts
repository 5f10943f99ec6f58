import type { Log } from "./log.ts";

/** A daemon that runs until it is closed. */
export interface Running {
  close(): Promise<void>;
}

/** Longest that an orderly end may take before the process goes without it. */
const closeMsMax = 4_000;
/**
 * A signal so soon after the first is the same one, come by two ways: systemd sends it to all processes of a service, and the
 * command that has started this one passes it on.
 */
const sameSignalMs = 1_000;

/**
 * Runs a daemon until SIGTERM or SIGINT, then closes it and ends the process: within `closeMsMax`, with status 0 if it
 * closed in time. A second signal ends the process at once.
 */
export async function runUntilSignal(
  log: Log,
  start: () => Promise<Running>,
  nowMs: () => number = () => performance.now(),
): Promise<void> {
  const running = await start();
  const signal = await firstSignal(nowMs);
  log.info({ signal }, "stopping");
  const timer = setTimeout(() => {
    log.error({ closeMsMax }, "did not stop in time; ending anyway");
    process.exit(1);
  }, closeMsMax);
  await running.close();
  clearTimeout(timer);
  log.info({}, "stopped");
  process.exit(0);
}

/** Which comes first. The second ends the process: between two listeners for one each, it would have its default effect. */
function firstSignal(nowMs: () => number): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let firstAtMs: number | undefined;
    for (const name of ["SIGTERM", "SIGINT"] as const) {
      process.on(name, () => {
        if (firstAtMs !== undefined && nowMs() - firstAtMs >= sameSignalMs) process.exit(130);
        firstAtMs ??= nowMs();
        resolve(name);
      });
    }
  });
}

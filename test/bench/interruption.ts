/** Ends a benchmark that is interrupted as if it had ended by itself: what it started and made goes with it. */
import type { ChildProcess } from "node:child_process";

const statuses = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
const children = new Set<ChildProcess>();
let isDone = false;

/** From now on these signals end the process as `process.exit` does, with the status that a shell would tell. */
export function exitOnSignals(): void {
  if (isDone) return;
  isDone = true;
  for (const [signal, status] of Object.entries(statuses)) process.once(signal, () => process.exit(status));
  process.once("exit", () => {
    for (const child of children) child.kill("SIGKILL");
  });
}

/** The child is ended with this process, whichever way that ends short of SIGKILL. */
export function endWithProcess(child: ChildProcess): void {
  exitOnSignals();
  children.add(child);
  child.once("exit", () => children.delete(child));
}

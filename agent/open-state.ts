import type { Log } from "../daemon/log.ts";
import { makeDirectory } from "../daemon/make-directory.ts";
import { Problem } from "../daemon/problem.ts";
import { lockStateDirectory } from "../daemon/state-lock.ts";
import { ImageCache } from "./cache/image-cache.ts";
import type { StateLayout } from "./cache/layout.ts";
import { loadNodeId } from "./cache/node-id.ts";

/** A state directory that is this process's alone, until the lock is closed. */
export interface OpenState {
  lock: { close(): void };
  cache: ImageCache;
  nodeId: string;
}

/**
 * Makes the state directory if need be, takes it, and reads what is in it.
 *
 * @throws Problem "conflict" if another agent has it, "invalid" if it cannot be used.
 */
export async function openState(layout: StateLayout, now: () => Date, log: Log): Promise<OpenState> {
  let lock: { close(): void } | undefined;
  try {
    await makeDirectory(layout.images);
    lock = lockStateDirectory(layout.directory);
    const cache = await ImageCache.open(layout, now, log);
    return { lock, cache, nodeId: await loadNodeId(layout, log) };
  } catch (error) {
    lock?.close();
    if (error instanceof Problem) throw error;
    throw new Problem(
      "invalid",
      `cannot use the state directory ${layout.directory}; make it writable, or choose another with --state`,
      { cause: error },
    );
  }
}

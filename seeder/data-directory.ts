import { access, constants } from "node:fs/promises";
import { makeDirectory } from "../daemon/make-directory.ts";
import { messageOf, Problem } from "../daemon/problem.ts";
import { lockStateDirectory } from "../daemon/state-lock.ts";

/**
 * Makes the data directory if it is not there, and takes it for this process alone until `close`.
 *
 * @throws Problem "invalid" if it cannot be made or written, "conflict" if another process has it.
 */
export async function takeDataDirectory(path: string): Promise<{ close(): void }> {
  try {
    await makeDirectory(path);
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new Problem(
      "invalid",
      `cannot use ${path} as the data directory (${messageOf(error)}); choose another with --data, or make it writable for this user`,
      { cause: error },
    );
  }
  return lockStateDirectory(path);
}

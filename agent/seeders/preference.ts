/** Which of several seeders a node asks: pure. */
import { createHash } from "node:crypto";

/**
 * The seeders in the order in which a node prefers them: by a hash of both (rendezvous hashing), so that nodes with the same
 * list spread evenly over it, those of a seeder that is gone spread over all that are left, and a node keeps to its order.
 */
export function preferredOrder(urls: readonly string[], nodeId: string): string[] {
  const weighed = urls.map((url) => ({ url, weight: createHash("sha256").update(`${nodeId}\n${url}`).digest("hex") }));
  return weighed.sort((a, b) => (a.weight < b.weight ? -1 : 1)).map(({ url }) => url);
}

/** What is known of a seeder that may be asked. */
export interface Asked {
  url: string;
  /** When it last failed to answer; undefined if it has answered since, or never failed. */
  failedAtMs: number | undefined;
}

/** Whom to ask next, of seeders in the order preferred: the first that has not failed, else the one that failed longest ago. */
export function nextOf<T extends Asked>(seeders: readonly T[]): T {
  const sound = seeders.find(({ failedAtMs }) => failedAtMs === undefined);
  return sound ?? seeders.reduce((first, each) => ((each.failedAtMs ?? 0) < (first.failedAtMs ?? 0) ? each : first));
}

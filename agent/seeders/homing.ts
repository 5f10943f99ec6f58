import type { Clock } from "../../swarm/types.ts";
import { wait } from "../clock.ts";
import type { Seeders } from "./seeders.ts";

/** How often a node looks whether the seeder that it prefers is back, give or take half: all of them over some minutes. */
const lookIntervalMs = 120_000;

export interface HomingOptions {
  seeders: Seeders;
  /** Whether a seeder is ready to be asked. Never rejects. */
  isReady: (url: string, signal: AbortSignal) => Promise<boolean>;
  clock: Clock;
  random: () => number;
}

/**
 * Returns to the preferred seeder some time after it is back, so that after a restart the others do not keep its share of
 * the nodes for good. Ends when the signal aborts; never rejects.
 */
export async function keepHoming(
  { seeders, isReady, clock, random }: HomingOptions,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await wait(clock, lookIntervalMs * (0.5 + random()), signal).catch(() => {});
    const { preferredUrl } = seeders;
    if (signal.aborted || preferredUrl === seeders.url) continue;
    if (await isReady(preferredUrl, signal)) seeders.returnTo(preferredUrl);
  }
}

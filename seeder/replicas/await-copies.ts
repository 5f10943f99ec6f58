/** Waiting until as many seeders hold an image as its publisher wants. */
import { setTimeout as delay } from "node:timers/promises";
import { Problem } from "../../daemon/problem.ts";
import type { Image } from "../catalog/image.ts";
import type { CopyProgress } from "../store/replica-store.ts";
import { copiesUnderWay, type ReplicaView, type Roster } from "./roster.ts";

/** More seeders than any site runs. */
const wantedMax = 64;
const timeoutMsDefault = 600_000;
const timeoutMsMax = 24 * 3_600_000;
/** How often is looked; others' copies are known a second late. */
const lookIntervalMs = 100;

export interface Replication {
  wanted: number;
  /** URLs, or ids of those without, of live seeders that hold it. */
  holding: string[];
  fetching: CopyProgress[];
}

/**
 * Refuses what cannot be.
 *
 * @throws Problem "invalid", or "conflict" if more are wanted than are live.
 */
export function checkWanted(roster: Pick<Roster, "live">, wanted: number): void {
  if (!Number.isInteger(wanted) || wanted < 0 || wanted > wantedMax) {
    throw new Problem("invalid", `replicas: 1 to ${wantedMax} seeders can be asked for`);
  }
  const live = roster.live();
  if (wanted <= live.length) return;
  const are = live.length === 1 ? "only this one is there" : `only ${live.length} are there: ${namesOf(live)}`;
  throw new Problem(
    "conflict",
    `${wanted} seeders cannot hold an image, as ${are}; start more on the same store (store.url), or ask for ${live.length}`,
  );
}

/**
 * Tells how far the seeders are whenever that changes, and ends when as many hold the image as are wanted.
 *
 * @param timeoutMs 0 is the default
 * @throws Problem as checkWanted, "unavailable" when the time is over, with what was reached.
 */
export async function* awaitCopies(
  roster: Pick<Roster, "live" | "holders">,
  image: Image,
  wanted: number,
  timeoutMs: number,
  signal: AbortSignal,
): AsyncIterable<Replication> {
  checkWanted(roster, wanted);
  const limitMs = Math.min(timeoutMs || timeoutMsDefault, timeoutMsMax);
  const endMs = performance.now() + limitMs;
  for (let told = ""; !signal.aborted; ) {
    const now = replicationOf(roster, image, wanted);
    const text = JSON.stringify(now);
    if (text !== told) yield now;
    told = text;
    if (now.holding.length >= wanted) return;
    if (performance.now() > endMs) throw timeIsOver(image, now, limitMs);
    await delay(lookIntervalMs, undefined, { signal }).catch(() => {});
  }
}

function replicationOf(roster: Pick<Roster, "live" | "holders">, image: Image, wanted: number): Replication {
  const holders = roster.holders(image.digest);
  return {
    wanted,
    holding: holders.map(nameOf),
    fetching: copiesUnderWay(
      roster.live().filter(({ images }) => !images.has(image.digest)),
      image.digest,
    ),
  };
}

function timeIsOver(image: Image, now: Replication, limitMs: number): Problem {
  const name = image.names[0] ?? image.digest;
  const done = now.fetching.map(({ doneBytes, sizeBytes, trouble }) => {
    return `${Math.floor((100 * doneBytes) / Math.max(sizeBytes, 1))} %${trouble === "" ? "" : ` (${trouble})`}`;
  });
  const under = done.length === 0 ? "no other fetches it" : `others are at ${done.join(", ")}`;
  return new Problem(
    "unavailable",
    `${name} is published, but after ${limitMs / 1_000} s ${now.holding.length} of ${now.wanted} seeders hold it ` +
      `(${now.holding.join(", ") || "none that lives"}); ${under}. It goes on; \`bootswarm replicas\` shows how far it is`,
  );
}

function namesOf(replicas: readonly ReplicaView[]): string {
  return replicas.map(nameOf).join(", ");
}

function nameOf({ url, id }: ReplicaView): string {
  return url || id;
}

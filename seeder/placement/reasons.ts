/** Why a host weighs what it does: as one word, and in words. Pure. */
import type { HostCase } from "./weigh.ts";

export const hostReasons = [
  "cached",
  "in-flight",
  "queued",
  "stalled",
  "paused",
  "expected",
  "boot-image",
  "absent",
  "lost",
  "unknown",
] as const;

export type HostReason = (typeof hostReasons)[number];

export function reasonOf({ standing, part, hasBootImage }: HostCase): HostReason {
  if (standing !== "up") return standing;
  if (part.kind === "active") return part.etaSeconds === undefined ? "stalled" : "in-flight";
  return part.kind === "absent" && hasBootImage ? "boot-image" : part.kind;
}

/** Fewer launches of late are not worth a word. */
const recentLaunchesSaid = 0.25;

/** "on its way, 63 % here, ready in 12 s; 3.2 launches of late". */
export function reasonText(facts: HostCase): string {
  if (facts.standing === "unknown") return facts.note ?? "unknown: no agent has reported under this name or id";
  if (facts.standing === "lost") return "lost: its agent is silent, so nothing that it told counts";
  const { recentLaunches, otherFetches } = facts;
  const texts = [imageText(facts)];
  const launches = recentLaunches.toFixed(1).replace(/\.0$/, "");
  if (recentLaunches >= recentLaunchesSaid) texts.push(`${launches} launch${launches === "1" ? "" : "es"} of late`);
  if (otherFetches > 0) texts.push(`fetches ${otherFetches} other image${otherFetches === 1 ? "" : "s"}`);
  return texts.join("; ");
}

function imageText({ part, hasBootImage }: HostCase): string {
  const boot = hasBootImage ? "; its boot image is here" : "";
  switch (part.kind) {
    case "cached":
      return "cached";
    case "active":
      return `${activeText(part.fraction, part.etaSeconds)}${boot}`;
    case "queued":
      return `queued on the node${part.fraction > 0 ? `, ${percent(part.fraction)} here` : ""}${boot}`;
    case "paused":
      return `paused at ${percent(part.fraction)}: the node's disk is full or fails`;
    case "expected":
      return `launched here moments ago; its fetch is not yet reported${boot}`;
    case "absent":
      return hasBootImage ? "absent, but its boot image is here" : "absent";
  }
}

function activeText(fraction: number, etaSeconds: number | undefined): string {
  const ready = etaSeconds === undefined ? "nothing has come of late" : `ready in ${duration(etaSeconds)}`;
  return fraction >= 1 ? `all here and being checked, ${ready}` : `on its way, ${percent(fraction)} here, ${ready}`;
}

function percent(fraction: number): string {
  return `${Math.floor(fraction * 100)} %`;
}

function duration(seconds: number): string {
  if (seconds < 100) return `${Math.ceil(seconds)} s`;
  return seconds < 6_000 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
}

/**
 * What a node is told in the answer to its report. Pure. It is told what it has not said it knows: what is lost on the
 * way is told again, and what it has taken in is not.
 */
import type { ReportedPrefetchFacts } from "../inventory/facts.ts";
import { directivesPerAnswerMax } from "./limits.ts";

/** What is to be brought to a node. */
export interface Wished {
  digest: string;
  /** The operator's prefetch; empty for what popularity has planned. */
  prefetchId: string;
  expectedUses: number;
  /** 0 is no limit. */
  bytesPerSecondMax: number;
}

export type NodeDirective = ({ kind: "prefetch" } & Wished) | { kind: "stop"; digest: string; prefetchId: string };

export interface NodeNow {
  reported: ReadonlyMap<string, ReportedPrefetchFacts>;
  /** Whether the image is on the node, or on its way there because somebody has asked for it. */
  isComing: (digest: string) => boolean;
  /** Whether a prefetch that the node reports is to go on though it is not among the wishes. */
  isTolerated: (reported: ReportedPrefetchFacts) => boolean;
}

export function directivesFor(wishes: readonly Wished[], now: NodeNow): NodeDirective[] {
  const directives: NodeDirective[] = [];
  const wished = new Set(wishes.map(({ digest }) => digest));
  for (const reported of now.reported.values()) {
    const { digest, prefetchId, error } = reported;
    if (error !== undefined || wished.has(digest) || now.isTolerated(reported)) continue;
    directives.push({ kind: "stop", digest, prefetchId });
  }
  for (const wish of wishes) {
    const known = now.reported.get(wish.digest);
    // An operator's takes the place of a plan's, not the other way about.
    const isKnown = known !== undefined && (known.prefetchId === wish.prefetchId || wish.prefetchId === "");
    if (!isKnown && !now.isComing(wish.digest)) directives.push({ kind: "prefetch", ...wish });
  }
  return directives.slice(0, directivesPerAnswerMax);
}

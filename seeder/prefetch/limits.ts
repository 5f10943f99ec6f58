/** Bounds of prefetching, each with its reason. */

/** Directives in one answer: reports come often, and a node begins few fetches at a time. */
export const directivesPerAnswerMax = 16;
/** Prefetches that operators have under way at once: nobody keeps track of more. */
export const prefetchesRunningMax = 1_000;
/** How long one that has ended is still listed. */
export const prefetchesKeptMs = 7 * 86_400_000;
/** How long a prefetch that an operator has started is tried: nodes that stay away so long have gone. */
export const prefetchLifeMs = 7 * 86_400_000;
/** How long a node has to begin with what was planned for it, before another may get it. */
export const beginWithinMs = 600_000;
/** How long a node is spared an image that it has refused or dropped. */
export const restMs = 1_800_000;
/** Refusals kept in mind. */
export const restsMax = 100_000;
/** What a fetch gets at least where a zone's bytes per second are shared out: fewer fetches rather than slower ones. */
export const fetchBytesPerSecondMin = 4_000_000;
/** Images and assignments told of one zone's plan. */
export const planRowsToldMax = 1_000;
/** Nodes told of one prefetch. */
export const prefetchNodesToldMax = 500;

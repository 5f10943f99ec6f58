/** Every bound of placement, with its reason: schedulers ask, and one of them may be mad. */
import { nodesMax } from "../inventory/limits.ts";

/** Hosts in one request: as many as there can be nodes. */
export const hostsMax = nodesMax;

/** Hosts' names kept with what was found of them: each node by two spellings. */
export const hostsFoundMax = 2 * nodesMax;

/** A host's name or id; DNS names end at 253. */
export const hostCharactersMax = 255;

/** Images named in one request to be tried in turn: an id, a name, and a few that may come to be. */
export const otherImagesMax = 8;

/** What a virtual machine's launch is called: a UUID, or a Kubernetes name with its namespace. */
export const launchIdCharactersMax = 128;

/** Virtual machines in one recorded launch: more than any host takes. */
export const launchCountMax = 1_000;

/** A launch told again within this time is known by its id: schedulers try again for minutes, not for hours. */
export const launchIdsKeptMs = 60 * 60 * 1_000;

/** Launch ids kept at once: a day's launches of the first paper's cloud many times over, in some tens of megabytes. */
export const launchIdsMax = 100_000;

/** Launches kept for a store that does not answer: some minutes of a burst; what is older says little of the present. */
export const launchesUnsavedMax = 10_000;

/** A clock that runs ahead of ours by no more than this is taken to say now: NTP keeps clocks far closer. */
export const launchAheadMsMax = 5 * 60 * 1_000;

/** A launch that is told of later than this says nothing of the present. */
export const launchAgeMsMax = 24 * 60 * 60 * 1_000;

/** Images that are remembered as launched of late on one node; what is started there in half a minute. */
export const imagesExpectedMax = 32;

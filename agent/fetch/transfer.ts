import type { Log } from "../../daemon/log.ts";
import { Problem } from "../../daemon/problem.ts";
import type { Swarm } from "../../swarm/swarm.ts";
import type { Clock, Endpoint } from "../../swarm/types.ts";
import type { ImageCache } from "../cache/image-cache.ts";
import type { HttpOrigin } from "./http-origin.ts";
import type { ImageReaders } from "./image-readers.ts";
import type { SourceRules } from "./source-policy.ts";

/** What a fetch works with. */
export interface FetchTools {
  cache: ImageCache;
  swarm: Swarm;
  origin: HttpOrigin;
  rules: SourceRules & {
    /** How long a fetch may receive nothing at all. */
    giveUpMs: number;
  };
  /** Peers that hold every image: the seeder, as it told the reporter. */
  seederPeers: () => Endpoint[];
  /** Who reads images that are on their way. */
  readers?: ImageReaders | undefined;
  clock: Clock;
  now: () => Date;
  random: () => number;
  log: Log;
}

/** How far a transfer is. */
export interface TransferProgress {
  /** Bytes on disk; verified, where there is a torrent. */
  doneBytes: number;
  /** Bytes received from peers and by HTTP since the transfer began. */
  swarmBytes: number;
  httpBytes: number;
  /** Bytes that nobody had to send, since they are zeros. */
  zeroBytes: number;
  peers: number;
  /** Milliseconds since anything arrived, or since the transfer began. */
  quietMs: number;
  /** For a person. */
  activity: string;
}

/** One way of bringing an image's bytes, while it is the one in use. */
export interface Transfer {
  progress(): TransferProgress;
}

/**
 * The error of a fetch that nothing arrives for.
 *
 * @param activity how many peers there are, and what HTTP last said
 * @param refusal the origin's answer that asking again would not change, if there was one
 * @param faults who sent what could not be used
 */
export function nothingArrives(quietMs: number, activity: string, refusal?: Problem, faults = ""): Problem {
  const advice =
    refusal?.kind === "data-loss" ? "" : ", so ask again once the seeder or another node that has the image is up";
  return new Problem(
    refusal?.kind ?? "unavailable",
    `nothing has arrived for ${Math.round(quietMs / 1_000)} s (${activity}${faults && `; ${faults}`}); what is here is kept${advice}`,
  );
}

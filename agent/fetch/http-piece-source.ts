import type { PieceSource } from "../../swarm/types.ts";
import type { ImageFacts } from "../cache/records.ts";
import type { HttpOrigin } from "./http-origin.ts";

/** Ranges under way at once: enough to hide a round trip, few enough to leave the origin to other nodes. */
const requestsMax = 4;

/** The origin as one more source of a torrent's pieces. */
export function httpPieceSource(origin: HttpOrigin, facts: ImageFacts): PieceSource {
  return {
    name: origin.urlOf(facts),
    requestsMax,
    read: (offset, length, signal) => origin.read(facts, offset, length, signal),
  };
}

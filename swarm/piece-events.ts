import type { Peer } from "./peer.ts";
import type { PieceSource } from "./types.ts";

/** What a torrent is told of its traffic in pieces. */
export interface PieceEvents {
  /** The peer lies or breaks the rules: away with it. */
  strike: (peer: Peer, reason: string) => void;
  /** Notes a bad piece of the peer; how many those of its address have sent by now. */
  blame: (peer: Peer) => number;
  /** Blocks came in. */
  onProgress: (bytes: number, from: "peer" | "source") => void;
  /** A piece failed its hash; `from`: who sent parts of it, as addresses and names of sources. */
  onVerifyFailure: (from: string[]) => void;
  /** Payload came that was not needed, or not any more. */
  onWasted: (bytes: number) => void;
  /** Blocks of a late piece are asked of one more peer. */
  onHedged: (blocks: number) => void;
  /** Bytes of a piece came that somebody waits for. */
  onDemanded: (bytes: number, from: "peer" | "source") => void;
  /** A piece was verified and is on disk. */
  onPiece: (index: number) => void;
  /** The disk failed. */
  onFault: (error: Error) => void;
  onSourceError: (source: PieceSource, error: Error) => void;
}

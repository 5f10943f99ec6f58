/** What the processes of the benchmark tell each other (node:child_process IPC). */

/** To the node under attack: what to look at. */
export interface Target {
  peerPort: number;
  dhtPort: number;
  /** A complete torrent, one that is being fetched, and one of which only the infohash is known. */
  infohashes: { seeded: string; fetched: string; bare: string };
  pieceCount: number;
  pieceLengthBytes: number;
}

/** The node's answer to "usage". */
export interface Usage {
  cpuSeconds: number;
  rssBytes: number;
  peers: number;
}

/** The attacker's counts so far. */
export interface AttackCounts {
  /** Connections, or for the DHT datagrams, that were made. */
  made: number;
  /** Of those, answered with a handshake. */
  greeted: number;
  /** Ended by the node. */
  turnedAway: number;
  bytesSent: number;
}

/** What the honest leecher tells in the end, or when it is asked. */
export interface Fetched {
  seconds: number;
  /** 0 if none has come. */
  firstPieceSeconds: number;
  /** Of whole pieces. */
  bytes: number;
}

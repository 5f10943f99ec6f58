/** Launches of virtual machines, as schedulers tell of them: what popularity, and the heat of a node, are made of. */

export interface Launch {
  /** Sha256 of the image. */
  digest: string;
  /** Id of the node. */
  nodeId: string;
  /** When, in milliseconds since 1970. */
  atMs: number;
  /** How many virtual machines; 1 or more. */
  count: number;
  /** By which the scheduler tells of it again; empty or absent if it does not. */
  launchId?: string;
}

/** Takes launches in. It keeps no more than a bounded memory of them, and does not throw. */
export interface Launches {
  record(launch: Launch): void;
}

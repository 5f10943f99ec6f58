/** What seeders that share a database tell each other. Engines behind this contract pass the tests in test/contract. */

/** An image on its way to a seeder. */
export interface CopyProgress {
  digest: string;
  sizeBytes: number;
  doneBytes: number;
  /** Why it does not go on; empty if it does. */
  trouble: string;
}

/** One seeder, as it last described itself. */
export interface ReplicaRecord {
  id: string;
  /** URL of its API; empty if others cannot reach it. */
  url: string;
  /** Where it takes part in the swarm. */
  host: string;
  peerPort: number;
  dhtPort: number;
  version: string;
  freeBytes: number;
  fetches: readonly CopyProgress[];
  /** Grows while it lives. Others compare it by their own clocks: the seeders' clocks need not agree. */
  beat: number;
  /** When it said so, by its own clock, in milliseconds since 1970. */
  seenAtMs: number;
}

/** Who may record a boot, and until when. */
export interface RecordingClaim {
  digest: string;
  nodeId: string;
  nodeName: string;
  endsAtMs: number;
}

/** Numbers that grow, in the order of commits, with every change: equal numbers mean that nothing has changed. */
export interface SharedVersions {
  /** Images, names and torrents. */
  catalog: number;
  /** Which seeder holds what. */
  copies: number;
}

/** Each call is atomic, and durable once it resolves. */
export interface ReplicaStore {
  /** Adds or replaces a seeder's description of itself. */
  saveReplica(record: ReplicaRecord): Promise<void>;
  /** All seeders that were ever here, by id. */
  listReplicas(): Promise<ReplicaRecord[]>;
  /** Forgets a seeder and what it holds. */
  removeReplica(id: string): Promise<void>;
  /** Which seeders hold which image: ids by digest. */
  listCopies(): Promise<Map<string, string[]>>;
  /** Says all that a seeder holds; digests that are no images are passed over. */
  setCopies(replicaId: string, digests: readonly string[]): Promise<void>;
  /** Says that a seeder holds an image's bytes. False if the image is not there any more. */
  addCopy(replicaId: string, digest: string): Promise<boolean>;
  removeCopy(replicaId: string, digest: string): Promise<void>;
  versions(): Promise<SharedVersions>;
  /** Gives a claim, or makes it last longer, unless another node has one that lasts at `nowMs`. The claim that stands. */
  claimRecording(claim: RecordingClaim, nowMs: number): Promise<RecordingClaim>;
  releaseRecording(digest: string, nodeId: string): Promise<void>;
}

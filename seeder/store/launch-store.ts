/** What seeders tell each other, and remember, of launches of late; a part of the store's contract. */

/** A launch as a scheduler told it to a seeder. */
export interface LaunchRecord {
  /** Empty if every call counts. */
  launchId: string;
  nodeId: string;
  digest: string;
  /** How many virtual machines. */
  count: number;
  /** In milliseconds since 1970. */
  atMs: number;
  /** When it was told of, by that seeder's clock. */
  toldAtMs: number;
}

/** Each call is atomic. A loss of power may lose the last second of what was added. */
export interface LaunchStore {
  addLaunches(seederId: string, launches: readonly LaunchRecord[]): Promise<void>;
  /**
   * What other seeders have added since, oldest first; of very many, the last.
   *
   * @param mark where the last call ended; 0 for all that is kept
   */
  readLaunches(
    seederId: string,
    mark: number,
    launchesMax: number,
  ): Promise<{ launches: LaunchRecord[]; mark: number }>;
  /** Forgets what was told of before that time, and all but the last so many. */
  forgetLaunches(toldBeforeMs: number, launchesMax: number): Promise<void>;
}

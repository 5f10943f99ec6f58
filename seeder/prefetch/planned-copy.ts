/** An image that is to go to a node by a seeder's plan, as seeders of one database tell each other. */
export interface PlannedCopy {
  nodeId: string;
  zone: string;
  digest: string;
  /** By the clock of the seeder that planned it. */
  plannedAtMs: number;
}

/**
 * What the seeder keeps in its database: the catalog's facts, and what the inventory knew last. Engines behind this
 * contract pass the tests in test/contract.
 */
import type { Image, ImageTorrent } from "../catalog/image.ts";
import type { InventoryStore } from "./inventory-store.ts";
import type { LaunchStore } from "./launch-store.ts";
import type { PrefetchStore } from "./prefetch-store.ts";
import type { ReplicaStore } from "./replica-store.ts";

/** Each call is atomic, and durable once it resolves. */
export interface CatalogStore {
  /** All images, by first name. */
  listImages(): Promise<Image[]>;
  imageByDigest(digest: string): Promise<Image | undefined>;
  imageByName(name: string): Promise<Image | undefined>;
  /** Adds an image with its names. Rejects if the digest or a name is there already. */
  addImage(image: Image): Promise<void>;
  /** Adds a name to an image. Rejects if the name is taken or the image is not there. */
  addName(digest: string, name: string): Promise<void>;
  /** Sets or takes away an image's torrent. */
  setTorrent(digest: string, torrent: ImageTorrent | undefined): Promise<void>;
  /** Removes a name, if it is there. */
  removeName(name: string): Promise<void>;
  /**
   * Removes an image and all its names, if it is there, and remembers that until it is added again, or for as long as
   * seeders may be away that have its bytes (limits.ts).
   */
  removeImage(digest: string, nowMs: number): Promise<void>;
  /** Which of these were removed: others that are not there the store has lost, or never knew, or has forgotten. */
  removedAmong(digests: Iterable<string>): Promise<Set<string>>;
}

export interface Store extends CatalogStore {
  /** What seeders tell each other of nodes, and remember of them. */
  readonly inventory: InventoryStore;
  /** What seeders that share the database tell each other. */
  readonly replicas: ReplicaStore;
  /** Popularity, and what operators have had brought to nodes ahead of need. */
  readonly prefetch: PrefetchStore;
  /** Launches of late, whichever seeder was told of them. */
  readonly launches: LaunchStore;
  close(): Promise<void>;
}

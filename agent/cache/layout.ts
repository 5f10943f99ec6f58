import { join } from "node:path";
import { type Disk, systemDisk } from "../../swarm/disk.ts";

/** The files of a state directory, and the disk that they are on. */
export interface StateLayout {
  disk: Disk;
  directory: string;
  nodeId: string;
  /** DHT nodes known when the agent last ran. */
  dhtNodes: string;
  images: string;
  /** What is known of attached disks. */
  disks: string;
  /** What is not yet, or no longer, anything; emptied at start. On the same filesystem, so that renames are atomic. */
  tmp: string;
}

export function stateLayout(directory: string, disk: Disk = systemDisk): StateLayout {
  return {
    disk,
    directory,
    nodeId: join(directory, "node-id"),
    dhtNodes: join(directory, "dht-nodes.json"),
    images: join(directory, "images"),
    disks: join(directory, "disks"),
    tmp: join(directory, "tmp"),
  };
}

/** The files of one image. */
export interface ImagePaths {
  directory: string;
  /** The image's bytes; sparse until complete. */
  data: string;
  /** What the catalog said, whether the image is wanted, and whether it is complete. */
  record: string;
  /** The torrent's info dictionary. While the image is partial, its presence means that `data` fills by pieces. */
  metainfo: string;
  /** Which pieces are verified and on disk; the swarm engine's own. */
  have: string;
  /** Last use and pin. */
  used: string;
  /** Who keeps the image from removal, and until when. */
  leases: string;
  /** When it was last found sound, and how far the scrub is. */
  scrub: string;
}

/** @param digest checked by the caller: 64 lower-case hex digits, which cannot leave the directory. */
export function imagePaths(layout: StateLayout, digest: string): ImagePaths {
  const directory = join(layout.images, digest);
  return {
    directory,
    data: join(directory, "data"),
    record: join(directory, "image.json"),
    metainfo: join(directory, "metainfo"),
    have: join(directory, "have"),
    used: join(directory, "used.json"),
    leases: join(directory, "leases.json"),
    scrub: join(directory, "scrub.json"),
  };
}

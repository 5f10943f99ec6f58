/** Format of an image's content, as its header says. */
export type ImageFormat = "raw" | "qcow2" | "boot";

/** What a boot image has to do with others. */
export interface BootLinks {
  /** Digest of the image whose boot it serves. */
  of: string;
  /** Digests of the boot images that have some of its blocks. */
  sources: string[];
}

/** What a torrent adds to an image. */
export interface ImageTorrent {
  /** SHA-1 of the info dictionary, 40 lower-case hex digits. */
  infohash: string;
  pieceLengthBytes: number;
}

/** An immutable catalog item: bytes, known by their digest and by names. */
export interface Image {
  /** Sha256 of its bytes, 64 lower-case hex digits. */
  digest: string;
  /** The names it is published under, oldest first. */
  names: string[];
  sizeBytes: number;
  format: ImageFormat;
  /** Size of the disk that a guest sees; 0 for a boot image. */
  virtualSizeBytes: number;
  /** Absent while the image has no torrent. */
  torrent: ImageTorrent | undefined;
  /** Present if and only if the format is "boot". */
  boot?: BootLinks | undefined;
  createdAtMs: number;
}

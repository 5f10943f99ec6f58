import { ImageFormat } from "../../proto/gen/bootswarm/image/v1/image_pb.js";

/** How an image is called in tables: its names, or the start of its digest where it has none. */
export function imageLabel(names: readonly string[], digest: string): string {
  return names.length > 0 ? names.map(nameLabel).join(", ") : digest.slice(0, 12);
}

/** A name as people should see it: a boot image's is the digest of its image, and too long to be read. */
export function nameLabel(name: string): string {
  const image = /^([0-9a-f]{12})[0-9a-f]{52}\.boot$/.exec(name)?.[1];
  return image === undefined ? name : `boot of ${image}`;
}

/** "raw", "qcow2". */
export function formatName(format: ImageFormat): string {
  switch (format) {
    case ImageFormat.RAW:
      return "raw";
    case ImageFormat.QCOW2:
      return "qcow2";
    case ImageFormat.BOOT:
      return "boot";
    default:
      return "?";
  }
}

/** Names by digest, for tables of what speaks only of digests. */
export type NamesByDigest = ReadonlyMap<string, readonly string[]>;

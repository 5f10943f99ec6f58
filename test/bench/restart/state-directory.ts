/** A state directory full of complete images, as an agent leaves it: sparse files, records and torrents. */
import { createHash } from "node:crypto";
import { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import bencode from "bencode";
import { imagePaths, stateLayout } from "../../../agent/cache/layout.ts";
import { type ImageRecord, unusedRecord } from "../../../agent/cache/records.ts";

const pieceLengthBytes = 256 * 1024;

/**
 * Makes images of nothing but holes, each with a torrent of its own.
 *
 * @returns their infohashes
 */
export function fillStateDirectory(directory: string, images: number, sizeBytes: number): string[] {
  const layout = stateLayout(directory);
  mkdirSync(layout.tmp, { recursive: true });
  const pieceHash = createHash("sha1").update(Buffer.alloc(pieceLengthBytes)).digest();
  const pieces = Buffer.concat(Array.from({ length: Math.ceil(sizeBytes / pieceLengthBytes) }, () => pieceHash));
  const at = new Date();
  return Array.from({ length: images }, (_, index) => {
    const name = `image-${index}`;
    // Nothing complete is hashed at start, so what it is of does not matter.
    const digest = createHash("sha256").update(name).digest("hex");
    const metainfo = bencode.encode({ length: sizeBytes, name, "piece length": pieceLengthBytes, pieces });
    const infohash = createHash("sha1").update(metainfo).digest("hex");
    const paths = imagePaths(layout, digest);
    mkdirSync(paths.directory, { recursive: true });
    writeFileSync(paths.data, "");
    truncateSync(paths.data, sizeBytes);
    const record: ImageRecord = {
      version: 1,
      digest,
      names: [name],
      sizeBytes,
      format: "raw",
      virtualSizeBytes: sizeBytes,
      magnetUri: `magnet:?xt=urn:btih:${infohash}`,
      infohash,
      dataPath: `/images/${digest}/data`,
      wanted: null,
      completedAt: at.toISOString(),
    };
    writeFileSync(paths.record, JSON.stringify(record));
    writeFileSync(paths.used, JSON.stringify(unusedRecord(at)));
    writeFileSync(paths.metainfo, metainfo);
    return infohash;
  });
}

/** The catalog's plain data as API messages. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  ImageFormat as ApiFormat,
  type Image as ApiImage,
  ImageSchema,
} from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import { ImageEvent, type WatchImagesResponseSchema } from "../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import type { Endpoint } from "../../swarm/types.ts";
import type { ImageChange } from "../catalog/changes.ts";
import type { Image, ImageFormat } from "../catalog/image.ts";
import { magnetUriOfImage } from "../catalog/torrent.ts";

const formats: Record<ImageFormat, ApiFormat> = { raw: ApiFormat.RAW, qcow2: ApiFormat.QCOW2, boot: ApiFormat.BOOT };

const events: Record<ImageChange["kind"], ImageEvent> = {
  exists: ImageEvent.EXISTS,
  published: ImageEvent.PUBLISHED,
  changed: ImageEvent.CHANGED,
  retired: ImageEvent.RETIRED,
};

/** What an image's message says of the seeders. */
export interface Whereabouts {
  /** Live seeders that have it, as peers, for its magnet link; only those whose address is known. */
  peers: readonly Endpoint[];
  /** How many live seeders hold its bytes, and how many that are away. */
  replicas: number;
  away: number;
}

/** Makes an image's message. */
export function imageMessage(image: Image, { peers, replicas, away }: Whereabouts): ApiImage {
  return create(ImageSchema, {
    digest: image.digest,
    names: image.names,
    sizeBytes: BigInt(image.sizeBytes),
    format: formats[image.format],
    virtualSizeBytes: BigInt(image.virtualSizeBytes),
    magnetUri: magnetUriOfImage(image, peers),
    infohash: image.torrent?.infohash ?? "",
    pieceLengthBytes: image.torrent?.pieceLengthBytes ?? 0,
    dataPath: `/images/${image.digest}/data`,
    createdAt: timestampFromMs(image.createdAtMs),
    bootOf: image.boot?.of ?? "",
    bootSources: image.boot?.sources ?? [],
    replicas,
    replicasAway: away,
  });
}

export function changeMessage(
  change: ImageChange,
  messageOf: (image: Image) => ApiImage,
): MessageInitShape<typeof WatchImagesResponseSchema> {
  return { event: events[change.kind], image: messageOf(change.image) };
}

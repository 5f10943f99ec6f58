import { Problem } from "../../daemon/problem.ts";
import { type Image, ImageFormat } from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import { type ImageFacts, imageFactsSchema } from "../cache/records.ts";

/**
 * The facts of a catalog's image, checked: a digest becomes a directory's name, a size is compared with disk space.
 *
 * @throws Problem "data-loss" if the catalog's answer makes no sense.
 */
export function imageFactsFrom(image: Image): ImageFacts {
  const result = imageFactsSchema.safeParse({
    digest: image.digest,
    names: image.names,
    sizeBytes: Number(image.sizeBytes),
    format: formatNames[image.format] ?? "unknown",
    virtualSizeBytes: Number(image.virtualSizeBytes),
    magnetUri: image.infohash === "" ? "" : image.magnetUri,
    infohash: image.infohash,
    dataPath: image.dataPath,
    ...(image.bootOf !== "" && { bootOf: image.bootOf }),
  });
  if (result.success) return result.data;
  const faults = result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ");
  throw new Problem("data-loss", `the catalog describes an image in a way that makes no sense (${faults})`);
}

const formatNames: Record<number, ImageFacts["format"]> = {
  [ImageFormat.UNSPECIFIED]: "unknown",
  [ImageFormat.RAW]: "raw",
  [ImageFormat.QCOW2]: "qcow2",
  [ImageFormat.BOOT]: "boot",
};

/** The API's word for a format. */
export function formatMessage(format: ImageFacts["format"]): ImageFormat {
  return { unknown: ImageFormat.UNSPECIFIED, raw: ImageFormat.RAW, qcow2: ImageFormat.QCOW2, boot: ImageFormat.BOOT }[
    format
  ];
}

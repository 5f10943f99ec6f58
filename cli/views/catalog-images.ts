import type { Image } from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import type { Table } from "../table.ts";
import { formatBytes } from "../units.ts";
import { formatName, imageLabel } from "./image-names.ts";
import { ageOf } from "./times.ts";

/** The catalog's images. */
export function catalogImagesTable(images: readonly Image[], nowMs: number): Table {
  return {
    columns: [
      { header: "NAME", shrinkTo: 12 },
      { header: "SIZE", align: "right" },
      { header: "FORMAT", dropOrder: 2 },
      { header: "DISK", align: "right", dropOrder: 3 },
      { header: "BY", paint: (cell, style) => (cell === "swarm" ? style.green(cell) : style.yellow(cell)) },
      { header: "PUBLISHED", dropOrder: 1 },
      { header: "SHA256", shrinkTo: 12 },
    ],
    rows: images.map((image) => [
      imageLabel(image.names, image.digest),
      formatBytes(image.sizeBytes),
      formatName(image.format),
      formatBytes(image.virtualSizeBytes),
      image.magnetUri === "" ? "HTTP" : "swarm",
      ageOf(image.createdAt, nowMs),
      image.digest,
    ]),
  };
}

import { formatBytes } from "../../figures/units.ts";
import type { Image } from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import type { Style } from "../style.ts";
import type { Table } from "../table.ts";
import { formatName, imageLabel } from "./image-names.ts";
import { ageOf } from "./times.ts";

/** The catalog's images. */
export function catalogImagesTable(images: readonly Image[], nowMs: number): Table {
  // Where there is one seeder, which has everything, there is nothing to say.
  const isShared = images.some(({ replicas, replicasAway }) => replicas !== 1 || replicasAway > 0);
  return {
    columns: [
      { header: "NAME", shrinkTo: 12 },
      { header: "SIZE", align: "right" },
      { header: "FORMAT", dropOrder: 2 },
      { header: "DISK", align: "right", dropOrder: 3 },
      { header: "BY", paint: (cell, style) => (cell === "swarm" ? style.green(cell) : style.yellow(cell)) },
      ...(isShared ? [{ header: "SEEDERS", paint: paintReplicas }] : []),
      { header: "PUBLISHED", dropOrder: 1 },
      { header: "SHA256", shrinkTo: 12 },
    ],
    rows: images.map((image) => [
      imageLabel(image.names, image.digest),
      formatBytes(image.sizeBytes),
      formatName(image.format),
      formatBytes(image.virtualSizeBytes),
      image.magnetUri === "" ? "HTTP" : "swarm",
      ...(isShared ? [replicasText(image)] : []),
      ageOf(image.createdAt, nowMs),
      image.digest,
    ]),
  };
}

/** How many live seeders hold an image, and how many that are away. */
function replicasText({ replicas, replicasAway }: Image): string {
  return replicasAway === 0 ? String(replicas) : `${replicas}, ${replicasAway} away`;
}

function paintReplicas(cell: string, style: Style): string {
  if (cell.startsWith("0")) return style.red(cell);
  return cell.includes("away") ? style.yellow(cell) : cell;
}

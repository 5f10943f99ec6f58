import { formatBytes } from "../../figures/units.ts";
import type { CachedImage } from "../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import type { Table } from "../table.ts";
import { formatName, imageLabel } from "./image-names.ts";
import { ageOf } from "./times.ts";

/** The images in one agent's cache. */
export function cachedImagesTable(images: readonly CachedImage[], nowMs: number): Table {
  return {
    columns: [
      { header: "NAME", shrinkTo: 12 },
      { header: "SIZE", align: "right" },
      { header: "ON DISK", align: "right", dropOrder: 2 },
      { header: "FORMAT", dropOrder: 4 },
      { header: "PINNED", dropOrder: 1, paint: (cell, style) => style.cyan(cell) },
      { header: "IN USE BY", dropOrder: 8, shrinkTo: 10, paint: (cell, style) => style.cyan(cell) },
      { header: "SEEDING", dropOrder: 3 },
      { header: "PEERS", align: "right", dropOrder: 6 },
      { header: "SENT", align: "right", dropOrder: 5 },
      { header: "USED", dropOrder: 7 },
      { header: "PATH", shrinkTo: 16 },
    ],
    rows: images.map((image) => [
      imageLabel(image.names, image.digest),
      formatBytes(image.sizeBytes),
      formatBytes(image.allocatedBytes),
      formatName(image.format),
      image.pinned ? "yes" : "-",
      image.holders.join(", ") || "-",
      image.seeding ? "yes" : "-",
      String(image.peers),
      formatBytes(image.sentBytes),
      ageOf(image.lastUsedAt, nowMs),
      image.damage === "" ? image.path : `damaged: ${image.damage}`,
    ]),
  };
}

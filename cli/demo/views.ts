import { formatBytes, formatRate, formatSeconds } from "../../figures/units.ts";
import type { Table } from "../table.ts";
import type { Finish } from "./fetch-race.ts";

/** Seconds and bytes by source, a row for each node. */
export function finishesTable(finishes: readonly Finish[]): Table {
  return {
    columns: [
      { header: "  NODE" },
      { header: "IMAGE", shrinkTo: 10 },
      { header: "READY IN", align: "right" },
      { header: "RATE", align: "right", dropOrder: 1 },
      { header: "FROM PEERS", align: "right" },
      { header: "BY HTTP", align: "right" },
    ],
    rows: finishes.map(({ node, image, fetch, seconds }) => [
      `  ${node.name}`,
      image,
      formatSeconds(seconds),
      formatRate(Number(fetch.sizeBytes) / seconds),
      formatBytes(fetch.swarmBytes),
      formatBytes(fetch.httpBytes),
    ]),
  };
}

/** Nodes by images: who has what, as the inventory knows it. */
export function inventoryTable(
  images: readonly { name: string; digest: string }[],
  nodes: readonly { name: string; digests: ReadonlySet<string> }[],
): Table {
  return {
    columns: [
      { header: "  NODE" },
      ...images.map(({ name }) => ({
        header: name,
        shrinkTo: 7,
        paint: (cell: string, style: { green: (text: string) => string; dim: (text: string) => string }) =>
          cell === "has it" ? style.green(cell) : style.dim(cell),
      })),
    ],
    rows: nodes.map((node) => [
      `  ${node.name}`,
      ...images.map(({ digest }) => (node.digests.has(digest) ? "has it" : "-")),
    ]),
  };
}

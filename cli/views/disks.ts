import { formatBytes } from "../../figures/units.ts";
import { type Disk, DiskState } from "../../proto/gen/bootswarm/agent/v1/disk_pb.js";
import type { Table } from "../table.ts";
import { imageLabel } from "./image-names.ts";
import { ageOf } from "./times.ts";

/** The disks that are attached on one node. */
export function disksTable(disks: readonly Disk[], nowMs: number): Table {
  return {
    columns: [
      { header: "DISK", shrinkTo: 12 },
      { header: "IMAGE", shrinkTo: 12 },
      { header: "STATE", shrinkTo: 14, paint: (cell, style) => (/:/.test(cell) ? style.red(cell) : cell) },
      { header: "CLIENTS", align: "right", dropOrder: 2 },
      { header: "READ", align: "right", dropOrder: 1 },
      { header: "FROM BOOT IMAGE", align: "right", dropOrder: 6 },
      { header: "FROM FILE", align: "right", dropOrder: 7 },
      { header: "WAITED FOR", align: "right", dropOrder: 5 },
      { header: "ERRORS", align: "right", dropOrder: 4 },
      { header: "LAST READ", dropOrder: 8 },
      { header: "ADDRESS", shrinkTo: 16, dropOrder: 3 },
    ],
    rows: disks.map((disk) => [
      disk.name,
      imageLabel(disk.imageNames, disk.digest),
      stateText(disk),
      String(disk.connections),
      formatBytes(disk.readBytes),
      formatBytes(disk.bootImageBytes),
      formatBytes(disk.fileBytes),
      formatBytes(disk.demandBytes),
      String(disk.readErrors),
      ageOf(disk.lastReadAt, nowMs),
      addressOf(disk),
    ]),
  };
}

function stateText({ state, error, imageComplete, mountPath }: Disk): string {
  const because = error === "" ? "" : `: ${error}`;
  if (state === DiskState.HANDED_OVER) return `handed over${because}`;
  if (state !== DiskState.SERVING) return `not served${because}`;
  return `${mountPath === "" ? "" : "mounted, "}${imageComplete ? "complete" : "arriving"}${because}`;
}

function addressOf({ state, uri, imagePath, mountPath }: Disk): string {
  if (mountPath !== "") return mountPath;
  return state === DiskState.HANDED_OVER ? imagePath : uri || "-";
}

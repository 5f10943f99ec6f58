import { formatBytes, formatPercent } from "../../figures/units.ts";
import { type Replica, ReplicaState } from "../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import type { Table } from "../table.ts";
import { paintState } from "./fetches.ts";
import { imageLabel, type NamesByDigest } from "./image-names.ts";
import { ageOf } from "./times.ts";

/** "up", "lost". */
export function replicaStateName(state: ReplicaState): string {
  if (state === ReplicaState.UP) return "up";
  return state === ReplicaState.LOST ? "lost" : "?";
}

/** Seeders that share a catalog, each with what it holds. */
export function replicasTable(replicas: readonly Replica[], nowMs: number): Table {
  return {
    columns: [
      { header: "SEEDER", shrinkTo: 12 },
      { header: "STATE", paint: paintState },
      { header: "IMAGES", align: "right" },
      { header: "BYTES", align: "right", dropOrder: 1 },
      { header: "MISSING", align: "right", paint: (cell, style) => (cell === "0" ? cell : style.yellow(cell)) },
      { header: "DISK FREE", align: "right", dropOrder: 2 },
      { header: "SEEN" },
      { header: "PEERS AT", dropOrder: 4, shrinkTo: 12 },
      { header: "VERSION", dropOrder: 5 },
      { header: "ID", dropOrder: 3, shrinkTo: 8 },
    ],
    rows: replicas.map((each) => [
      each.url || "(no URL)",
      replicaStateName(each.state),
      String(each.images),
      formatBytes(each.bytes),
      String(each.imagesMissing),
      formatBytes(each.freeBytes),
      ageOf(each.seenAt, nowMs),
      `${each.host}:${each.peerPort}`,
      each.version,
      each.id,
    ]),
  };
}

/** What is on its way to which seeder. */
export function replicaFetchesTable(replicas: readonly Replica[], names: NamesByDigest): Table {
  return {
    columns: [
      { header: "SEEDER", shrinkTo: 12 },
      { header: "IMAGE", shrinkTo: 12 },
      { header: "DONE", align: "right" },
      { header: "SIZE", align: "right", dropOrder: 1 },
      { header: "TROUBLE", shrinkTo: 20 },
    ],
    rows: replicas
      .filter(({ state }) => state === ReplicaState.UP)
      .flatMap(({ url, id, fetches }) =>
        fetches.map((each) => [
          url || id,
          imageLabel(names.get(each.digest) ?? [], each.digest),
          formatPercent(each.doneBytes, each.sizeBytes),
          formatBytes(each.sizeBytes),
          each.trouble || "-",
        ]),
      ),
  };
}

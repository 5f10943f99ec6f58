import { formatBytes, formatPercent, formatRate } from "../../figures/units.ts";
import { type Import, ImportState } from "../../proto/gen/bootswarm/seeder/v1/catalog_pb.js";
import type { Transfer } from "../progress.ts";
import type { Table } from "../table.ts";
import { paintState } from "./fetches.ts";
import { ageOf } from "./times.ts";

const stateNames: Record<ImportState, string> = {
  [ImportState.UNSPECIFIED]: "?",
  [ImportState.QUEUED]: "queued",
  [ImportState.ACTIVE]: "active",
  [ImportState.PUBLISHED]: "published",
  [ImportState.FAILED]: "failed",
  [ImportState.CANCELLED]: "cancelled",
};

/** "active", "published". */
export function importStateName(state: ImportState): string {
  return stateNames[state] ?? "?";
}

/** Imports with how far they are. */
export function importsTable(imports: readonly Import[], nowMs: number): Table {
  return {
    columns: [
      { header: "ID" },
      { header: "NAME", shrinkTo: 12 },
      { header: "STATE", paint: paintState },
      { header: "DONE", align: "right" },
      { header: "SIZE", align: "right", dropOrder: 1 },
      { header: "RATE", align: "right", dropOrder: 2 },
      { header: "PEERS", align: "right", dropOrder: 4 },
      { header: "ASKED", dropOrder: 3 },
      { header: "SOURCE OR ERROR", shrinkTo: 15 },
    ],
    rows: imports.map((each) => [
      each.id,
      each.name,
      importStateName(each.state),
      each.sizeBytes === 0n ? formatBytes(each.doneBytes) : formatPercent(each.doneBytes, each.sizeBytes),
      each.sizeBytes === 0n ? "?" : formatBytes(each.sizeBytes),
      each.state === ImportState.ACTIVE ? formatRate(each.bytesPerSecond) : "-",
      String(each.peers),
      ageOf(each.requestedAt, nowMs),
      each.error || each.source,
    ]),
  };
}

/** What is said where no bytes move: before they come, while the seeder tries again, and once all are there. */
function paceOf(each: Import): string | undefined {
  if (each.state !== ImportState.ACTIVE) return importStateName(each.state);
  if (each.bytesPerSecond > 0n) return undefined;
  const isWhole = each.sizeBytes > 0n && each.doneBytes >= each.sizeBytes;
  return isWhole ? "the seeder finishes" : "waiting for the source";
}

/** An import as a line of progress. */
export function transferOfImport(each: Import): Transfer {
  const rate = Number(each.bytesPerSecond);
  const left = Number(each.sizeBytes - each.doneBytes);
  const notes = each.peers > 0 ? [`${each.peers} ${each.peers === 1 ? "peer" : "peers"}`] : [];
  if (each.restarts > 0) notes.push(`started again ${each.restarts} times`);
  return {
    label: each.name,
    doneBytes: Number(each.doneBytes),
    totalBytes: each.sizeBytes === 0n ? undefined : Number(each.sizeBytes),
    bytesPerSecond: rate,
    etaSeconds: rate > 0 && each.sizeBytes > 0n ? left / rate : undefined,
    notes,
    state: paceOf(each),
  };
}

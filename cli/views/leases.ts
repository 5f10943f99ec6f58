import { timestampMs } from "@bufbuild/protobuf/wkt";
import { formatSeconds } from "../../figures/units.ts";
import type { Lease } from "../../proto/gen/bootswarm/agent/v1/agent_pb.js";
import type { Table } from "../table.ts";
import { imageLabel } from "./image-names.ts";
import { ageOf } from "./times.ts";

/** The leases on one agent's images. */
export function leasesTable(leases: readonly Lease[], nowMs: number): Table {
  return {
    columns: [
      { header: "LEASE" },
      { header: "IMAGE", shrinkTo: 12 },
      { header: "HOLDER", shrinkTo: 12 },
      { header: "TAKEN", dropOrder: 1 },
      { header: "ENDS" },
    ],
    rows: leases.map((lease) => [
      lease.id,
      imageLabel(lease.names, lease.digest),
      lease.holder || "-",
      ageOf(lease.acquiredAt, nowMs),
      endsText(lease, nowMs),
    ]),
  };
}

function endsText({ expiresAt }: Lease, nowMs: number): string {
  if (!expiresAt) return "with its call";
  return `in ${formatSeconds(Math.max(0, Math.round((timestampMs(expiresAt) - nowMs) / 1_000)))}`;
}

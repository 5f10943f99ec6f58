/** What needs attention, from the board's rows. Pure. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { ConcernKind, type ConcernSchema } from "../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import { isStalled } from "./fetch-flow.ts";
import type { ImageColumns } from "./image-columns.ts";
import { concernsListedMax, nodesPerConcernMax, stalledAfterMs, verifyConcernMs } from "./limits.ts";
import type { NodeRow, VerifyFailures } from "./node-row.ts";
import type { SeederFigures } from "./sums.ts";

export type ConcernMessage = MessageInitShape<typeof ConcernSchema>;

interface Found {
  kind: ConcernKind;
  nodes: number[];
  nodesCount: number;
  lastNode: number;
  image: number | undefined;
  sinceMs: number;
  text: string;
}

/** Worst first. */
const order = [
  ConcernKind.NODE_LOST,
  ConcernKind.FETCH_PAUSED,
  ConcernKind.FETCH_STALLED,
  ConcernKind.VERIFY_FAILURES,
  ConcernKind.FALLBACK_EXHAUSTED,
  ConcernKind.DISK_FULL,
];

/** Gathers what is the same on many nodes: lost nodes by zone, paused fetches by image. */
export function concernsOf(
  rows: Iterable<NodeRow>,
  columns: ImageColumns,
  verifyFailures: ReadonlyMap<string, VerifyFailures>,
  seeder: SeederFigures,
  nowMs: number,
): { listed: ConcernMessage[]; leftOut: number } {
  const found = new Map<string, Found>();
  let failedPieces = 0;
  const note = (key: string, kind: ConcernKind, row: NodeRow, sinceMs: number, text: string, image?: number) => {
    const known = found.get(`${kind} ${key}`);
    if (!known) {
      found.set(`${kind} ${key}`, {
        ...{ kind, nodes: [row.index], nodesCount: 1, lastNode: row.index },
        ...{ image, sinceMs, text },
      });
      return;
    }
    if (known.image !== image) known.image = undefined;
    // What was said of the first stands for all, but for sums.
    if (kind === ConcernKind.VERIFY_FAILURES) known.text = text;
    known.sinceMs = Math.min(known.sinceMs, sinceMs);
    // Rows are looked at one after the other.
    if (known.lastNode === row.index) return;
    known.lastNode = row.index;
    known.nodesCount++;
    if (known.nodes.length < nodesPerConcernMax) known.nodes.push(row.index);
  };
  for (const row of rows) {
    if (row.state === "lost") {
      note(row.zone, ConcernKind.NODE_LOST, row, row.reportedAtMs, row.zone);
      continue;
    }
    for (const fetch of row.fetches) {
      const image = columns.indexOf(fetch.digest);
      const flow = row.flows.get(fetch.digest);
      if (image === undefined || !flow) continue;
      if (fetch.state === FetchState.PAUSED) {
        note(fetch.digest, ConcernKind.FETCH_PAUSED, row, flow.movedAtMs, fetch.error, image);
      } else if (isStalled(flow, nowMs, stalledAfterMs)) {
        // One node with several that do not move is one thing, not several.
        note("", ConcernKind.FETCH_STALLED, row, flow.movedAtMs, fetch.activity, image);
      }
    }
    if (row.diskFullSinceMs !== undefined) note("", ConcernKind.DISK_FULL, row, row.diskFullSinceMs, "");
    const failures = verifyFailures.get(row.id);
    if (failures && failures.recent > 0 && nowMs - failures.lastAtMs < verifyConcernMs) {
      failedPieces += failures.recent;
      const pieces = `${failedPieces} ${failedPieces === 1 ? "piece" : "pieces"}`;
      note("", ConcernKind.VERIFY_FAILURES, row, failures.firstAtMs, pieces);
    }
  }
  const all = [...found.values()].sort(
    (a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || a.sinceMs - b.sinceMs,
  );
  const listed = all.slice(0, concernsListedMax).map(messageOfConcern);
  if (seeder.fallbackWaiting > 0) {
    const { fallbackWaiting: waiting, fallbackSlots: slots } = seeder;
    const text = `${waiting} ${waiting === 1 ? "node waits" : "nodes wait"} for one of ${slots} places`;
    listed.push({ kind: ConcernKind.FALLBACK_EXHAUSTED, text });
  }
  return { listed, leftOut: Math.max(0, all.length - concernsListedMax) };
}

function messageOfConcern({ image, sinceMs, lastNode: _, ...rest }: Found): ConcernMessage {
  return { ...rest, ...(image === undefined ? {} : { image }), since: timestampFromMs(Math.round(sinceMs)) };
}

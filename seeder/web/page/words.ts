/** What concerns and events say, in words. Pure. */
import type { BoardEventJson, ConcernJson } from "../../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";

export function counted(count: number, one: string, many = `${one}s`): string {
  return `${grouped(count)} ${count === 1 ? one : many}`;
}

/** 41233 as "41,233". */
export function grouped(count: number): string {
  return count.toLocaleString("en");
}

/** "02:13:05", in the reader's own time zone. */
export function clockTime(ms: number): string {
  return new Date(ms).toLocaleTimeString("en-GB");
}

/** What a concern is about, without naming its nodes and image: those are links beside it. */
export function concernTitle({ kind, nodesCount = 0, text = "" }: ConcernJson): string {
  const nodes = counted(nodesCount, "node");
  switch (kind) {
    case "CONCERN_KIND_NODE_LOST":
      return `${nodes} lost${text === "" ? "" : ` in ${text}`}`;
    case "CONCERN_KIND_FETCH_PAUSED":
      return `Fetch paused on ${nodes}`;
    case "CONCERN_KIND_FETCH_STALLED":
      return `Fetches do not move on ${nodes}`;
    case "CONCERN_KIND_VERIFY_FAILURES":
      return `${text} failed the check on ${nodes}`;
    case "CONCERN_KIND_DISK_FULL":
      return `Hardly any disk space left on ${nodes}`;
    case "CONCERN_KIND_FALLBACK_EXHAUSTED":
      return "HTTP fallback is used up";
    default:
      return "Something needs attention";
  }
}

/** What stands under the title. */
export function concernText({ kind, text = "" }: ConcernJson): string {
  return kind === "CONCERN_KIND_NODE_LOST" || kind === "CONCERN_KIND_VERIFY_FAILURES" ? "" : text;
}

/** Whether it is worse than a thing to keep an eye on. */
export function isGrave({ kind }: ConcernJson): boolean {
  return kind === "CONCERN_KIND_NODE_LOST" || kind === "CONCERN_KIND_FETCH_PAUSED";
}

/** Words around the image and the node of an event: "IMAGE ready on NODE". */
export function eventWords({ kind, count = 1 }: BoardEventJson): { before: string; between: string; after: string } {
  const more = count > 1 ? ` and ${grouped(count - 1)} more` : "";
  switch (kind) {
    case "BOARD_EVENT_KIND_PUBLISHED":
      return { before: "", between: " published", after: "" };
    case "BOARD_EVENT_KIND_RETIRED":
      return { before: "", between: " retired", after: "" };
    case "BOARD_EVENT_KIND_NODE_NEW":
      return { before: "New: ", between: "", after: more };
    case "BOARD_EVENT_KIND_NODE_LOST":
      return { before: "Lost: ", between: "", after: more };
    case "BOARD_EVENT_KIND_NODE_BACK":
      return { before: "Back: ", between: "", after: more };
    case "BOARD_EVENT_KIND_READY":
      return { before: "", between: " ready on ", after: more };
    case "BOARD_EVENT_KIND_EVICTED":
      return { before: "", between: " evicted from ", after: more };
    case "BOARD_EVENT_KIND_FETCH_ENDED":
      return { before: "Fetch of ", between: " ended without the image on ", after: more };
    case "BOARD_EVENT_KIND_PREFETCH_STARTED":
      return { before: "Prefetch of ", between: " began on ", after: more };
    case "BOARD_EVENT_KIND_VERIFY_FAILED":
      return { before: `${counted(count, "piece")} failed the check on `, between: "", after: "" };
    case "BOARD_EVENT_KIND_FETCH_PAUSED":
      return { before: "Fetch of ", between: " paused on ", after: more };
    default:
      return { before: "", between: " ", after: "" };
  }
}

/** Events that an operator may have to do something about. */
export function isBad({ kind }: BoardEventJson): boolean {
  return (
    kind === "BOARD_EVENT_KIND_NODE_LOST" ||
    kind === "BOARD_EVENT_KIND_VERIFY_FAILED" ||
    kind === "BOARD_EVENT_KIND_FETCH_PAUSED" ||
    kind === "BOARD_EVENT_KIND_FETCH_ENDED"
  );
}

const fetchStates: Record<string, string> = {
  FETCH_STATE_QUEUED: "queued",
  FETCH_STATE_ACTIVE: "on its way",
  FETCH_STATE_VERIFYING: "being checked",
  FETCH_STATE_PAUSED: "paused",
};

export function fetchStateText(state: string | undefined): string {
  return fetchStates[state ?? ""] ?? "";
}

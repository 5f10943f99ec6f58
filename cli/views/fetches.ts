import { formatBytes, formatPercent, formatRate, formatSeconds } from "../../figures/units.ts";
import { type Fetch, FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type { Transfer } from "../progress.ts";
import type { Style } from "../style.ts";
import type { Table } from "../table.ts";
import { imageLabel, type NamesByDigest, nameLabel } from "./image-names.ts";
import { secondsBetween } from "./times.ts";

const stateNames: Record<FetchState, string> = {
  [FetchState.UNSPECIFIED]: "?",
  [FetchState.QUEUED]: "queued",
  [FetchState.ACTIVE]: "active",
  [FetchState.VERIFYING]: "verifying",
  [FetchState.READY]: "ready",
  [FetchState.FAILED]: "failed",
  [FetchState.CANCELLED]: "cancelled",
  [FetchState.PAUSED]: "paused",
};

/** "active", "ready". */
export function fetchStateName(state: FetchState): string {
  return stateNames[state] ?? "?";
}

/** Whether nothing more will happen to the fetch. */
export function hasEnded(state: FetchState): boolean {
  return state === FetchState.READY || state === FetchState.FAILED || state === FetchState.CANCELLED;
}

/** Colours a state's name. */
export function paintState(name: string, style: Style): string {
  if (name === "ready" || name === "published" || name === "up") return style.green(name);
  if (name === "failed" || name === "lost") return style.red(name);
  if (name === "paused") return style.yellow(name);
  if (name === "queued" || name === "cancelled") return style.dim(name);
  return style.cyan(name);
}

/** Fetches with what they are doing. */
export function fetchesTable(fetches: readonly Fetch[], names: NamesByDigest = new Map()): Table {
  return {
    columns: [
      { header: "IMAGE", shrinkTo: 12 },
      { header: "STATE", paint: paintState },
      { header: "DONE", align: "right" },
      { header: "SIZE", align: "right" },
      { header: "RATE", align: "right", dropOrder: 1 },
      { header: "ETA", align: "right", dropOrder: 2 },
      { header: "PEERS", align: "right", dropOrder: 5 },
      { header: "SWARM", align: "right", dropOrder: 4 },
      { header: "HTTP", align: "right", dropOrder: 3 },
      { header: "ACTIVITY", shrinkTo: 10 },
    ],
    rows: fetches.map((fetch) => [
      nameLabel(fetch.name) || imageLabel(names.get(fetch.digest) ?? [], fetch.digest),
      fetchStateName(fetch.state),
      formatPercent(fetch.doneBytes, fetch.sizeBytes),
      formatBytes(fetch.sizeBytes),
      hasEnded(fetch.state) ? "-" : formatRate(fetch.bytesPerSecond),
      etaOf(fetch),
      String(fetch.peers),
      formatBytes(fetch.swarmBytes),
      formatBytes(fetch.httpBytes),
      fetch.error || tookOf(fetch) || fetch.activity,
    ]),
  };
}

function etaOf(fetch: Fetch): string {
  return fetch.etaSeconds === undefined || hasEnded(fetch.state) ? "-" : formatSeconds(fetch.etaSeconds);
}

function tookOf(fetch: Fetch): string {
  const seconds = secondsBetween(fetch.requestedAt, fetch.endedAt);
  return fetch.state === FetchState.READY && seconds !== undefined ? `took ${formatSeconds(seconds)}` : "";
}

/** A fetch as a line of progress, labelled with its image's name or with `label`. */
export function transferOfFetch(fetch: Fetch, label: string): Transfer {
  return {
    label,
    doneBytes: Number(fetch.doneBytes),
    totalBytes: fetch.sizeBytes === 0n ? undefined : Number(fetch.sizeBytes),
    bytesPerSecond: Number(fetch.bytesPerSecond),
    etaSeconds: fetch.etaSeconds,
    notes: notesOf(fetch),
    state: fetch.state === FetchState.ACTIVE ? undefined : outcomeOf(fetch),
  };
}

function outcomeOf(fetch: Fetch): string {
  const receivedBytes = fetch.swarmBytes + fetch.httpBytes;
  if (fetch.state === FetchState.READY && receivedBytes === 0n) return "was here already";
  return tookOf(fetch) || fetchStateName(fetch.state);
}

function notesOf(fetch: Fetch): string[] {
  const notes = [shareOf(fetch)];
  if (fetch.state === FetchState.ACTIVE) {
    notes.unshift(`${fetch.peers} ${fetch.peers === 1 ? "peer" : "peers"}`);
    if (fetch.activity !== "") notes.push(fetch.activity);
  }
  if (fetch.state === FetchState.PAUSED) notes.unshift(fetch.activity);
  return notes.filter((note) => note !== "");
}

/** Where the bytes came from: "swarm 100 %", "swarm 96 % HTTP 4 %". */
export function shareOf(fetch: Fetch): string {
  const total = fetch.swarmBytes + fetch.httpBytes;
  if (total === 0n) return "";
  const swarm = Math.round((Number(fetch.swarmBytes) / Number(total)) * 100);
  if (swarm === 100) return "swarm 100 %";
  return swarm === 0 ? "HTTP 100 %" : `swarm ${swarm} % HTTP ${100 - swarm} %`;
}

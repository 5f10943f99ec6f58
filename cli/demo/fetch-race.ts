import { formatBytes, formatSeconds } from "../../figures/units.ts";
import type { Fetch } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { FetchState } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { CliError } from "../cli-error.ts";
import { type Agent, agentAt } from "../daemons.ts";
import { createLiveRegion } from "../live-region.ts";
import { describeTransfer, renderTransfers, type Transfer } from "../progress.ts";
import type { Style, Terminal } from "../style.ts";
import { fetchStateName, hasEnded } from "../views/fetches.ts";
import type { DaemonProcess } from "./daemon-process.ts";

/** One node that wants one image. */
export interface Entrant {
  node: DaemonProcess;
  image: string;
}

/** How it went. */
export interface Finish extends Entrant {
  fetch: Fetch;
  /** From the request to ready. */
  seconds: number;
}

interface Runner extends Entrant {
  label: string;
  fetch: Fetch | undefined;
  seconds: number | undefined;
}

/** Where a race is shown. */
interface Track {
  out: Terminal;
  style: Style;
  now: () => number;
  signal: AbortSignal;
}

/**
 * Asks all nodes for their images at once and shows each on a line of its own until all are ready.
 *
 * @throws CliError if a fetch fails.
 */
export async function raceToReady(track: Track, entrants: readonly Entrant[]): Promise<Finish[]> {
  const severalImages = new Set(entrants.map(({ image }) => image)).size > 1;
  const runners = entrants.map(
    (entrant): Runner => ({
      ...entrant,
      label: severalImages ? `${entrant.node.name} ${entrant.image}` : entrant.node.name,
      fetch: undefined,
      seconds: undefined,
    }),
  );
  const region = createLiveRegion(track.out, track.now);
  const view = {
    lines: (width: number) =>
      renderTransfers(runners.map(transferOf), { width: width - 2, style: track.style }).map((line) => `  ${line}`),
    plain: () => runners.map((runner) => `  ${describeTransfer(transferOf(runner))}`),
  };
  try {
    const finishes = await Promise.all(runners.map((runner) => run(track, runner, () => region.draw(view))));
    region.finish(view);
    return finishes;
  } finally {
    region.clear();
  }
}

async function run(track: Track, runner: Runner, onProgress: () => void): Promise<Finish> {
  const startMs = track.now();
  const agent = agentOf(runner.node);
  for await (const answer of agent.service.ensureImage({ image: runner.image }, { signal: track.signal })) {
    runner.fetch = answer.fetch;
    if (runner.fetch && hasEnded(runner.fetch.state)) runner.seconds = (track.now() - startMs) / 1000;
    onProgress();
  }
  const { fetch, seconds, node, image } = runner;
  if (fetch?.state !== FetchState.READY || seconds === undefined) {
    throw new CliError(`${node.name} did not get ${image}: ${fetch?.error || "the fetch was broken off"}`);
  }
  return { node, image, fetch, seconds };
}

function agentOf(node: DaemonProcess): Agent {
  return agentAt({ kind: "agent", url: node.url, baseUrl: node.url, socketPath: undefined });
}

function transferOf({ label, fetch, seconds }: Runner): Transfer {
  if (!fetch) return { label, doneBytes: 0, totalBytes: undefined, bytesPerSecond: 0, notes: [], state: "asking" };
  const state = seconds === undefined ? fetchStateName(fetch.state) : `ready in ${formatSeconds(seconds)}`;
  return {
    label,
    brief: true,
    doneBytes: Number(fetch.doneBytes),
    totalBytes: Number(fetch.sizeBytes),
    bytesPerSecond: Number(fetch.bytesPerSecond),
    etaSeconds: fetch.etaSeconds,
    state: fetch.state === FetchState.ACTIVE ? undefined : state,
    notes: [
      `swarm ${formatBytes(fetch.swarmBytes).padStart(8)}`,
      `HTTP ${formatBytes(fetch.httpBytes)}`,
      `${fetch.peers} ${fetch.peers === 1 ? "peer" : "peers"}`,
    ],
  };
}

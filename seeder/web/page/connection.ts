/** The stream of the board, kept up: opened again whenever it ends, and told about plainly. */
import type { WatchResponseJson } from "../../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import { EnvelopeReader, envelopeOf } from "./envelopes.ts";

export type Connection =
  | { kind: "connecting" }
  | { kind: "live" }
  /** Since when, why, and when it is tried again; `retryAtMs` is undefined while it is being tried. */
  | { kind: "lost"; sinceMs: number; reason: string; retryAtMs: number | undefined };

const watchPath = "/bootswarm.seeder.v1.DashboardService/Watch";
/** The seeder says something every second; one that says nothing for so long is not there. */
const silenceMsMax = 10_000;
const firstRetryMs = 500;
const longestRetryMs = 10_000;

export interface ConnectionEvents {
  onMessage: (message: WatchResponseJson) => void;
  onConnection: (connection: Connection) => void;
}

/** How long to wait before the next try, after so many that failed in a row: longer each time, and not all at once. */
export function retryDelayMs(failures: number, random: () => number): number {
  const longest = Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(failures - 1, 10));
  return longest * (0.5 + random() / 2);
}

/** Watches the board until the signal aborts. Never rejects. */
export async function keepWatching(events: ConnectionEvents, signal: AbortSignal): Promise<void> {
  let failures = 0;
  let lostSinceMs: number | undefined;
  while (!signal.aborted) {
    let reason = "the seeder ended the stream";
    try {
      await watchOnce((message) => {
        failures = 0;
        lostSinceMs = undefined;
        events.onConnection({ kind: "live" });
        events.onMessage(message);
      }, signal);
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
    if (signal.aborted) return;
    failures++;
    lostSinceMs ??= Date.now();
    const delayMs = retryDelayMs(failures, Math.random);
    events.onConnection({ kind: "lost", sinceMs: lostSinceMs, reason, retryAtMs: Date.now() + delayMs });
    await delay(delayMs, signal);
    events.onConnection({ kind: "lost", sinceMs: lostSinceMs, reason, retryAtMs: undefined });
  }
}

async function watchOnce(onMessage: (message: WatchResponseJson) => void, signal: AbortSignal): Promise<void> {
  const silence = new AbortController();
  const silent = () => silence.abort(new Error("the seeder is silent"));
  let timer = setTimeout(silent, silenceMsMax);
  try {
    const response = await fetch(watchPath, {
      method: "POST",
      headers: { "content-type": "application/connect+json", "connect-protocol-version": "1" },
      body: envelopeOf("{}"),
      cache: "no-store",
      signal: AbortSignal.any([signal, silence.signal]),
    });
    if (!response.ok || !response.body) throw new Error(`the seeder answered ${response.status}`);
    const envelopes = new EnvelopeReader();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(silent, silenceMsMax);
      for (const { end, text } of envelopes.read(value)) {
        if (!end) onMessage(JSON.parse(text) as WatchResponseJson);
        else throw new Error(endReason(text));
      }
    }
  } catch (error) {
    throw error instanceof TypeError ? new Error("the seeder does not answer") : error;
  } finally {
    clearTimeout(timer);
  }
}

/** What the last envelope says: {"error": {"code", "message"}}, or {} for an end without a fault. */
export function endReason(text: string): string {
  const { error } = JSON.parse(text) as { error?: { code?: string; message?: string } };
  return error?.message ?? error?.code ?? "the seeder ended the stream";
}

function delay(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

import { setTimeout as delay } from "node:timers/promises";
import type { ConnectRouter } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as Serving } from "../proto/gen/grpc/health/v1/health_pb.js";
import { Problem } from "./problem.ts";

/** Whether a daemon can do its work, and why not. */
export interface Readiness {
  ready: boolean;
  /** For people; empty when ready. */
  reasons: string[];
}

/** How often a Watch looks whether readiness has changed. */
const watchIntervalMs = 1_000;

/** Serves grpc.health.v1 from the same readiness as /readyz. Only the whole server ("") is known. */
export function serveHealth(router: ConnectRouter, readiness: () => Readiness, shutdownSignal: AbortSignal): void {
  const status = () => (readiness().ready ? Serving.SERVING : Serving.NOT_SERVING);
  router.service(Health, {
    check: (request) => {
      if (request.service !== "") {
        throw new Problem("not-found", `no service "${request.service}"; leave it empty for the whole server`);
      }
      return { status: status() };
    },
    async *watch(request, context) {
      const signal = AbortSignal.any([context.signal, shutdownSignal]);
      let sent: Serving | undefined;
      while (!signal.aborted) {
        const now = request.service === "" ? status() : Serving.SERVICE_UNKNOWN;
        if (now !== sent) yield { status: now };
        sent = now;
        await delay(watchIntervalMs, undefined, { signal }).catch(() => {});
      }
    },
  });
}

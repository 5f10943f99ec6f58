import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import type { Log } from "../../daemon/log.ts";
import type { FetchSchema } from "../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import {
  type HoldingSchema,
  type ImagePeers,
  InventoryService,
  type NodeSchema,
  type SwarmEndpoint,
} from "../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import type { Directive, ReportedPrefetchSchema } from "../../proto/gen/bootswarm/seeder/v1/prefetch_pb.js";
import type { Clock } from "../../swarm/types.ts";
import { type BackoffLimits, backoffMs } from "../backoff.ts";
import type { ChangeSignal } from "../change-signal.ts";
import { wait } from "../clock.ts";
import { moveSpreadMsMax, type Seeders } from "../seeders/seeders.ts";
import { ReportLedger } from "./ledger.ts";

/** Changes within this time of a report go together in the next. */
const coalesceMs = 250;
/** Longest between reports while fetches are active, so that the inventory knows how far they are. */
const progressIntervalMsMax = 2_000;
const reportTimeoutMs = 10_000;
const retryLimits: BackoffLimits = { firstMs: 500, longestMs: 15_000 };

/** The node as of now. */
export interface NodeSnapshot {
  node: MessageInitShape<typeof NodeSchema>;
  holdings: (MessageInitShape<typeof HoldingSchema> & { digest: string })[];
  fetches: MessageInitShape<typeof FetchSchema>[];
  prefetches: MessageInitShape<typeof ReportedPrefetchSchema>[];
  fetchesActive: boolean;
  /** Pieces that failed their hash since the start. */
  pieceVerifyFailures: bigint;
}

export interface ReporterOptions {
  /** Takes note of who answers (seederTransport). */
  transport: Transport;
  seeders: Pick<Seeders, "url" | "error">;
  /** Random 64 bits, new at each start. */
  epoch: bigint;
  intervalMs: number;
  snapshot: () => Promise<NodeSnapshot>;
  /** What is worth a report at once when it changes. */
  triggers: ChangeSignal[];
  onBootstrap: (endpoints: SwarmEndpoint[]) => void;
  /** Told of the seeders that there are. */
  onSeeders: (urls: string[]) => void;
  /** Told of peers of images that are being fetched. */
  onImagePeers: (told: ImagePeers[]) => void;
  /** Told what the seeder asks of this node. */
  onDirectives: (directives: Directive[]) => void;
  onResult: (result: "ok" | "failed") => void;
  clock: Clock;
  random: () => number;
  log: Log;
}

/** Keeps the inventory told, for as long as it runs. */
export class Reporter {
  readonly #options: ReporterOptions;
  readonly #client: Client<typeof InventoryService>;
  readonly #ledger = new ReportLedger();

  constructor(options: ReporterOptions) {
    this.#options = options;
    this.#client = createClient(InventoryService, options.transport);
  }

  /** Reports at once, on every change, and at the interval, until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, intervalMs, triggers, log, seeders } = this.#options;
    for (let failures = 0; !signal.aborted; ) {
      const versions = triggers.map((trigger) => trigger.version);
      const { url } = seeders;
      const outcome = await this.#report(signal);
      if (signal.aborted) return;
      try {
        if (outcome === "failed") {
          if (failures++ === 0) log.warn({ url, error: seeders.error }, "the seeder is away; going on without it");
          // Another is asked next, and with it come all nodes that have lost the same one.
          const isSpread = failures === 1 && seeders.url !== url;
          const spreadMs = isSpread ? random() * Math.min(moveSpreadMsMax, intervalMs) : 0;
          await wait(clock, spreadMs || backoffMs(failures, retryLimits, random), signal);
        } else {
          if (failures > 0) log.info({ url: seeders.url }, "a seeder answers again");
          failures = 0;
          const restMs = outcome === "active" ? Math.min(intervalMs, progressIntervalMsMax) : intervalMs;
          if (outcome !== "again") await this.#untilChange(versions, restMs, signal);
        }
      } catch {
        return;
      }
    }
  }

  /** One report. "again": the inventory wants a full one at once. "active": fetches are under way. */
  async #report(signal: AbortSignal): Promise<"idle" | "active" | "again" | "failed"> {
    const { snapshot, epoch, onBootstrap, onImagePeers, onSeeders, onDirectives, onResult } = this.#options;
    try {
      const now = await snapshot();
      const held = new Map(now.holdings.map((holding) => [holding.digest, fingerprint(holding)]));
      const plan = this.#ledger.next(held);
      const tell = new Set(plan.tell);
      const answer = await this.#client.report(
        {
          node: now.node,
          epoch,
          sequence: BigInt(plan.sequence),
          full: plan.full,
          holdings: now.holdings.filter((holding) => tell.has(holding.digest)),
          removedDigests: plan.removed,
          fetches: now.fetches,
          pieceVerifyFailures: now.pieceVerifyFailures,
          prefetches: now.prefetches,
        },
        { signal, timeoutMs: reportTimeoutMs },
      );
      onResult("ok");
      this.#ledger.taken(held, answer.fullReportWanted);
      onSeeders(answer.seederUrls);
      onBootstrap(answer.bootstrap);
      onImagePeers(answer.imagePeers);
      onDirectives(answer.directives);
      // A full report that is answered by a wish for a full report must not become a busy loop.
      if (answer.fullReportWanted && !plan.full) return "again";
      return now.fetchesActive ? "active" : "idle";
    } catch {
      // The transport has taken note of why.
      this.#ledger.lost();
      if (!signal.aborted) onResult("failed");
      return "failed";
    }
  }

  async #untilChange(versions: number[], restMs: number, signal: AbortSignal): Promise<void> {
    const { clock, triggers } = this.#options;
    const done = new AbortController();
    const either = AbortSignal.any([signal, done.signal]);
    const gapMs = Math.min(coalesceMs, restMs);
    await wait(clock, gapMs, signal);
    try {
      const rest = wait(clock, restMs - gapMs, either);
      const changes = triggers.map((trigger, index) => trigger.after(versions[index] as number, either));
      await Promise.race([rest, ...changes]);
      rest.catch(() => {});
    } finally {
      done.abort();
    }
  }
}

function fingerprint(holding: MessageInitShape<typeof HoldingSchema>): string {
  return JSON.stringify(holding, (_key, value: unknown) => (typeof value === "bigint" ? value.toString() : value));
}

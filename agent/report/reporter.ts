import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TimestampSchema, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { holdingHash } from "../../daemon/holdings-checksum.ts";
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
import { type NextReport, nextReport } from "./pace.ts";

/** Changes within this time of a report go together in the next. */
const coalesceMs = 250;
const reportTimeoutMs = 10_000;
const retryFirstMs = 500;
/** Longest between tries, where the interval is longer: a seeder that is back hears of its nodes soon. */
const retryLongestMs = 15_000;

type HoldingMessage = MessageInitShape<typeof HoldingSchema> & { digest: string };

/** The node as of now. */
export interface NodeSnapshot {
  node: MessageInitShape<typeof NodeSchema>;
  holdings: HoldingMessage[];
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
  /** No full report before this time of the clock. */
  #fullDueAtMs = 0;

  constructor(options: ReporterOptions) {
    this.#options = options;
    this.#client = createClient(InventoryService, options.transport);
  }

  /** Reports at once, on every change, and at the interval, until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, intervalMs, triggers, log, seeders } = this.#options;
    const retryLimits: BackoffLimits = {
      firstMs: retryFirstMs,
      longestMs: Math.max(retryFirstMs, Math.min(retryLongestMs, intervalMs)),
    };
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
          if (outcome.restMs > 0) await this.#untilChange(versions, outcome.restMs, signal);
        }
      } catch {
        return;
      }
    }
  }

  /** One report; says when the next is due. */
  async #report(signal: AbortSignal): Promise<NextReport | "failed"> {
    const { snapshot, epoch, intervalMs, clock, random, onBootstrap, onImagePeers, onSeeders, onDirectives, onResult } =
      this.#options;
    try {
      const now = await snapshot();
      const held = new Map(now.holdings.map((holding) => [holding.digest, hashOf(holding)]));
      const plan = this.#ledger.next(held, clock.now() >= this.#fullDueAtMs);
      const tell = new Set(plan.tell);
      const answer = await this.#client.report(
        {
          node: now.node,
          epoch,
          sequence: BigInt(plan.sequence),
          full: plan.full,
          holdings: now.holdings.filter((holding) => tell.has(holding.digest)),
          removedDigests: plan.removed,
          holdingsChecksum: plan.checksum,
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
      const next = nextReport(answer, intervalMs, now.fetchesActive, plan.full, random);
      this.#fullDueAtMs = clock.now() + next.fullAfterMs;
      return next;
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

function hashOf({ digest, allocatedBytes = 0n, pinned = false, lastUsedAt }: HoldingMessage): bigint {
  const lastUsedAtMs = lastUsedAt && timestampMs(create(TimestampSchema, lastUsedAt));
  return holdingHash({ digest, allocatedBytes, pinned, lastUsedAtMs });
}

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Log } from "../../daemon/log.ts";
import { messageOf, Problem } from "../../daemon/problem.ts";
import { Serial } from "../../daemon/serial.ts";
import {
  type Directive,
  DirectiveKind,
  NodePrefetchState,
  type PrefetchAllowanceSchema,
  type ReportedPrefetchSchema,
} from "../../proto/gen/bootswarm/seeder/v1/prefetch_pb.js";
import type { Clock } from "../../swarm/types.ts";
import { freeFloorOf } from "../cache/admission.ts";
import { formatBytes } from "../cache/disk-space.ts";
import type { ImageCache } from "../cache/image-cache.ts";
import { type AheadTerms, aheadTermsSchema, type ImageFacts } from "../cache/records.ts";
import { ChangeSignal } from "../change-signal.ts";
import type { Fetch } from "../fetch/fetch.ts";
import type { Fetches } from "../fetch/fetches.ts";
import type { Images } from "../images.ts";
import { type AllowanceRules, allowanceOf } from "./allowance.ts";

/** Directives taken from one answer: the seeder gives a few at a time. */
const directivesMax = 64;
/** Prefetches kept in mind, those that have failed included: beyond that, further ones wait for the seeder to tell again. */
const knownMax = 1_000;
/** How long one that has failed is left alone, each time twice as long; the seeder hears of it meanwhile. */
const restMsMin = 60_000;
const restMsMax = 3_600_000;
const digestPattern = /^[0-9a-f]{64}$/;

export interface PrefetcherOptions {
  cache: ImageCache;
  fetches: Fetches;
  images: Pick<Images, "ensure">;
  rules: AllowanceRules & {
    freeFloorBytes: number | "auto";
    /** Whether the node takes part in what popularity plans. */
    isEnabled: boolean;
    bytesPerSecondMax: number;
  };
  onEnded: (result: "ready" | "failed" | "stopped") => void;
  clock: Clock;
  log: Log;
}

interface Known {
  prefetchId: string;
  sizeBytes: number;
  /** Why it has failed; undefined while it is under way. */
  error: string | undefined;
  failures: number;
  restsUntilMs: number;
}

/** Does what the seeder directs to be brought ahead of need, and keeps it told of what becomes of that. */
export class Prefetcher {
  /** Notified when there is something new to tell. */
  readonly changes = new ChangeSignal();
  readonly #options: PrefetcherOptions;
  readonly #known = new Map<string, Known>();
  /** One begins after the other, so that each sees what is left of the budget. */
  readonly #beginning = new Serial();

  constructor(options: PrefetcherOptions) {
    this.#options = options;
    for (const { record, used, complete } of options.cache.list()) {
      const ahead = record.wanted?.ahead;
      if (complete || !ahead || !used.prefetched) continue;
      this.#known.set(record.digest, newKnown(ahead, record.sizeBytes));
    }
  }

  /** Fetches from before the restart go on by now: those that could not are told to the seeder. */
  resumed(): void {
    const { cache, fetches } = this.#options;
    for (const [digest, known] of this.#known) {
      if (known.error !== undefined || fetches.get(digest) || cache.get(digest)?.complete) continue;
      this.#failed(digest, known, "it could not go on after the agent's restart; the agent's log says why");
    }
  }

  /** Does what the seeder asks; what it has been told before it takes for a reminder. */
  take(directives: readonly Directive[]): void {
    for (const directive of directives.slice(0, directivesMax)) {
      const { digest, kind } = directive;
      if (!digestPattern.test(digest)) continue;
      if (kind === DirectiveKind.STOP) this.#stop(digest);
      else if (kind === DirectiveKind.PREFETCH) this.#prefetch(digest, directive);
    }
  }

  /** What is under way and what has failed lately, for the report. */
  reported(): MessageInitShape<typeof ReportedPrefetchSchema>[] {
    this.#forgetOld();
    const nowMs = this.#options.clock.now();
    const told = [...this.#known].filter(([, { error, restsUntilMs }]) => error === undefined || nowMs < restsUntilMs);
    return told.map(([digest, { prefetchId, error }]) => ({
      digest,
      prefetchId,
      state: error === undefined ? NodePrefetchState.FETCHING : NodePrefetchState.FAILED,
      error: error ?? "",
    }));
  }

  /** What the node allows, for the report. */
  allowance(disk: { freeBytes: number; sizeBytes: number }): MessageInitShape<typeof PrefetchAllowanceSchema> {
    const { rules, cache } = this.#options;
    const { budgetBytes, usedBytes, roomBytes } = allowanceOf(rules, {
      diskFreeBytes: disk.freeBytes,
      freeFloorBytes: freeFloorOf(rules.freeFloorBytes, disk.sizeBytes),
      cacheBytes: cache.completeBytes,
      comingBytes: this.#comingBytes(),
      aheadBytes: this.aheadBytes,
    });
    this.#budgetBytes = budgetBytes;
    return {
      enabled: rules.isEnabled,
      budgetBytes: BigInt(budgetBytes),
      usedBytes: BigInt(usedBytes),
      roomBytes: BigInt(roomBytes),
      bytesPerSecondMax: BigInt(rules.bytesPerSecondMax),
    };
  }

  /** As last reckoned, for a report: none before the first, and no directive comes before that. */
  #budgetBytes = 0;

  get budgetBytes(): number {
    return this.#budgetBytes;
  }

  /** Bytes of images brought ahead of need and not asked for since, those on their way included. */
  get aheadBytes(): number {
    let bytes = 0;
    for (const { record, used, allocatedBytes, complete } of this.#options.cache.list()) {
      if (complete && used.prefetched && record.format !== "boot") bytes += allocatedBytes;
    }
    for (const [digest, { sizeBytes, error }] of this.#known) {
      if (error === undefined && this.#options.fetches.get(digest)?.priority === "prefetch") bytes += sizeBytes;
    }
    return bytes;
  }

  /** Takes note of a fetch that has ended. */
  fetchEnded(fetch: Fetch): void {
    const known = this.#known.get(fetch.digest);
    if (!known || known.error !== undefined) return;
    if (fetch.state === "ready") {
      this.#known.delete(fetch.digest);
      this.#options.onEnded("ready");
    } else if (fetch.state === "failed") {
      this.#failed(fetch.digest, known, fetch.view().error);
    } else {
      this.#failed(fetch.digest, known, "it was cancelled on the node; start the prefetch again if that was a mistake");
    }
    this.changes.notify();
  }

  #comingBytes(): number {
    return this.#options.fetches
      .claims()
      .reduce((sum, { sizeBytes, placedBytes }) => sum + Math.max(0, sizeBytes - placedBytes), 0);
  }

  #prefetch(digest: string, directive: Directive): void {
    const { cache, fetches, rules, clock } = this.#options;
    const { prefetchId, expectedUses, bytesPerSecondMax } = directive;
    const told = aheadTermsSchema.safeParse({ prefetchId, expectedUses, bytesPerSecondMax: Number(bytesPerSecondMax) });
    if (!told.success || cache.get(digest)?.complete) return;
    const terms = told.data;
    const known = this.#known.get(digest);
    if (known?.error === undefined && known?.prefetchId === prefetchId) {
      fetches.get(digest)?.setAhead(terms);
      return;
    }
    // What was asked for once more is tried once more.
    if (known?.prefetchId === prefetchId && clock.now() < known.restsUntilMs) return;
    if (prefetchId === "" && !rules.isEnabled) return;
    if (!known && this.#known.size >= knownMax) return;
    this.#known.set(digest, { ...newKnown(terms, known?.sizeBytes ?? 0), failures: known?.failures ?? 0 });
    this.changes.notify();
    void this.#beginning.run(() => this.#begin(digest, terms));
  }

  /** Never rejects. */
  async #begin(digest: string, ahead: AheadTerms): Promise<void> {
    const known = this.#known.get(digest);
    if (!known || known.error !== undefined) return;
    const check = (facts: ImageFacts) => {
      if (ahead.prefetchId === "") this.#checkBudget(facts);
      known.sizeBytes = facts.sizeBytes;
    };
    try {
      const { view } = await this.#options.images.ensure(digest, "prefetch", { ahead, check });
      // It came in the meantime, or was withdrawn. Where it is wanted on other terms by now, those follow.
      if (view().state === "ready") this.#known.delete(digest);
      else if (!this.#known.has(digest)) this.#cancelAhead(digest);
    } catch (error) {
      if (this.#known.get(digest) === known) this.#failed(digest, known, messageOf(error));
    }
    this.changes.notify();
  }

  #checkBudget({ digest, sizeBytes }: ImageFacts): void {
    const usedBytes = this.aheadBytes;
    if (usedBytes + sizeBytes <= this.#budgetBytes) return;
    const figures = `it needs ${formatBytes(sizeBytes)}, and ${formatBytes(usedBytes)} of ${formatBytes(this.#budgetBytes)} are taken`;
    throw new Problem(
      "exhausted",
      `image ${digest} is beyond the budget of what is brought because it is popular: ${figures} (fetch.prefetchShare)`,
    );
  }

  #stop(digest: string): void {
    const known = this.#known.get(digest);
    if (!known) return;
    this.#known.delete(digest);
    this.changes.notify();
    if (known.error === undefined) this.#cancelAhead(digest);
  }

  /** Ends a fetch that the seeder wants no more. What somebody has asked for since is no business of the seeder's. */
  #cancelAhead(digest: string): void {
    const fetch = this.#options.fetches.get(digest);
    if (fetch?.priority !== "prefetch") return;
    const { doneBytes, name } = fetch.view();
    this.#options.log.info({ digest, name, doneBytes }, "the seeder has withdrawn a prefetch; what is here goes first");
    this.#options.onEnded("stopped");
    void fetch.cancel();
  }

  #failed(digest: string, known: Known, error: string): void {
    const failures = known.failures + 1;
    const restMs = Math.min(restMsMin * 2 ** (failures - 1), restMsMax);
    this.#known.set(digest, { ...known, error, failures, restsUntilMs: this.#options.clock.now() + restMs });
    this.#options.onEnded("failed");
    this.#options.log.warn({ digest, error, restSeconds: restMs / 1_000 }, "cannot fetch an image ahead of need");
  }

  /** How often they have failed matters no more once they have rested for long. */
  #forgetOld(): void {
    const nowMs = this.#options.clock.now();
    for (const [digest, { error, restsUntilMs }] of this.#known) {
      if (error !== undefined && nowMs >= restsUntilMs + restMsMax) this.#known.delete(digest);
    }
  }
}

function newKnown({ prefetchId }: AheadTerms, sizeBytes: number): Known {
  return { prefetchId, sizeBytes, error: undefined, failures: 0, restsUntilMs: 0 };
}

/** What simulated nodes hold and fetch, from a seed: shapes of reports as agents send them. */
import { createHash } from "node:crypto";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { NodeSnapshot } from "../../../agent/report/reporter.ts";
import { FetchPriority, FetchState } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import { Random } from "../../sim/random.ts";

export interface NodeShape {
  intervalMs: number;
  /** Holdings of a node, of so many images in the catalog. */
  holdings: number;
  images: number;
  zones: number;
  /** One node in so many fetches three images. */
  fetchesOneIn: number;
  /** Time after which a launch changes one holding's last use, on the mean. */
  usedEveryMs: number;
}

export const usualShape: NodeShape = {
  intervalMs: 10_000,
  holdings: 50,
  images: 500,
  zones: 20,
  fetchesOneIn: 20,
  usedEveryMs: 60_000,
};

const imageBytes = 2n * 1024n ** 3n;
const startMs = Date.UTC(2026, 0, 1);
const fetchesAtOnce = 3;
const bytesPerSecond = 30_000_000n;

export const imageDigest = (image: number) => createHash("sha256").update(`image ${image}`).digest("hex");
export const nodeName = (index: number) => `node-${String(index).padStart(6, "0")}`;

export class SimulatedNode {
  readonly id: string;
  readonly #shape: NodeShape;
  readonly #index: number;
  readonly #random: Random;
  readonly #holdings: NodeSnapshot["holdings"];
  readonly #fetching: string[];
  #lastMs = 0;

  constructor(index: number, shape: NodeShape) {
    this.#random = new Random(index + 1);
    this.#shape = shape;
    this.#index = index;
    this.id = `00000000-0000-4000-8000-${index.toString(16).padStart(12, "0")}`;
    const images = this.#random.sample([...Array(shape.images).keys()], shape.holdings + fetchesAtOnce);
    this.#holdings = images.slice(0, shape.holdings).map((image) => ({
      digest: imageDigest(image),
      allocatedBytes: imageBytes,
      pinned: false,
      lastUsedAt: timestampFromMs(startMs + this.#random.below(10_000_000)),
    }));
    this.#fetching = index % shape.fetchesOneIn === 0 ? images.slice(shape.holdings).map(imageDigest) : [];
  }

  /** @param nowMs of any clock that goes on */
  snapshot(nowMs: number): NodeSnapshot {
    const { holdings, intervalMs, usedEveryMs, zones } = this.#shape;
    const isUsed = this.#random.chance((nowMs - this.#lastMs) / usedEveryMs);
    this.#lastMs = nowMs;
    const used = this.#holdings[this.#random.below(holdings)];
    if (isUsed && used) used.lastUsedAt = timestampFromMs(startMs + Math.round(nowMs));
    const done = (BigInt(Math.round(nowMs)) * bytesPerSecond) / 1_000n;
    return {
      node: {
        id: this.id,
        name: nodeName(this.#index),
        apiUrl: `http://${nodeName(this.#index)}.example:7410`,
        version: "0.1.0",
        zone: `rack-${this.#index % zones}`,
        cacheBytes: BigInt(holdings) * imageBytes,
        diskFreeBytes: 500n * 1024n ** 3n,
        diskSizeBytes: 1_024n * 1024n ** 3n,
        reportIntervalMs: intervalMs,
        peerPort: 7_411,
      },
      holdings: [...this.#holdings],
      fetches: this.#fetching.map((digest) => ({
        digest,
        state: FetchState.ACTIVE,
        priority: FetchPriority.ENSURE,
        sizeBytes: imageBytes,
        doneBytes: done % imageBytes,
        swarmBytes: done % imageBytes,
        bytesPerSecond,
        etaSeconds: 30,
        peers: 12,
        requestedAt: timestampFromMs(startMs),
        startedAt: timestampFromMs(startMs),
        activity: "receiving",
      })),
      prefetches: [],
      fetchesActive: this.#fetching.length > 0,
      pieceVerifyFailures: 0n,
    };
  }
}

/** One client in an idle process: what it waits for is the seeder. */
import { setTimeout as delay } from "node:timers/promises";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { InventoryService } from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import { PlacementService } from "../../../proto/gen/bootswarm/seeder/v1/placement_pb.js";
import { imageDigest, type NodeShape, nodeName, SimulatedNode } from "./nodes.ts";

/** Milliseconds of every answer. */
export interface ProbeFigures {
  reportMs: number[];
  weighHostsMs: number[];
}

const hostsWeighed = 10_000;
const reportEveryMs = 50;
const weighEveryMs = 500;

export class Probe {
  readonly #inventory: Client<typeof InventoryService>;
  readonly #placement: Client<typeof PlacementService>;
  readonly #session: Http2SessionManager;
  readonly #node: SimulatedNode;
  readonly #hosts: string[];
  #sequence = 1n;

  constructor(url: string, nodes: number, shape: NodeShape) {
    this.#session = new Http2SessionManager(url);
    const transport = createConnectTransport({ baseUrl: url, httpVersion: "2", sessionManager: this.#session });
    this.#inventory = createClient(InventoryService, transport);
    this.#placement = createClient(PlacementService, transport);
    this.#node = new SimulatedNode(nodes, { ...shape, fetchesOneIn: 1 });
    this.#hosts = Array.from({ length: Math.min(nodes, hostsWeighed) }, (_, index) => nodeName(index));
  }

  /** How many nodes are up, and how many holdings are known of all. */
  async known(): Promise<{ up: number; holdings: number }> {
    let pageToken = "";
    let holdings = 0;
    for (;;) {
      const { nodes, up, nextPageToken } = await this.#inventory.listNodes({ pageToken });
      for (const { images } of nodes) holdings += images;
      if (nextPageToken === "") return { up, holdings };
      pageToken = nextPageToken;
    }
  }

  /** Reports and weighs hosts at fixed times, for a while. Those that fail are left out. */
  async run(ms: number): Promise<ProbeFigures> {
    const figures: ProbeFigures = { reportMs: [], weighHostsMs: [] };
    const timed = async (into: number[], call: () => Promise<unknown>) => {
      const startMs = performance.now();
      try {
        await call();
        into.push(performance.now() - startMs);
      } catch {
        // The seeder is away.
      }
    };
    const pending = new Set<Promise<void>>();
    const every = (ms: number, into: number[], call: () => Promise<unknown>) =>
      setInterval(() => {
        const one = timed(into, call);
        pending.add(one);
        void one.finally(() => pending.delete(one));
      }, ms);
    const timers = [
      every(reportEveryMs, figures.reportMs, () => this.report()),
      every(weighEveryMs, figures.weighHostsMs, () => this.weighHosts()),
    ];
    await delay(ms);
    for (const timer of timers) clearInterval(timer);
    await Promise.all(pending);
    return figures;
  }

  end(): void {
    this.#session.abort();
  }

  private report() {
    const { node, holdings, fetches } = this.#node.snapshot(performance.now());
    return this.#inventory.report({ node, epoch: 1n, sequence: this.#sequence++, full: true, holdings, fetches });
  }

  private weighHosts() {
    return this.#placement.weighHosts({
      image: imageDigest(7),
      hosts: this.#hosts,
      options: { brief: true, count: 10 },
    });
  }
}

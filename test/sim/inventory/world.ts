/**
 * Nodes that report to a seeder's inventory in simulated time: the production reporter on one side, the production
 * inventory and its pacing on the other, and a network and a database between them that fail as a seed has it.
 */
import { create, type DescMethodUnary, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { ChangeSignal } from "../../../agent/change-signal.ts";
import { Reporter } from "../../../agent/report/reporter.ts";
import { createLog } from "../../../daemon/log.ts";
import {
  type InventoryService,
  type ReportRequest,
  ReportRequestSchema,
} from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import { nodeReportFrom } from "../../../seeder/api/report-messages.ts";
import type { HoldingFacts, SharedNode } from "../../../seeder/inventory/facts.ts";
import { Inventory } from "../../../seeder/inventory/inventory.ts";
import { isActive } from "../../../seeder/inventory/node-view.ts";
import { ReportPacing } from "../../../seeder/inventory/pacing.ts";
import type { Clock } from "../../../swarm/types.ts";
import { EventQueue } from "../event-queue.ts";
import { Random } from "../random.ts";

export const intervalMs = 1_000;
/** One way, at most. */
export const delayMsMax = 50;
/** When a node gives up on an answer. */
export const answerMsMax = 1_000;
const saveIntervalMs = 200;

/** How often the network fails, 0 to 1. */
export interface Faults {
  requestLost: number;
  answerLost: number;
  repeated: number;
}

const none: Faults = { requestLost: 0, answerLost: 0, repeated: 0 };

interface SavedNode extends SharedNode {
  holdings: HoldingFacts[];
}

type ReportAnswer = MessageInitShape<typeof InventoryService.method.report.output>;

export class SimulatedNode {
  readonly id: string;
  /** What it holds: the truth. */
  readonly holdings = new Map<string, HoldingFacts>();
  readonly #changes = new ChangeSignal();
  readonly #world: World;
  #agent = new AbortController();
  /** Reports sent, and full ones among them. */
  reports = 0;
  fullReports = 0;

  constructor(id: string, world: World) {
    this.id = id;
    this.#world = world;
    this.start();
  }

  /** Starts the agent anew. */
  start(): void {
    this.#agent.abort(new Error("the agent is killed"));
    this.#agent = new AbortController();
    const { clock, random } = this.#world;
    const reporter = new Reporter({
      transport: this.#world.transportOf(this),
      seeders: { url: "sim", error: "" },
      epoch: BigInt(random.word()),
      intervalMs,
      snapshot: async () => ({
        node: { id: this.id, reportIntervalMs: intervalMs },
        holdings: this.#told(),
        fetches: [],
        prefetches: [],
        fetchesActive: false,
        pieceVerifyFailures: 0n,
      }),
      triggers: [this.#changes],
      onBootstrap: () => {},
      onSeeders: () => {},
      onImagePeers: () => {},
      onDirectives: () => {},
      onResult: () => {},
      clock,
      random: () => random.next(),
      log: createLog({ level: "silent", name: "sim" }),
    });
    void reporter.run(this.#agent.signal);
  }

  stop(): void {
    this.#agent.abort(new Error("the simulation is over"));
  }

  /** Adds, changes or removes a holding. */
  change(): void {
    const { random } = this.#world;
    const digest = String(random.below(8)).repeat(64);
    if (random.chance(0.4)) this.holdings.delete(digest);
    else {
      const lastUsedAtMs = random.chance(0.3) ? undefined : random.below(1_000_000);
      this.holdings.set(digest, {
        digest,
        allocatedBytes: random.below(1_000_000),
        pinned: random.chance(0.5),
        lastUsedAtMs,
      });
    }
    this.#changes.notify();
  }

  #told() {
    return [...this.holdings.values()].map(({ lastUsedAtMs, allocatedBytes, ...holding }) => ({
      ...holding,
      allocatedBytes: BigInt(allocatedBytes),
      ...(lastUsedAtMs !== undefined && { lastUsedAt: timestampFromMs(lastUsedAtMs) }),
    }));
  }
}

export class World {
  readonly queue = new EventQueue();
  readonly random: Random;
  readonly clock: Clock;
  readonly nodes: SimulatedNode[];
  faults: Faults = none;
  /** When the last harm was done: what comes after that must heal it. */
  lastFaultMs = 0;
  inventory: Inventory | undefined = new Inventory();
  #pacing = new ReportPacing();
  #database = new Map<string, SavedNode>();

  constructor(seed: number, nodeCount: number) {
    this.random = new Random(seed);
    this.clock = { now: () => this.queue.nowMs, after: (delayMs, run) => this.queue.after(delayMs, run) };
    this.nodes = Array.from({ length: nodeCount }, (_, index) => new SimulatedNode(`n${index}`, this));
    this.#saveNowAndThen();
  }

  async runUntil(timeMs: number): Promise<void> {
    let over = false;
    this.queue.after(timeMs - this.queue.nowMs, () => {
      over = true;
    });
    await this.queue.run(() => over);
  }

  /** The seeder dies; what it has not saved is gone. */
  killSeeder(): void {
    this.harm();
    this.inventory = undefined;
  }

  /** It comes back with its database as that is now. */
  startSeeder(): void {
    this.harm();
    this.inventory = new Inventory();
    this.#pacing = new ReportPacing();
    for (const { holdings, ...shared } of this.#database.values()) {
      this.inventory.learn(shared, { all: holdings }, false, this.queue.nowMs);
    }
  }

  deleteDatabase(): void {
    this.harm();
    this.#database.clear();
  }

  /** The database loses or changes a holding, and nobody says so. */
  corruptDatabase(): void {
    this.harm();
    for (const [id, known] of this.#database) {
      const [first, ...others] = known.holdings;
      if (!first) continue;
      const changed = this.random.chance(0.5) ? [] : [{ ...first, allocatedBytes: first.allocatedBytes + 1 }];
      this.#database.set(id, { ...known, holdings: [...others, ...changed] });
    }
  }

  harm(): void {
    this.lastFaultMs = Math.max(this.lastFaultMs, this.queue.nowMs);
  }

  /** Nodes of which not just what they hold is known, by id. */
  wrong(): string[] {
    const { inventory } = this;
    return this.nodes
      .filter(({ id, holdings }) => {
        const known = inventory?.lookup(id, this.queue.nowMs);
        const byDigest = (all: Iterable<HoldingFacts>) => [...all].sort((a, b) => (a.digest < b.digest ? -1 : 1));
        return (
          known?.state !== "up" ||
          JSON.stringify(byDigest(known.holdings)) !== JSON.stringify(byDigest(holdings.values()))
        );
      })
      .map(({ id }) => id);
  }

  /** How a node's reports travel. */
  transportOf(node: SimulatedNode): Transport {
    return {
      unary: (
        method: DescMethodUnary,
        signal: AbortSignal | undefined,
        _timeoutMs: number | undefined,
        _header: unknown,
        input: object,
      ) =>
        new Promise((resolve, reject) => {
          const request = create(ReportRequestSchema, input as MessageInitShape<typeof ReportRequestSchema>);
          node.reports++;
          if (request.full) node.fullReports++;
          const giveUp = this.queue.after(answerMsMax, () =>
            reject(new ConnectError("no answer", Code.DeadlineExceeded)),
          );
          signal?.addEventListener("abort", () => {
            giveUp();
            reject(new ConnectError("aborted", Code.Canceled));
          });
          this.#send(request, (answer) => {
            giveUp();
            if (answer instanceof Error) return reject(answer);
            const message = create(method.output, answer as never);
            const parts = {
              stream: false,
              service: method.parent,
              method,
              header: new Headers(),
              trailer: new Headers(),
            };
            resolve({ ...parts, message } as never);
          });
        }),
      stream: () => Promise.reject(new Error("reports are no streams")),
    } as Transport;
  }

  #send(request: ReportRequest, onAnswer: (answer: ReportAnswer | Error) => void): void {
    const { random, faults } = this;
    const travel = (run: () => void, extraMs = 0) => this.queue.after(random.between(1, delayMsMax) + extraMs, run);
    if (random.chance(faults.repeated)) {
      // A copy that comes late, perhaps after others: nobody hears its answer.
      travel(
        () => {
          this.harm();
          this.#take(request);
        },
        random.between(0, 2 * intervalMs),
      );
    }
    if (random.chance(faults.requestLost)) this.#lose(onAnswer);
    else {
      travel(() => {
        const answer = this.#take(request);
        if (random.chance(faults.answerLost)) this.#lose(onAnswer);
        else travel(() => onAnswer(answer));
      });
    }
  }

  /** Half of what is lost is lost with its connection, which is noticed; the other half is waited for. */
  #lose(onAnswer: (answer: Error) => void): void {
    this.harm();
    if (this.random.chance(0.5)) this.queue.after(1, () => onAnswer(new ConnectError("cut off", Code.Unavailable)));
  }

  #take(request: ReportRequest): ReportAnswer | Error {
    const { inventory } = this;
    if (!inventory) {
      this.harm();
      return new ConnectError("connection refused", Code.Unavailable);
    }
    const nowMs = this.queue.nowMs;
    const report = nodeReportFrom(request, undefined);
    const pace = this.#pacing.paceOf(report.node.reportIntervalMs, report.fetches.some(isActive));
    const { fullReportWanted } = inventory.report(report, nowMs, pace.leaseMs);
    if (report.full) this.#pacing.fullReportCame(report.node.id);
    const fullReportAfterMs = fullReportWanted ? this.#pacing.fullReportAfterMs(report.node.id, nowMs) : 0;
    return { ...pace, fullReportWanted, fullReportAfterMs };
  }

  #saveNowAndThen(): void {
    this.queue.after(saveIntervalMs, () => {
      for (const { id } of this.inventory ? this.nodes : []) {
        const shared = this.inventory?.shared(id);
        if (shared) this.#database.set(id, { ...shared, holdings: this.inventory?.holdings(id) ?? [] });
      }
      this.#saveNowAndThen();
    });
  }
}

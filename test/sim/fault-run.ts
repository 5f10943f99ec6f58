/**
 * A small swarm in which things go wrong by a plan, and what must be true all the same:
 *
 * - only verified pieces are kept, told and sent; nobody writes to bytes that are being served;
 * - once the faults are over, every honest node that lives gets every piece, within a generous time;
 * - nobody who keeps the rules is struck off;
 * - bounds hold, and all memory is given back at the end.
 */
import { AssemblyBudget } from "../../swarm/assembly-budget.ts";
import { Bitfield } from "../../swarm/bitfield.ts";
import { assemblyBytesMax } from "../../swarm/limits.ts";
import { Content } from "./content.ts";
import { SimDht } from "./dht.ts";
import { EventQueue } from "./event-queue.ts";
import { type Fault, type FaultPlan, faultPlanFrom, type NodePlan } from "./fault-plan.ts";
import { type Machine, Network } from "./network.ts";
import { SimNode } from "./node.ts";
import { Random } from "./random.ts";
import type { SimSocket } from "./socket.ts";
import { SimStorage } from "./storage.ts";
import { WireTap } from "./wire-tap.ts";

/** After the last fault, the time for everybody to find each other again: some waits grow to half a minute. */
const recoveryMs = 300_000;
/** And to fetch the image, in multiples of the time that the slowest link takes for it. */
const transfersAllowed = 30;
/** How long to go on when everybody is complete. */
const afterglowMs = 3_000;
const violationsToldMax = 10;
/** A power cut loses pieces that were not yet synced to disk, at most so many. */
const unsyncedPiecesMax = 3;

export interface FaultReport {
  seed: number;
  plan: FaultPlan;
  violations: string[];
  /** The same for every run of the same seed. */
  traceHash: number;
  /** From the last fault's end to the last completion; 0 if all were complete by then. */
  recoveredAfterMs: number;
  events: number;
}

/** Runs the swarm that `seed` names. */
export async function runFaults(seed: number): Promise<FaultReport> {
  const random = new Random(seed);
  const plan = faultPlanFrom(random.fork());
  return new FaultRun(seed, plan, random).run();
}

/** A node over all its lives. */
interface Participant {
  number: number;
  plan: NodePlan;
  machine: Machine;
  have: Bitfield;
  node: SimNode | undefined;
  budget: WatchedBudget | undefined;
  /** Down, so that another fault must not start it early. */
  downs: number;
  isGone: boolean;
}

class WatchedBudget extends AssemblyBudget {
  readonly #onViolation: (what: string) => void;
  #pieces = 0;
  usedBytes = 0;

  constructor(onViolation: (what: string) => void) {
    super();
    this.#onViolation = onViolation;
  }

  override take(pieceBytes: number): Buffer {
    this.usedBytes += pieceBytes;
    if (this.usedBytes > assemblyBytesMax && this.#pieces > 0)
      this.#onViolation("assembles more than its memory allows");
    this.#pieces++;
    return super.take(pieceBytes);
  }

  override give(buffer: Buffer): void {
    this.usedBytes -= buffer.length;
    this.#pieces--;
    super.give(buffer);
  }
}

class FaultRun {
  readonly #seed: number;
  readonly #plan: FaultPlan;
  readonly #random: Random;
  readonly #queue = new EventQueue();
  readonly #network: Network;
  readonly #dht: SimDht;
  readonly #content: Content;
  readonly #tap: WireTap;
  readonly #participants: Participant[];
  readonly #violations: string[] = [];
  #sides = 0;
  #dhtOutages = 0;
  #pendingFaults = 0;
  #lastFaultAtMs = 0;
  #lastCompleteAtMs = 0;

  constructor(seed: number, plan: FaultPlan, random: Random) {
    this.#seed = seed;
    this.#plan = plan;
    this.#random = random;
    const lengthBytes = plan.pieceCount * plan.pieceLengthBytes - plan.shortByBytes;
    this.#content = Content.random(lengthBytes, plan.pieceLengthBytes, random.fork());
    this.#network = new Network(this.#queue, random.fork());
    this.#dht = new SimDht(this.#queue, random.fork());
    this.#participants = plan.nodes.map((node, number) => this.#participant(node, number));
    this.#tap = new WireTap({
      content: this.#content,
      haveOf: (machine) => {
        const { node, plan } = this.#participants[machine.number - 1]!;
        return plan.conduct === "honest" ? node?.storage.have : undefined;
      },
      connectionsOf: (machine) => this.#participants[machine.number - 1]!.node?.torrent.connections ?? 0,
      onViolation: (what) => this.#violate(what),
    });
    this.#network.observer = this.#tap;
  }

  async run(): Promise<FaultReport> {
    for (const participant of this.#participants) {
      this.#queue.after(participant.plan.startsAtMs, () => this.#start(participant));
    }
    for (const fault of this.#plan.faults) {
      this.#pendingFaults++;
      this.#queue.after(fault.atMs, () => this.#begin(fault));
    }
    await this.#runUntilComplete();
    const completeAtMs = this.#queue.nowMs;
    await this.#queue.run(() => this.#queue.nowMs > completeAtMs + afterglowMs);
    await this.#close();
    if (!this.#content.isIntact) this.#violate("somebody wrote to bytes that are served");
    return {
      seed: this.#seed,
      plan: this.#plan,
      violations: this.#violations,
      traceHash: this.#tap.traceHash,
      recoveredAfterMs: Math.max(0, this.#lastCompleteAtMs - this.#lastFaultAtMs),
      events: this.#queue.fired,
    };
  }

  #participant(plan: NodePlan, number: number): Participant {
    const bytesPerMs = (mbit: number) => (mbit * 1e6) / 8 / 1_000;
    const machine = this.#network.addMachine({
      upBytesPerMs: bytesPerMs(plan.upMbit),
      downBytesPerMs: bytesPerMs(plan.downMbit),
      latencyMs: plan.latencyMs,
    });
    const { pieceCount } = this.#plan;
    const have = plan.isSeed ? Bitfield.full(pieceCount) : new Bitfield(pieceCount);
    return { number, plan, machine, have, node: undefined, budget: undefined, downs: 0, isGone: false };
  }

  #violate(what: string): void {
    // Whatever follows from the first ones is of little interest.
    if (this.#violations.length >= violationsToldMax) return;
    this.#violations.push(`at ${(this.#queue.nowMs / 1_000).toFixed(3)} s: ${what}`);
  }

  // --- nodes

  #start(participant: Participant): void {
    if (participant.isGone || participant.downs > 0 || participant.node) return;
    const { number, plan, machine } = participant;
    const onViolation = (what: string) => this.#violate(`node ${number}: ${what}`);
    const lies = new Set<number>();
    for (let index = 0; index < this.#plan.pieceCount; index++)
      if (this.#random.chance(plan.liesAbout)) lies.add(index);
    participant.budget = new WatchedBudget(onViolation);
    const storage = new SimStorage({
      content: this.#content,
      have: participant.have,
      conduct: plan.conduct,
      lies: (index) => lies.has(index),
      onViolation,
    });
    const node = new SimNode(
      {
        ...{ network: this.#network, machine, dht: this.#dht, storage, budget: participant.budget },
        random: this.#random.fork(),
        onStrike: ({ host }, reason) => this.#onStrike(number, host, reason),
      },
      {
        infohash: this.#content.info.infohash,
        ...(plan.knowsInfo && { info: this.#content.info }),
        peers: this.#plan.isSeedGiven ? [{ host: this.#participants[0]!.machine.host, port: 6_881 }] : [],
      },
    );
    participant.node = node;
    node.torrent.on("error", (error) => onViolation(`the torrent failed: ${error.message}`));
    node.torrent.on("complete", () => {
      if (plan.conduct === "honest" && !plan.isSeed) this.#lastCompleteAtMs = this.#queue.nowMs;
    });
  }

  #onStrike(by: number, host: string, reason: string): void {
    const struck = this.#participants.find(({ machine }) => machine.host === host);
    if (struck?.plan.conduct === "honest") {
      this.#violate(`node ${by} struck off the honest node ${struck.number}: ${reason}`);
    }
  }

  #kill(participant: Participant): void {
    participant.node?.kill();
    participant.node = undefined;
  }

  // --- faults

  #begin(fault: Fault): void {
    const end = this.#apply(fault);
    const isOver = () => {
      this.#pendingFaults--;
      this.#lastFaultAtMs = this.#queue.nowMs;
    };
    if (fault.forMs === Number.POSITIVE_INFINITY) {
      isOver();
      return;
    }
    this.#queue.after(fault.forMs, () => {
      end();
      isOver();
    });
  }

  /** Begins the fault; the function returned ends it. */
  #apply(fault: Fault): () => void {
    if (fault.kind === "partition") return this.#partition(fault.nodes);
    if (fault.kind === "dhtOutage") return this.#dhtOutage();
    const participant = this.#participants[fault.node]!;
    if (fault.forMs === Number.POSITIVE_INFINITY) participant.isGone = true;
    switch (fault.kind) {
      case "stall":
        return this.#stall(participant);
      case "kill":
        this.#kill(participant);
        this.#network.killProcess(participant.machine);
        return this.#comeBack(participant);
      case "powerCut":
        return this.#cutPower(participant);
      case "restart":
        return this.#restart(participant);
    }
  }

  #comeBack(participant: Participant, prepare: () => void = () => {}): () => void {
    participant.downs++;
    return () => {
      prepare();
      participant.downs--;
      this.#start(participant);
    };
  }

  #cutPower(participant: Participant): () => void {
    const { machine, plan, have } = participant;
    this.#kill(participant);
    // Another cut may be on already: its end restores the power for good.
    const orphans: SimSocket[] = this.#network.cutPower(machine);
    if (!plan.isSeed) {
      for (let lost = this.#random.below(unsyncedPiecesMax + 1); lost > 0; lost--) {
        have.remove(this.#random.below(have.size));
      }
    }
    return this.#comeBack(participant, () => this.#network.restorePower(machine, orphans));
  }

  #restart(participant: Participant): () => void {
    const { node } = participant;
    participant.node = undefined;
    void node?.torrent.close().then(() => {
      node.kill();
      if (participant.machine.listener && !participant.node) this.#network.killProcess(participant.machine);
    });
    return this.#comeBack(participant);
  }

  #stall(participant: Participant): () => void {
    const { links } = participant.machine;
    if (links.isFrozen) return () => {};
    links.freeze();
    return () => links.thaw();
  }

  #dhtOutage(): () => void {
    this.#dhtOutages++;
    this.#dht.isDown = true;
    return () => {
      this.#dht.isDown = --this.#dhtOutages > 0;
    };
  }

  #partition(nodes: readonly number[]): () => void {
    const side = ++this.#sides;
    const machines = nodes.map((number) => this.#participants[number]!.machine).filter((each) => each.side === 0);
    this.#network.moveTo(side, machines);
    return () => this.#network.moveTo(0, machines);
  }

  // --- the end

  get #honest(): Participant[] {
    return this.#participants.filter(({ plan, isGone }) => plan.conduct === "honest" && !isGone);
  }

  async #runUntilComplete(): Promise<void> {
    const slowestBytesPerMs = Math.min(
      ...this.#participants.map(({ machine: { links } }) =>
        Math.min(links.rates.upBytesPerMs, links.rates.downBytesPerMs),
      ),
    );
    const transferMs = this.#content.info.lengthBytes / slowestBytesPerMs;
    const allowedMs = recoveryMs + transfersAllowed * transferMs;
    const isComplete = () => this.#honest.every(({ node }) => node?.torrent.isComplete);
    const mayEnd = () => this.#pendingFaults === 0 && isComplete();
    await this.#queue.run(() => mayEnd() || this.#queue.nowMs > this.#lastFaultAtMs + allowedMs + this.#lastPlannedMs);
    if (mayEnd()) return;
    for (const { number, node } of this.#honest) {
      if (node?.torrent.isComplete) continue;
      const { peers = 0, doneBytes = 0, lengthBytes = 0 } = node?.torrent.status() ?? {};
      this.#violate(`node ${number} is stuck with ${doneBytes} of ${lengthBytes} bytes and ${peers} peers`);
    }
  }

  /** When the last fault ends, and the last node starts, by the plan. */
  get #lastPlannedMs(): number {
    const ends = this.#plan.faults.map(({ atMs, forMs }) => (Number.isFinite(forMs) ? atMs + forMs : atMs));
    return Math.max(0, ...ends, ...this.#plan.nodes.map(({ startsAtMs }) => startsAtMs));
  }

  /** Everybody leaves; memory must be given back. */
  async #close(): Promise<void> {
    let closed = 0;
    const living = this.#participants.filter(({ node, machine }) => node && !machine.links.isFrozen);
    for (const { number, node, budget, plan } of living) {
      void node?.torrent.close().then(() => {
        closed++;
        const { usedBytes = 0 } = budget ?? {};
        if (usedBytes !== 0 && plan.conduct === "honest") this.#violate(`node ${number} keeps ${usedBytes} bytes`);
      });
    }
    const startedAtMs = this.#queue.nowMs;
    await this.#queue.run(() => closed === living.length || this.#queue.nowMs > startedAtMs + 60_000);
    if (closed < living.length) this.#violate(`${living.length - closed} torrents do not close`);
  }
}

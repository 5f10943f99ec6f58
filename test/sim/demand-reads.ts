/**
 * A node among others that all fetch the same image, on which a VM reads: one read after the other, of pieces at random,
 * each as soon as the one before is served. How long does each wait, where the torrent is told of it and where not?
 */
import { AssemblyBudget } from "../../swarm/assembly-budget.ts";
import { Bitfield } from "../../swarm/bitfield.ts";
import { Content } from "./content.ts";
import { SimDht } from "./dht.ts";
import { EventQueue } from "./event-queue.ts";
import { Network } from "./network.ts";
import { SimNode } from "./node.ts";
import { Random } from "./random.ts";
import { SimStorage } from "./storage.ts";

const giveUpMs = 20 * 60_000;
/** VMs do not start in the same instant. */
const startSpreadMs = 500;

export interface DemandReadsOptions {
  seed: number;
  /** Nodes that fetch beside the VM's, and complete ones. */
  others: number;
  seeds: number;
  pieces: number;
  pieceKib: number;
  linkMbit: number;
  /** From node to node, one way. */
  latencyMs: number;
  reads: number;
  /** What the VM does between two reads. */
  thinkMs: number;
  /** Whether VMs read on the other nodes, too, the same in the same order. */
  vms?: boolean;
  /** Whether the torrent is told what is waited for. */
  wanting: boolean;
  /** Whether the reads are in an order that is known beforehand, as a boot's. */
  ordered?: boolean;
  /** Memory for pieces, if scarce. */
  budgetPieces?: number;
  /** Rate of the last of the seeds, if it is a slow one. */
  slowSeedKbit?: number;
}

export interface DemandReadsReport {
  /** What a piece takes on the link, in milliseconds. */
  pieceMs: number;
  /** How long the reads of pieces that were not here waited, in order of length. */
  waitedMs: number[];
  /** From the first read to the last one's end. */
  allMs: number;
  /** To the last piece, over that which the image takes on the link. */
  overLimit: number;
  wastedBytes: number;
}

/** Runs the scenario; the same options give the same report. */
export async function runDemandReads(options: DemandReadsOptions): Promise<DemandReadsReport> {
  const random = new Random(options.seed);
  const queue = new EventQueue();
  const pieceBytes = options.pieceKib * 1024;
  const content = Content.random(options.pieces * pieceBytes, pieceBytes, random);
  const network = new Network(queue, random.fork(), content);
  const dht = new SimDht(queue, random.fork());
  const bytesPerMs = (options.linkMbit * 1e6) / 8 / 1_000;
  const newNode = (have: Bitfield, peers: SimNode[], budgetPieces?: number, rate = bytesPerMs) =>
    new SimNode(
      {
        ...{ network, dht, random: random.fork() },
        machine: network.addMachine({ upBytesPerMs: rate, downBytesPerMs: rate, latencyMs: options.latencyMs }),
        budget: new AssemblyBudget(undefined, budgetPieces && budgetPieces * pieceBytes),
        storage: new SimStorage({
          ...{ content, have },
          onViolation: (what) => {
            throw new Error(what);
          },
        }),
      },
      { infohash: content.info.infohash, info: content.info, peers: peers.map(({ endpoint }) => endpoint) },
    );
  const seeds = Array.from({ length: options.seeds }, (_, at) => {
    const rate = at === options.seeds - 1 && options.slowSeedKbit ? options.slowSeedKbit / 8 : bytesPerMs;
    return newNode(Bitfield.full(options.pieces), [], undefined, rate);
  });
  const node = newNode(new Bitfield(options.pieces), seeds, options.budgetPieces);
  const order = shuffled(options.pieces, random.fork()).slice(0, options.reads);
  if (options.ordered) node.torrent.setOrder(order);
  for (let count = 0; count < options.others; count++) {
    const other = newNode(new Bitfield(options.pieces), seeds);
    if (!options.vms) continue;
    if (options.ordered) other.torrent.setOrder(order);
    new Reader(other, queue, order, options).start(random.between(0, startSpreadMs));
  }
  let doneAtMs = Number.POSITIVE_INFINITY;
  node.torrent.on("complete", () => {
    doneAtMs = queue.nowMs;
  });
  const reader = new Reader(node, queue, order, options);
  reader.start();
  await queue.run(() => (reader.isDone && doneAtMs <= queue.nowMs) || queue.nowMs > giveUpMs);
  return {
    pieceMs: pieceBytes / bytesPerMs,
    waitedMs: reader.waitedMs.sort((a, b) => a - b),
    allMs: reader.endedAtMs - reader.startedAtMs,
    overLimit: doneAtMs / (content.info.lengthBytes / bytesPerMs),
    wastedBytes: node.wastedBytes,
  };
}

/** The VM. It begins when the fetch is at full speed. */
class Reader {
  readonly waitedMs: number[] = [];
  startedAtMs = 1_000;
  endedAtMs = Number.POSITIVE_INFINITY;
  readonly #node: SimNode;
  readonly #queue: EventQueue;
  readonly #order: readonly number[];
  readonly #options: DemandReadsOptions;
  #at = 0;
  #waiting: { index: number; sinceMs: number } | undefined;

  constructor(node: SimNode, queue: EventQueue, order: readonly number[], options: DemandReadsOptions) {
    this.#node = node;
    this.#queue = queue;
    this.#order = order;
    this.#options = options;
  }

  get isDone(): boolean {
    return this.endedAtMs <= this.#queue.nowMs;
  }

  start(delayMs = 0): void {
    this.startedAtMs += delayMs;
    this.#node.torrent.on("piece", (index) => {
      if (index !== this.#waiting?.index) return;
      this.waitedMs.push(this.#queue.nowMs - this.#waiting.sinceMs);
      this.#waiting = undefined;
      if (this.#options.wanting) this.#node.torrent.want({ now: [], ahead: [] });
      this.#queue.after(this.#options.thinkMs, () => this.#read());
    });
    this.#queue.after(this.startedAtMs, () => this.#read());
  }

  #read(): void {
    const index = this.#order[this.#at++];
    if (index === undefined) {
      this.endedAtMs = this.#queue.nowMs;
    } else if (this.#node.storage.have.has(index)) {
      this.#queue.after(this.#options.thinkMs, () => this.#read());
    } else {
      this.#waiting = { index, sinceMs: this.#queue.nowMs };
      if (this.#options.wanting) this.#node.torrent.want({ now: [index], ahead: [] });
    }
  }
}

function shuffled(count: number, random: Random): number[] {
  const order = Array.from({ length: count }, (_, index) => index);
  for (let at = count - 1; at > 0; at--) {
    const other = random.whole(0, at);
    [order[at], order[other]] = [order[other]!, order[at]!];
  }
  return order;
}

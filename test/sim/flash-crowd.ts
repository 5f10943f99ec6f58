/**
 * The scenario that distribution is about: one seed, and N nodes that want the image at the same time, all on equal links.
 * They know its infohash and the seed's address, as agents do from the catalog, and find each other by the DHT.
 */
import { AssemblyBudget } from "../../swarm/assembly-budget.ts";
import { Bitfield } from "../../swarm/bitfield.ts";
import { Content } from "./content.ts";
import { type DhtTraffic, SimDht } from "./dht.ts";
import { EventQueue } from "./event-queue.ts";
import { Network } from "./network.ts";
import { SimNode } from "./node.ts";
import { Random } from "./random.ts";
import { SimStorage } from "./storage.ts";
import { type Moment, timelineOf } from "./timeline.ts";

/** Nodes do not start in the same instant, whatever they are told. */
const startSpreadMs = 50;
/** When to give up, in multiples of the limit, and at the least. */
const giveUpAfter = 40;
const giveUpMsMin = 60_000;

export interface FlashCrowdOptions {
  seed: number;
  /** Besides the seed. */
  nodes: number;
  imageMib: number;
  pieceKib: number;
  linkMbit: number;
  /** From node to node, one way. */
  latencyMs: number;
  /** Told every tenth of the limit: simulated milliseconds, nodes that are complete, and pieces per node over all pieces. */
  onProgress?: (nowMs: number, complete: number, share: number) => void;
  /** Take note of how it goes every so many milliseconds. */
  timelineEveryMs?: number;
}

export interface FlashCrowdReport {
  nodes: number;
  /** Image bytes over the link's rate. */
  limitMs: number;
  completed: number;
  /** Completion over the limit. */
  slowestOverLimit: number;
  medianOverLimit: number;
  fastestOverLimit: number;
  /** Payload the seed has sent over the image's bytes. */
  seedCopies: number;
  /** The most connections a node had at once: mean over nodes, and largest. */
  connectionsMean: number;
  connectionsMax: number;
  dialsMean: number;
  dht: DhtTraffic;
  /** Bytes received, all messages included, and payload received twice, over the image's bytes. */
  receivedOverImage: number;
  wastedShare: number;
  events: number;
  wallSeconds: number;
  cpuSeconds: number;
  timeline?: Moment[];
}

/** Runs the scenario; the same options give the same report but for the seconds that it took. */
export async function runFlashCrowd(options: FlashCrowdOptions): Promise<FlashCrowdReport> {
  const startedAtMs = performance.now();
  const cpuBefore = process.cpuUsage();
  const random = new Random(options.seed);
  const queue = new EventQueue();
  const pieceLengthBytes = options.pieceKib * 1024;
  const pieceCount = Math.ceil((options.imageMib * 1024 * 1024) / pieceLengthBytes);
  const content = Content.uniform(pieceCount, pieceLengthBytes, random);
  const network = new Network(queue, random.fork(), content);
  const dht = new SimDht(queue, random.fork());
  const bytesPerMs = (options.linkMbit * 1e6) / 8 / 1_000;
  const imageBytes = content.info.lengthBytes;
  const limitMs = imageBytes / bytesPerMs;
  const rates = { upBytesPerMs: bytesPerMs, downBytesPerMs: bytesPerMs, latencyMs: options.latencyMs / 2 };
  // All pieces are the same, so one buffer is enough for all who assemble one.
  const shared = Buffer.from(content.view(0, 0, pieceLengthBytes));
  const doneAtMs: number[] = [];

  const newNode = (have: Bitfield, torrent: Pick<ConstructorParameters<typeof SimNode>[1], "info" | "peers">) =>
    new SimNode(
      {
        ...{ network, dht, machine: network.addMachine(rates), random: random.fork() },
        budget: new AssemblyBudget(() => shared),
        storage: new SimStorage({ content, have, onViolation: (what) => fail(what) }),
      },
      { infohash: content.info.infohash, ...torrent },
    );
  const seed = newNode(Bitfield.full(pieceCount), { info: content.info });
  const nodes: SimNode[] = [];
  for (let count = 0; count < options.nodes; count++) {
    queue.after(random.between(0, startSpreadMs), () => {
      const node = newNode(new Bitfield(pieceCount), { peers: [seed.endpoint] });
      node.torrent.on("error", (error) => fail(error.message));
      node.torrent.on("complete", () => doneAtMs.push(queue.nowMs));
      nodes.push(node);
    });
  }
  const everyMs = options.timelineEveryMs;
  const timeline =
    everyMs && timelineOf({ queue, seed, nodes, nodesTotal: options.nodes, imageBytes, bytesPerMs, everyMs });
  const giveUpMs = Math.max(giveUpMsMin, giveUpAfter * limitMs);
  const shareOf = () => sum(nodes.map(({ storage }) => storage.have.count)) / pieceCount / options.nodes;
  let toldAtMs = 0;
  await queue.run(() => {
    // Not an event of its own: with it or without, the report is the same.
    if (options.onProgress && queue.nowMs >= toldAtMs + limitMs / 10) {
      toldAtMs = queue.nowMs;
      options.onProgress(toldAtMs, doneAtMs.length, shareOf());
    }
    return doneAtMs.length === options.nodes || queue.nowMs > giveUpMs;
  });

  const payloadBytes = sum(nodes.map((node) => node.torrent.status().swarmBytes));
  const usefulBytes = sum(nodes.map((node) => node.storage.doneBytes));
  const peaks = nodes.map((node) => node.connectionsPeak);
  const at = (share: number) => (doneAtMs[Math.ceil(share * options.nodes) - 1] ?? Number.POSITIVE_INFINITY) / limitMs;
  return {
    nodes: options.nodes,
    limitMs,
    completed: doneAtMs.length,
    slowestOverLimit: at(1),
    medianOverLimit: at(0.5),
    fastestOverLimit: at(1 / options.nodes),
    seedCopies: seed.torrent.status().sentBytes / imageBytes,
    connectionsMean: sum(peaks) / nodes.length,
    connectionsMax: Math.max(...peaks, seed.connectionsPeak),
    dialsMean: sum(nodes.map((node) => node.dials)) / nodes.length,
    dht: dht.traffic(options.nodes + 1),
    receivedOverImage: sum(nodes.map(({ machine }) => machine.links.receivedBytes)) / nodes.length / imageBytes,
    wastedShare: (payloadBytes - usefulBytes) / payloadBytes,
    events: queue.fired,
    cpuSeconds: cpuSeconds(cpuBefore),
    wallSeconds: (performance.now() - startedAtMs) / 1_000,
    ...(timeline && { timeline }),
  };
}

function fail(what: string): never {
  throw new Error(what);
}

function sum(figures: readonly number[]): number {
  return figures.reduce((total, figure) => total + figure, 0);
}

function cpuSeconds(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

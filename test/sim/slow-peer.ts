/**
 * A node that fetches from peers on quick links and from one on a slow one, all complete: what the slow one is asked for
 * must not hold up the others' work. There is memory for a few pieces, as on a node that fetches other images too, so a
 * piece that lingers keeps others from being begun.
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

const linkMbit = 40;
const latencyMs = 0.25;
const giveUpMs = 10 * 60_000;

export interface SlowPeerOptions {
  seed: number;
  pieces: number;
  pieceKib: number;
  /** Peers on quick links. */
  quick: number;
  /** Peers on slow links, and the rate of those. */
  slow: number;
  slowKbit: number;
  /** Pieces for which there is memory. */
  piecesOpenMax: number;
  /** Whether late pieces are asked of others, too. */
  hedging: boolean;
}

export interface SlowPeerReport {
  /** Time to the last piece, over that which the image takes on the node's link. */
  overLimit: number;
  hedgedBlocks: number;
  wastedBytes: number;
}

/** Runs the scenario; the same options give the same report. */
export async function runSlowPeer(options: SlowPeerOptions): Promise<SlowPeerReport> {
  const random = new Random(options.seed);
  const queue = new EventQueue();
  const pieceBytes = options.pieceKib * 1024;
  const content = Content.random(options.pieces * pieceBytes, pieceBytes, random);
  const network = new Network(queue, random.fork(), content);
  const dht = new SimDht(queue, random.fork());
  const bytesPerMsOf = (kbit: number) => kbit / 8;
  const newNode = (kbit: number, have: Bitfield, torrent: Pick<ConstructorParameters<typeof SimNode>[1], "peers">) => {
    const bytesPerMs = bytesPerMsOf(kbit);
    const machine = network.addMachine({ upBytesPerMs: bytesPerMs, downBytesPerMs: bytesPerMs, latencyMs });
    const onViolation = (what: string) => {
      throw new Error(what);
    };
    return new SimNode(
      {
        ...{ network, dht, machine, random: random.fork(), hedging: options.hedging },
        budget: new AssemblyBudget(undefined, options.piecesOpenMax * pieceBytes),
        storage: new SimStorage({ content, have, onViolation }),
      },
      { infohash: content.info.infohash, info: content.info, ...torrent },
    );
  };
  const full = () => Bitfield.full(options.pieces);
  const seeds = [
    ...Array.from({ length: options.quick }, () => newNode(linkMbit * 1_000, full(), {})),
    ...Array.from({ length: options.slow }, () => newNode(options.slowKbit, full(), {})),
  ];
  const peers = seeds.map(({ endpoint }) => endpoint);
  const node = newNode(linkMbit * 1_000, new Bitfield(options.pieces), { peers });
  let doneAtMs: number | undefined;
  node.torrent.on("complete", () => {
    doneAtMs = queue.nowMs;
  });
  await queue.run(() => doneAtMs !== undefined || queue.nowMs > giveUpMs);
  const limitMs = content.info.lengthBytes / bytesPerMsOf(linkMbit * 1_000);
  const { hedgedBlocks, wastedBytes } = node;
  return { overLimit: (doneAtMs ?? Number.POSITIVE_INFINITY) / limitMs, hedgedBlocks, wastedBytes };
}

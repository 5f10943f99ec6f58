/**
 * The production Torrent and its storage on a simulated disk. There are no peers: pieces come from a source that never
 * lies and takes its time.
 */
import { AssemblyBudget } from "../../../swarm/assembly-budget.ts";
import type { Disk } from "../../../swarm/disk.ts";
import { DownloadLimit } from "../../../swarm/download-limit.ts";
import { Storage } from "../../../swarm/storage.ts";
import { Torrent } from "../../../swarm/torrent.ts";
import type { TorrentHost } from "../../../swarm/torrent-host.ts";
import type { AddTorrentOptions, Clock, PieceSource, SwarmLog } from "../../../swarm/types.ts";
import type { Random } from "../random.ts";
import { pieceBytes, type SimImage } from "./images.ts";

/** How long a piece takes: with four at once a fetch takes some flushes of the storage. */
const pieceMs = { min: 60, max: 500 };
const readsMax = 4;
/** How long it takes until some peer has told a torrent's metadata. */
const metadataMs = 50;

export interface PieceSwarmOptions {
  images: readonly SimImage[];
  disk: Disk;
  clock: Clock;
  random: Random;
  log: SwarmLog;
  /** Told of every piece that has come over the network. */
  onPiece: (image: SimImage, index: number) => void;
}

/** As much of a Swarm as an agent's fetches and its seeding use. */
export class PieceSwarm {
  readonly #options: PieceSwarmOptions;
  readonly #torrents = new Map<string, Torrent>();
  readonly #budget = new AssemblyBudget();

  constructor(options: PieceSwarmOptions) {
    this.#options = options;
  }

  get(infohash: string): Torrent | undefined {
    return this.#torrents.get(infohash);
  }

  add(asked: AddTorrentOptions): Torrent {
    if (this.#torrents.has(asked.infohash)) throw new Error(`the torrent ${asked.infohash} is here already`);
    const image = this.#options.images.find(({ info }) => info?.infohash === asked.infohash);
    if (!image?.info) throw new Error(`nobody has the torrent ${asked.infohash}`);
    const { info } = image;
    const torrent = new Torrent({ ...asked, info }, this.#host);
    if (!asked.info) this.#options.clock.after(metadataMs, () => torrent.emit("info", info));
    if (!asked.complete) torrent.addSource(this.#source(image));
    this.#torrents.set(asked.infohash, torrent);
    return torrent;
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#torrents.values()].map((torrent) => torrent.close()));
  }

  #source(image: SimImage): PieceSource {
    const { clock, random, onPiece } = this.#options;
    return {
      name: "the network",
      requestsMax: readsMax,
      read: (offset, length, signal) =>
        new Promise((resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
          clock.after(random.between(pieceMs.min, pieceMs.max), () => {
            if (signal.aborted) return;
            onPiece(image, Math.floor(offset / pieceBytes));
            resolve(image.bytes.subarray(offset, offset + length));
          });
        }),
    };
  }

  get #host(): TorrentHost {
    const { clock, random, log, disk } = this.#options;
    const lastDemand = { atMs: Number.NEGATIVE_INFINITY };
    return {
      ...{ clock, log },
      random: () => random.next(),
      budget: this.#budget,
      lastDemand,
      downloadLimit: new DownloadLimit(0, clock, lastDemand),
      peerId: Buffer.alloc(20, "s"),
      peerPort: 1,
      openStorage: (options, signal) => Storage.open(options, signal, { disk, clock }),
      connect: () => undefined,
      announce: () => {},
      strike: () => {},
      blame: () => 0,
      isStruck: () => false,
      isOwn: () => false,
      noteOwn: () => {},
      countReceived: () => {},
      countSent: () => {},
      countVerifyFailure: () => {},
      readFailed: () => {},
      countWasted: () => {},
      countDemanded: () => {},
      countHedged: () => {},
      removed: (infohash) => this.#torrents.delete(infohash),
    };
  }
}

import { Problem } from "../../daemon/problem.ts";
import { diskProblem } from "../cache/disk-space.ts";
import { imagePaths } from "../cache/layout.ts";
import type { ImageFacts } from "../cache/records.ts";
import { sha256OfFile } from "../hash-file.ts";
import { HttpTransfer } from "./http-transfer.ts";
import type { WaitingPace } from "./pace.ts";
import { SwarmTransfer } from "./swarm-transfer.ts";
import type { FetchTools, Transfer, TransferProgress } from "./transfer.ts";

/** Bytes of an image: on disk, and by where they came from since the fetch was first begun. */
export type DeliveredBytes = Pick<TransferProgress, "doneBytes" | "swarmBytes" | "httpBytes" | "zeroBytes">;

export interface DeliveryOptions {
  /** Of what comes from peers, and of what comes by HTTP alone. */
  pace: WaitingPace;
  httpPace: WaitingPace;
  /** Told when bytes begin to come, once more if what came was wrong, and when all are here and the whole is looked at. */
  onStage: (stage: "active" | "verifying") => void;
  /** Told when another way of bringing bytes is taken. */
  onTransfer: () => void;
}

/**
 * Brings one image's bytes by whichever way works, and finds out whether they are the image. It may be stopped at any
 * moment, and run again: then it goes on from what is there.
 */
export class Delivery {
  readonly #tools: FetchTools;
  readonly #facts: ImageFacts;
  readonly #options: DeliveryOptions;
  #transfer: Transfer | undefined;
  /** By transfers that have ended; doneBytes stays as the last one left it. */
  #past: DeliveredBytes = { doneBytes: 0, swarmBytes: 0, httpBytes: 0, zeroBytes: 0 };
  #hashedBytes = 0;
  /** Closes the torrent that brought all bytes and stayed in the swarm; nothing if there is none. */
  #closeTorrent = async (): Promise<void> => {};

  constructor(tools: FetchTools, facts: ImageFacts, options: DeliveryOptions) {
    this.#tools = tools;
    this.#facts = facts;
    this.#options = options;
  }

  /** Of the way that is in use; undefined while there is none. */
  get progress(): TransferProgress | undefined {
    return this.#transfer?.progress();
  }

  get bytes(): DeliveredBytes {
    const now = this.#transfer?.progress();
    return {
      doneBytes: now?.doneBytes ?? this.#past.doneBytes,
      swarmBytes: this.#past.swarmBytes + (now?.swarmBytes ?? 0),
      httpBytes: this.#past.httpBytes + (now?.httpBytes ?? 0),
      zeroBytes: this.#past.zeroBytes + (now?.zeroBytes ?? 0),
    };
  }

  /** How much of the whole image has been hashed: from 0 to 1. */
  get hashedShare(): number {
    return this.#hashedBytes / Math.max(this.#facts.sizeBytes, 1);
  }

  /** Before the first run: that many bytes are on disk, as far as is known. */
  assume(doneBytes: number): void {
    this.#past.doneBytes = doneBytes;
  }

  /**
   * Resolves when the image is complete in the cache.
   *
   * @throws Problem, an error of the disk, or the signal's reason; what has arrived stays on disk.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { cache, log } = this.#tools;
    const { digest } = this.#facts;
    for (let tries = 1; ; tries++) {
      this.#options.onStage("active");
      const { by, resumed } = await this.#receive(signal);
      this.#hashedBytes = 0;
      this.#options.onStage("verifying");
      const found = await this.#hash(signal);
      if (found === digest) break;
      this.#past.doneBytes = 0;
      await this.leaveSwarm();
      if (!resumed || tries > 1) {
        await cache.discardBytes(digest);
        throw mismatch(this.#facts, by, found);
      }
      // Pieces that were here before may have gone wrong since. Parts that came by HTTP at different times may be of
      // different files; what comes in one go is what the origin has.
      if (by === "swarm") await cache.doubt(digest);
      else await cache.discardBytes(digest);
      log.warn({ digest, found, by }, "a resumed download is wrong; looking at all of it once");
    }
    signal.throwIfAborted();
    await cache.complete(digest);
  }

  /** Closes the torrent that has brought all bytes, if one has. */
  async leaveSwarm(): Promise<void> {
    const close = this.#closeTorrent;
    this.#closeTorrent = async () => {};
    await close();
  }

  /** What cannot be read has to come anew: pieces are looked at one by one, a file filled by HTTP starts over. */
  async doubt(): Promise<void> {
    this.#past.doneBytes = 0;
    await this.leaveSwarm();
    await this.#tools.cache.doubt(this.#facts.digest);
  }

  /** Brings all bytes, by whichever way works, changing over as often as need be. */
  async #receive(signal: AbortSignal): Promise<{ by: "swarm" | "http"; resumed: boolean }> {
    const { cache } = this.#tools;
    const { digest, infohash, sizeBytes } = this.#facts;
    const { pace, httpPace } = this.#options;
    // An empty image has no pieces to ask for.
    let useSwarm = infohash !== "" && sizeBytes > 0;
    for (;;) {
      signal.throwIfAborted();
      if (useSwarm) {
        const transfer = new SwarmTransfer(this.#tools, this.#facts, await cache.metainfo(digest), pace);
        const outcome = await this.#with(transfer, () => transfer.run(signal));
        if (outcome === "complete") {
          this.#closeTorrent = () => transfer.close();
          const { swarmBytes, httpBytes, zeroBytes } = this.#past;
          return { by: "swarm", resumed: swarmBytes + httpBytes + zeroBytes < sizeBytes };
        }
        useSwarm = false;
      } else {
        const transfer = new HttpTransfer(this.#tools, this.#facts, httpPace);
        const outcome = await this.#with(transfer, () => transfer.run(signal));
        if (outcome.kind === "complete") return { by: "http", resumed: outcome.resumed };
        await cache.keepMetainfo(digest, outcome.info);
        useSwarm = true;
      }
    }
  }

  async #with<T>(transfer: Transfer, run: () => Promise<T>): Promise<T> {
    this.#transfer = transfer;
    this.#options.onTransfer();
    try {
      return await run();
    } finally {
      this.#past = this.bytes;
      this.#transfer = undefined;
    }
  }

  async #hash(signal: AbortSignal): Promise<string> {
    const { layout } = this.#tools.cache;
    const { data, directory } = imagePaths(layout, this.#facts.digest);
    const onBytes = (hashedBytes: number) => {
      this.#hashedBytes = hashedBytes;
    };
    try {
      return await sha256OfFile(layout.disk, data, signal, onBytes);
    } catch (error) {
      throw signal.aborted ? signal.reason : diskProblem(error, `image ${this.#facts.digest}`, directory);
    }
  }
}

function mismatch({ digest, infohash }: ImageFacts, by: "swarm" | "http", found: string): Problem {
  const what = `the bytes of image ${digest} have sha256 ${found}`;
  return new Problem(
    "data-loss",
    by === "swarm"
      ? `${what}, although every piece matches torrent ${infohash}: the torrent's content is not the image; publish the image again`
      : `${what}: the origin does not serve what the catalog promises; publish the image again`,
  );
}

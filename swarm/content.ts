/**
 * What one torrent is of: its info dictionary once that is known, its storage once that is open, and then its traffic in
 * pieces. What is wished for before is kept until there is somebody to tell.
 */
import type { Want } from "./demand.ts";
import { Locality } from "./locality.ts";
import { torrentInfoFromInfoBytes } from "./metainfo.ts";
import type { Peer } from "./peer.ts";
import type { PieceEvents } from "./piece-events.ts";
import { PieceExchange } from "./piece-exchange.ts";
import type { Tally } from "./tally.ts";
import type { TorrentHost } from "./torrent-host.ts";
import type { AddTorrentOptions, PieceSource, PieceStorage, TorrentInfo } from "./types.ts";

export interface ContentOptions extends Pick<PieceEvents, "strike" | "onPiece" | "onSourceError"> {
  torrent: AddTorrentOptions;
  host: TorrentHost;
  /** Peers past their handshake. */
  peers: ReadonlySet<Peer>;
  tally: Tally;
  /** Told when the info is known, before the storage is opened. */
  onInfo: (info: TorrentInfo) => void;
  /** Told when the storage is open, and pieces come and go. */
  onOpened: () => void;
  /** Told when nothing is missing, and when that is on disk for good. */
  onComplete: () => void;
  onFlushed: () => void;
  /** It cannot go on. */
  fail: (error: Error) => void;
  /** Whether it has been told so. */
  hasFailed: () => boolean;
}

export class Content {
  readonly #options: ContentOptions;
  readonly #abort = new AbortController();
  readonly #sources = new Set<PieceSource>();
  #info: TorrentInfo | undefined;
  #storage: PieceStorage | undefined;
  #pieces: PieceExchange | undefined;
  #opening: Promise<void> = Promise.resolve();
  #want: Want = { now: [], ahead: [] };
  #wantedAtMs: number | undefined;
  #order: readonly number[] = [];
  #isComplete = false;

  constructor(options: ContentOptions) {
    this.#options = options;
  }

  get info(): TorrentInfo | undefined {
    return this.#info;
  }

  get storage(): PieceStorage | undefined {
    return this.#storage;
  }

  /** Present once the storage is open. */
  get pieces(): PieceExchange | undefined {
    return this.#pieces;
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** How long somebody has waited. Before the data is open nobody knows yet what of it is here. */
  demandWaitedMs(nowMs: number): number {
    if (this.#pieces) return this.#pieces.demandWaitedMs;
    return this.#wantedAtMs === undefined ? 0 : nowMs - this.#wantedAtMs;
  }

  want(want: Want): void {
    const isWaiting = want.now.length > 0;
    if (!isWaiting) this.#wantedAtMs = undefined;
    else this.#wantedAtMs ??= this.#options.host.clock.now();
    this.#want = want;
    this.#pieces?.want(want);
  }

  setOrder(pieces: readonly number[]): void {
    this.#order = pieces;
    this.#pieces?.setOrder(pieces);
  }

  addSource(source: PieceSource): void {
    this.#sources.add(source);
    this.#pieces?.addSource(source);
  }

  removeSource(source: PieceSource): void {
    this.#sources.delete(source);
    this.#pieces?.removeSource(source);
  }

  /** Takes the info dictionary, which has the torrent's hash; the info, or undefined if it is of no use. */
  learn(infoBytes: Uint8Array): TorrentInfo | undefined {
    let info: TorrentInfo;
    try {
      info = torrentInfoFromInfoBytes(infoBytes);
    } catch (error) {
      // It has the right hash, so no other peer will tell otherwise.
      this.#options.fail(error as Error);
      return undefined;
    }
    this.#options.tally.progressed();
    this.use(info);
    return this.#options.hasFailed() ? undefined : info;
  }

  /** Goes on with the info: the storage is opened. */
  use(info: TorrentInfo): void {
    const { infohash, expectedLengthBytes } = this.#options.torrent;
    if (expectedLengthBytes !== undefined && info.lengthBytes !== expectedLengthBytes) {
      const difference = `${info.lengthBytes} bytes where ${expectedLengthBytes} were expected`;
      this.#options.fail(new Error(`the torrent ${infohash} has ${difference}`));
      return;
    }
    this.#info = info;
    this.#options.onInfo(info);
    this.#opening = this.#open(info);
  }

  /** Stops the traffic in pieces, but leaves the storage open. */
  stop(): void {
    void this.#pieces?.stop();
  }

  /** What is being opened is not any more. To be called before `close`, at the same time as connections end. */
  abort(): void {
    this.#abort.abort(new Error("the torrent was closed"));
  }

  /** Writes down what is here, and closes the files. */
  async close(): Promise<void> {
    await this.#opening;
    await this.#pieces?.stop();
    await this.#storage?.close();
  }

  async #open(info: TorrentInfo): Promise<void> {
    const { host, torrent, peers } = this.#options;
    const { infohash, dataPath, havePath, complete = false } = torrent;
    const { signal } = this.#abort;
    try {
      this.#storage = await host.openStorage({ info, dataPath, havePath, complete }, signal);
    } catch (error) {
      if (!signal.aborted) this.#options.fail(error as Error);
      return;
    }
    if (signal.aborted || this.#options.hasFailed()) return;
    this.#storage.onFault = (error) => this.#options.fail(error);
    const { repair } = this.#storage;
    if (repair) host.log.info({ infohash, ...repair }, "looked at the pieces that were in doubt");
    this.#pieces = this.#openPieces(info, this.#storage);
    for (const source of this.#sources) this.#pieces.addSource(source);
    this.#options.onOpened();
    this.#pieces.setOrder(this.#order);
    for (const peer of peers) this.#pieces.greet(peer);
    this.#pieces.want(this.#want);
    this.#checkComplete();
  }

  #openPieces(info: TorrentInfo, storage: PieceStorage): PieceExchange {
    const { host, torrent, peers, tally, strike, onPiece, onSourceError } = this.#options;
    const { clock, random, log, budget, lastDemand, hedging } = host;
    return new PieceExchange({
      ...{ info, storage, clock, random, log, budget, lastDemand, hedging, peers, strike, onSourceError },
      locality: this.#locality(info),
      blame: (peer) => host.blame(peer),
      onProgress: (bytes, from) => tally.received(bytes, from),
      onVerifyFailure: (from) => tally.verifyFailed(from),
      onWasted: (bytes) => host.countWasted(bytes),
      onHedged: (blocks) => host.countHedged(blocks),
      onDemanded: (bytes, from) => host.countDemanded(bytes, from),
      paces: [host.downloadLimit, ...(torrent.pace ? [torrent.pace] : [])],
      onPiece: (index) => {
        onPiece(index);
        this.#checkComplete();
      },
      onFault: (error) => this.#options.fail(error),
    });
  }

  #locality(info: TorrentInfo): Locality<Peer> | undefined {
    const { host, peers } = this.#options;
    if (host.zone === undefined) return undefined;
    const ownId = Buffer.from(host.peerId).toString("hex");
    return new Locality({ zone: host.zone, ownId, pieceCount: info.pieceCount, peers });
  }

  #checkComplete(): void {
    if (this.#isComplete || !this.#storage || !this.#pieces?.isComplete) return;
    this.#isComplete = true;
    this.#options.onComplete();
    this.#storage.flush().then(
      () => this.#options.onFlushed(),
      (error: Error) => this.#options.fail(error),
    );
  }
}

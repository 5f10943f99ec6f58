/** One torrent's ut_metadata traffic (BEP 9): gives the info dictionary to peers, and gets it from one while it lacks. */
import { metadataTimeoutMs } from "./limits.ts";
import { answerMetadataRequest, encodeMetadataMessage, MetadataDownload, metadataMessageFrom } from "./metadata.ts";
import type { Peer } from "./peer.ts";
import type { Clock } from "./types.ts";
import { encodeExtended } from "./wire.ts";

export interface MetadataExchangeOptions {
  infohash: string;
  clock: Clock;
  /** Peers past their handshake. */
  peers: ReadonlySet<Peer>;
  /** The bytes are what the infohash names; whether they make sense is the owner's to see. */
  onInfoBytes: (infoBytes: Uint8Array) => void;
}

export class MetadataExchange {
  readonly #options: MetadataExchangeOptions;
  /** Served to peers; undefined while it is looked for. */
  infoBytes: Uint8Array | undefined;
  #current: { peer: Peer; download: MetadataDownload; askedAtMs: number } | undefined;

  constructor(options: MetadataExchangeOptions) {
    this.#options = options;
  }

  /** @throws Error if the peer sends what makes no sense, or a dictionary that is not the infohash's. */
  onPayload(peer: Peer, payload: Uint8Array): void {
    const message = metadataMessageFrom(payload);
    if (message.type === "request") {
      const answer = answerMetadataRequest(this.infoBytes, message.part);
      peer.send(encodeExtended(peer.extensions.metadataId, encodeMetadataMessage(answer)));
      return;
    }
    if (this.#current?.peer !== peer) return;
    if (message.type === "reject") {
      // It does not have it yet either; another may.
      this.#giveUp();
      return;
    }
    this.#current.askedAtMs = this.#options.clock.now();
    const infoBytes = this.#current.download.take(message);
    if (!infoBytes) {
      this.#sendRequests();
      return;
    }
    this.#current = undefined;
    this.#options.onInfoBytes(infoBytes);
  }

  /** Asks the next peer that has it, unless one is being asked or it is here. */
  ask(): void {
    if (this.infoBytes || this.#current) return;
    for (const peer of this.#options.peers) {
      if (peer.extensions.metadataId === 0 || peer.extensions.metadataBytes === 0) continue;
      const download = new MetadataDownload(this.#options.infohash, peer.extensions.metadataBytes);
      this.#current = { peer, download, askedAtMs: this.#options.clock.now() };
      this.#sendRequests();
      return;
    }
  }

  peerLeft(peer: Peer): void {
    if (this.#current?.peer !== peer) return;
    this.#current = undefined;
    this.ask();
  }

  /** Looks whether the peer asked takes too long. */
  tick(nowMs: number): void {
    if (this.#current && nowMs - this.#current.askedAtMs > metadataTimeoutMs) this.#giveUp();
  }

  #giveUp(): void {
    if (this.#current) this.#current.peer.extensions.metadataBytes = 0;
    this.#current = undefined;
    this.ask();
  }

  #sendRequests(): void {
    if (!this.#current) return;
    const { peer, download } = this.#current;
    for (const request of download.nextRequests()) {
      peer.send(encodeExtended(peer.extensions.metadataId, encodeMetadataMessage(request)));
    }
  }
}

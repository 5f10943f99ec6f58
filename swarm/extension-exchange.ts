import type { PeerExchange } from "./exchange.ts";
import {
  encodeExtensionHandshake,
  extensionHandshakeId,
  extensionsFrom,
  ourMetadataId,
  ourPexId,
} from "./extension.ts";
import type { MetadataExchange } from "./metadata-exchange.ts";
import type { Neighbours } from "./neighbours.ts";
import type { Peer } from "./peer.ts";
import type { TorrentHost } from "./torrent-host.ts";
import { encodeExtended } from "./wire.ts";

export interface ExtensionExchangeOptions {
  host: Pick<TorrentHost, "peerPort" | "zone">;
  neighbours: Neighbours;
  metadata: MetadataExchange;
  addresses: PeerExchange;
  /** Bytes of the info dictionary; 0 while it is not known. */
  metadataBytes: () => number;
}

/** The extension protocol (BEP 10) with one torrent's peers: the handshakes, and which part of the torrent a message is for. */
export class ExtensionExchange {
  readonly #options: ExtensionExchangeOptions;

  constructor(options: ExtensionExchangeOptions) {
    this.#options = options;
  }

  sendHandshake(peer: Peer): void {
    if (!peer.extended) return;
    const { host, metadataBytes } = this.#options;
    const handshake = { peerPort: host.peerPort, zone: host.zone, metadataBytes: metadataBytes() };
    peer.send(encodeExtended(extensionHandshakeId, encodeExtensionHandshake(handshake)));
  }

  /** @throws Error for a message that breaks the rules */
  onMessage(peer: Peer, id: number, payload: Uint8Array): void {
    const { metadata, addresses } = this.#options;
    if (id === extensionHandshakeId) this.#onHandshake(peer, payload);
    else if (id === ourMetadataId) metadata.onPayload(peer, payload);
    else if (id === ourPexId) addresses.onPayload(peer, payload);
  }

  #onHandshake(peer: Peer, payload: Uint8Array): void {
    const { neighbours, metadata, addresses } = this.#options;
    const { peerPort, zone, ...extensions } = extensionsFrom(payload);
    // It may be sent again (BEP 10), such as once the peer has the metadata; what it leaves out stays as it was.
    const known = peer.extensions;
    peer.extensions = {
      metadataId: extensions.metadataId || known.metadataId,
      metadataBytes: extensions.metadataBytes || known.metadataBytes,
      pexId: extensions.pexId || known.pexId,
      takesQuickPex: extensions.takesQuickPex || known.takesQuickPex,
    };
    peer.zone ??= zone;
    neighbours.placed(peer, peerPort);
    addresses.peerChanged(peer);
    metadata.ask();
  }
}

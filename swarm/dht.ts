/**
 * Finding peers without a tracker (BEP 5), by bittorrent-dht among our own nodes. Only the bootstrap nodes given are
 * ever asked: the library's default, the public DHT, is switched off.
 */
import type { Socket } from "node:dgram";
import { networkInterfaces } from "node:os";
import type { Client } from "bittorrent-dht";
import { createDhtClient } from "./dht-client.ts";
import type { Clock, Endpoint, SwarmLog } from "./types.ts";

/** How often an empty routing table is filled from the bootstrap nodes again. */
const rejoinIntervalMs = 5_000;
/** Nodes that are remembered for the next start. */
const nodesKeptMax = 200;
/** Bootstrap nodes remembered. */
const bootstrapMax = 64;

export interface DhtOptions {
  host: string;
  port: number;
  bootstrap: readonly Endpoint[];
  clock: Clock;
  /** Uniform in [0, 1). */
  random: () => number;
  log: SwarmLog;
  /** A peer was found for an infohash, 40 hex digits. */
  onPeer: (infohash: string, peer: Endpoint) => void;
  /** The routing table got a node it did not know. */
  onNode: () => void;
  /** The UDP socket, not bound yet; a new one unless given. */
  socket?: Socket;
}

export class Dht {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #bootstrap: Endpoint[] = [];
  /** Infohashes that are being announced, and what is to be done after, where it was asked for again meanwhile. */
  readonly #announcing = new Map<string, (() => void) | undefined>();
  #cancelRejoin: () => void = () => {};
  #closed = false;

  private constructor(client: Client, options: DhtOptions) {
    this.#client = client;
    this.#clock = options.clock;
    client.on("peer", (peer: Endpoint, infohash: Uint8Array) => {
      options.onPeer(Buffer.from(infohash).toString("hex"), { host: peer.host, port: peer.port });
    });
    client.on("node", () => options.onNode());
    client.on("warning", (error: Error) => options.log.debug({ error: error.message }, "dht"));
    client.on("error", (error: Error) => options.log.warn({ error: error.message }, "dht"));
    this.addBootstrap(options.bootstrap);
    this.#scheduleRejoin();
  }

  /** @throws Error with `code` EADDRINUSE or the like if the UDP port cannot be had. */
  static async open(options: DhtOptions): Promise<Dht> {
    // The host is the address under which this node answers for its own torrents.
    const client = createDhtClient({ bootstrap: [], host: ownAddress(options.host) }, options);
    await new Promise<void>((resolve, reject) => {
      client.once("error", reject);
      client.listen(options.port, options.host, () => {
        client.removeListener("error", reject);
        resolve();
      });
    }).catch((error: unknown) => {
      client.destroy();
      throw error;
    });
    return new Dht(client, options);
  }

  get port(): number {
    return this.#client.address().port;
  }

  /** Nodes in the routing table. */
  get nodeCount(): number {
    return this.#client.nodes.count();
  }

  /** The routing table's nodes, for the next start's bootstrap. */
  nodes(): Endpoint[] {
    return this.#client
      .toJSON()
      .nodes.slice(0, nodesKeptMax)
      .map(({ host, port }) => ({ host, port }));
  }

  addBootstrap(nodes: readonly Endpoint[]): void {
    for (const node of nodes) {
      if (this.#bootstrap.some(({ host, port }) => host === node.host && port === node.port)) continue;
      if (this.#bootstrap.length >= bootstrapMax) this.#bootstrap.shift();
      this.#bootstrap.push({ host: node.host, port: node.port });
      this.#client.addNode({ host: node.host, port: node.port });
    }
  }

  /**
   * Looks for peers of an infohash, then announces that we are one. Peers come through `onPeer`; `onFailed` is called if
   * no node took the announcement, as when there is no other node yet. While it is under way, no other of the infohash
   * begins: what asks for one, and nodes that do not answer, would pile them up.
   */
  announce(infohash: string, peerPort: number, onFailed: () => void = () => {}): void {
    if (this.#closed) return;
    if (this.#announcing.has(infohash)) {
      this.#announcing.set(infohash, () => this.announce(infohash, peerPort, onFailed));
      return;
    }
    this.#announcing.set(infohash, undefined);
    // An announcement goes to the nodes that the last look-up found, and makes none of its own while it has any.
    this.#client.lookup(infohash, () => {
      if (this.#closed) return;
      this.#client.announce(infohash, peerPort, (error) => {
        if (this.#closed) return;
        const again = this.#announcing.get(infohash);
        this.#announcing.delete(infohash);
        if (again) again();
        else if (error) onFailed();
      });
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRejoin();
    await new Promise<void>((resolve) => this.#client.destroy(() => resolve()));
  }

  #scheduleRejoin(): void {
    this.#cancelRejoin = this.#clock.after(rejoinIntervalMs, () => {
      if (this.nodeCount === 0) for (const node of this.#bootstrap) this.#client.addNode(node);
      this.#scheduleRejoin();
    });
  }
}

/** The address others reach us by: the one listened on or, on all addresses, the first that is not loopback. */
function ownAddress(host: string): string {
  if (host !== "0.0.0.0") return host;
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return addresses.find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "127.0.0.1";
}

/**
 * A simulated node: the production Torrent, Connections and all below them, on a simulated machine. What Swarm does with
 * real sockets and the real DHT, this does with simulated ones.
 */
import type { AssemblyBudget } from "../../swarm/assembly-budget.ts";
import { Connections } from "../../swarm/connections.ts";
import { DownloadLimit } from "../../swarm/download-limit.ts";
import { connectionsMaxDefault, connectTimeoutMs } from "../../swarm/limits.ts";
import { RateLimit } from "../../swarm/rate.ts";
import { Torrent } from "../../swarm/torrent.ts";
import type { TorrentHost } from "../../swarm/torrent-host.ts";
import type { AddTorrentOptions, Clock, Endpoint, PieceStorage, SwarmLog } from "../../swarm/types.ts";
import type { SimDht } from "./dht.ts";
import type { SimEvent } from "./event-queue.ts";
import type { Machine, Network } from "./network.ts";
import type { Random } from "./random.ts";
import type { SimSocket } from "./socket.ts";

const peerPort = 6_881;

export interface SimNodeOptions {
  network: Network;
  machine: Machine;
  dht: SimDht;
  random: Random;
  budget: AssemblyBudget;
  storage: PieceStorage;
  log?: SwarmLog;
  /** Whether late pieces are asked of others, too. */
  hedging?: boolean;
  /** The node has struck off another. */
  onStrike?: (struck: Endpoint, reason: string) => void;
}

const silentLog: SwarmLog = { debug() {}, info() {}, warn() {} };

export class SimNode {
  readonly machine: Machine;
  readonly connections: Connections;
  readonly torrent: Torrent;
  readonly storage: PieceStorage;
  readonly #options: SimNodeOptions;
  readonly #lastDemand = { atMs: Number.NEGATIVE_INFINITY };
  /** The most connections that its torrent had at once, attempts among them, and how many it dialled. */
  connectionsPeak = 0;
  dials = 0;
  wastedBytes = 0;
  hedgedBlocks = 0;
  announces = 0;
  /** Its process is gone: nothing of it may run any more. */
  #isDead = false;

  constructor(options: SimNodeOptions, torrent: Omit<AddTorrentOptions, "dataPath">) {
    this.#options = options;
    this.machine = options.machine;
    this.storage = options.storage;
    const log = options.log ?? silentLog;
    const clock = this.#clock;
    this.connections = new Connections({
      ...{ clock, log, connectionsMax: connectionsMaxDefault },
      uploadLimit: new RateLimit(0, clock.now()),
      downloadLimit: new DownloadLimit(0, clock, this.#lastDemand),
      lastDemand: this.#lastDemand,
      dial: (endpoint) => this.#dial(endpoint),
      torrentOf: (infohash) => {
        this.#countConnections();
        return infohash === this.torrent.infohash ? this.torrent : undefined;
      },
      torrents: () => [this.torrent],
    });
    this.connections.noteOwn(this.endpoint);
    this.torrent = new Torrent({ ...torrent, dataPath: "" }, this.#host(clock, log));
    this.machine.listener = (socket, from) => this.#accept(socket, from);
  }

  get endpoint(): Endpoint {
    return { host: this.machine.host, port: peerPort };
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** The process is gone, at once and without a word. The network's part in it is the caller's. */
  kill(): void {
    this.#isDead = true;
  }

  get #clock(): Clock {
    const { queue } = this.#options.network;
    return {
      now: () => queue.nowMs,
      after: (delayMs, run) => {
        const timer = new ProcessTimer(this, run);
        queue.at(queue.nowMs + delayMs, timer);
        return () => timer.cancel();
      },
    };
  }

  #host(clock: Clock, log: SwarmLog): TorrentHost {
    const { random, budget, storage, dht, machine, onStrike } = this.#options;
    const { connections } = this;
    return {
      ...{ clock, log, budget, peerPort },
      lastDemand: this.#lastDemand,
      downloadLimit: new DownloadLimit(0, clock, this.#lastDemand),
      random: () => random.next(),
      peerId: Buffer.concat([Buffer.from("-BW0100-"), random.bytes(12)]),
      openStorage: async () => storage,
      connect: (endpoint, owner) => {
        this.#countConnections();
        return connections.connect(endpoint, owner);
      },
      announce: (_infohash, onFailed) => {
        this.announces++;
        const whileAlive = (act: () => void) => () => (this.#isDead ? undefined : act());
        dht.announce(
          machine,
          this.endpoint,
          (peer) => whileAlive(() => this.torrent.addPeer(peer))(),
          whileAlive(onFailed),
        );
      },
      strike: (peer, reason) => {
        onStrike?.(peer.endpoint, reason);
        connections.strike(peer, reason);
      },
      blame: (peer) => connections.blame(peer),
      isStruck: (endpoint) => connections.isStruck(endpoint),
      isOwn: (endpoint) => connections.isOwn(endpoint),
      noteOwn: (endpoint) => connections.noteOwn(endpoint),
      countReceived: () => {},
      countSent: () => {},
      countVerifyFailure: () => {},
      readFailed: () => {},
      countWasted: (bytes) => {
        this.wastedBytes += bytes;
      },
      countDemanded: () => {},
      countHedged: (blocks) => {
        this.hedgedBlocks += blocks;
      },
      hedging: this.#options.hedging,
      removed: () => {},
    };
  }

  #dial(endpoint: Endpoint): SimSocket {
    this.dials++;
    // As in Swarm: what is not connected by then never will be.
    const cancelTimer = this.#clock.after(connectTimeoutMs, () => socket.destroy());
    const socket = this.#options.network.dial(this.machine, endpoint, cancelTimer);
    socket.on("close", cancelTimer);
    return socket;
  }

  #accept(socket: SimSocket, from: Endpoint): void {
    this.connections.accept(socket, from);
  }

  /** At the end of the turn, in which one may come and another go. */
  #countConnections(): void {
    queueMicrotask(() => {
      this.connectionsPeak = Math.max(this.connectionsPeak, this.torrent.connections);
    });
  }
}

/** A timer of a node's process: it waits for a machine that stands still, and ends with the process. */
class ProcessTimer implements SimEvent {
  readonly #node: SimNode;
  #run: (() => void) | undefined;

  constructor(node: SimNode, run: () => void) {
    this.#node = node;
    this.#run = run;
  }

  cancel(): void {
    this.#run = undefined;
  }

  fire(): boolean {
    if (!this.#run) return false;
    const { links } = this.#node.machine;
    if (links.isFrozen) links.whenAwake(() => this.#act());
    else this.#act();
    return true;
  }

  #act(): void {
    if (!this.#node.isDead) this.#run?.();
  }
}

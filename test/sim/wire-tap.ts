/**
 * Listens to all that is written to any connection, takes it apart as its reader would, and tells where an honest node
 * breaks its promises: it says that it has a piece, or sends one, that it has not verified, or goes beyond a bound.
 */
import { Bitfield } from "../../swarm/bitfield.ts";
import {
  connectionsPerTorrentMax,
  handshakesMax,
  peerRequestsMax,
  piecesMax,
  unchokedMax,
  unsentBytesMax,
} from "../../swarm/limits.ts";
import { type Block, WireDecoder, type WireMessage } from "../../swarm/wire.ts";
import type { Content } from "./content.ts";
import type { Machine, NetworkObserver } from "./network.ts";
import type { SimSocket } from "./socket.ts";

/** A message may be as long again as the bound on what waits before it. */
const unsentSlackBytes = 1024 * 1024;

export interface TapOptions {
  content: Content;
  /** What a machine's node has verified; undefined for a node that is not honest. */
  haveOf: (machine: Machine) => Bitfield | undefined;
  /** Connections that a machine's node has for the torrent. */
  connectionsOf: (machine: Machine) => number;
  onViolation: (what: string) => void;
}

interface Stream {
  decoder: WireDecoder;
  /** Blocks that were asked for and neither sent, refused nor taken back. */
  asked: Set<string>;
  isUnchoking: boolean;
  block: Buffer | undefined;
}

export class WireTap implements NetworkObserver {
  readonly #options: TapOptions;
  readonly #streams = new Map<SimSocket, Stream>();
  #hash = 0x811c9dc5;

  constructor(options: TapOptions) {
    this.#options = options;
  }

  /** Differs if any write differs in its time, length or place. */
  get traceHash(): number {
    return this.#hash >>> 0;
  }

  delivered(): void {}

  written(from: SimSocket, bytes: Buffer): void {
    this.#note(Math.round(from.network.queue.nowMs * 64));
    this.#note(from.machine.number);
    this.#note(bytes.length);
    const stream = this.#streams.get(from) ?? this.#newStream(from);
    stream.decoder.push(bytes);
    this.#checkBounds(from);
  }

  #note(figure: number): void {
    this.#hash = Math.imul(this.#hash ^ figure, 0x01000193);
    this.#hash = Math.imul(this.#hash ^ (this.#hash >>> 15), 0x2c1b3c6d);
  }

  #checkBounds(from: SimSocket): void {
    if (!this.#options.haveOf(from.machine)) return;
    if (from.writableLength > unsentBytesMax + unsentSlackBytes) this.#tell(from, "has too much unsent");
    const connections = this.#options.connectionsOf(from.machine);
    if (connections > connectionsPerTorrentMax) this.#tell(from, `has ${connections} connections for one torrent`);
    // Those, and others that have not said yet what they are about.
    if (from.machine.sockets.size > connectionsPerTorrentMax + handshakesMax) {
      this.#tell(from, `has ${from.machine.sockets.size} connections`);
    }
  }

  #newStream(from: SimSocket): Stream {
    const sink = {
      onHandshake: () => {},
      onMessage: (message: WireMessage) => this.#onMessage(from, stream, message),
      onBlockStart: (_index: number, _begin: number, length: number) => {
        stream.block = Buffer.alloc(length);
        return stream.block;
      },
      onBlockEnd: (index: number, begin: number, length: number) =>
        this.#onBlock(from, stream, { index, begin, length }),
    };
    const decoder = new WireDecoder(sink, { bitfieldBytesMax: piecesMax / 8 });
    const stream: Stream = { decoder, asked: new Set(), isUnchoking: false, block: undefined };
    this.#streams.set(from, stream);
    return stream;
  }

  #onMessage(from: SimSocket, stream: Stream, message: WireMessage): void {
    switch (message.type) {
      case "request":
        stream.asked.add(keyOf(message));
        if (stream.asked.size > peerRequestsMax) this.#tell(from, "asks for too many blocks");
        break;
      case "cancel":
        stream.asked.delete(keyOf(message));
        break;
      case "reject":
        this.#streams.get(from.remote)?.asked.delete(keyOf(message));
        break;
      case "choke":
      case "unchoke":
        stream.isUnchoking = message.type === "unchoke";
        // Who deals slots anew may give one before it takes another, within one turn.
        from.network.queue.after(0, () => this.#checkSlots(from));
        break;
      case "have":
      case "haveAll":
      case "bitfield":
        this.#checkClaim(from, message);
        break;
      default:
        break;
    }
  }

  #checkSlots(from: SimSocket): void {
    let unchoked = 0;
    for (const socket of from.machine.sockets) if (this.#streams.get(socket)?.isUnchoking) unchoked++;
    if (unchoked > unchokedMax) this.#tell(from, `serves ${unchoked} peers at once`);
  }

  #checkClaim(from: SimSocket, message: WireMessage): void {
    const have = this.#options.haveOf(from.machine);
    if (!have) return;
    if (message.type === "haveAll" && !have.isFull) this.#tell(from, "says that it has everything");
    if (message.type === "have" && !have.has(message.index)) this.#tell(from, `says that it has ${message.index}`);
    if (message.type !== "bitfield") return;
    const { added } = have.changesTo(Bitfield.fromBytes(message.bytes, have.size));
    if (added.length > 0) this.#tell(from, `says that it has ${added.join()}`);
  }

  #onBlock(from: SimSocket, stream: Stream, block: Block): void {
    this.#streams.get(from.remote)?.asked.delete(keyOf(block));
    const have = this.#options.haveOf(from.machine);
    if (!have) return;
    const { index, begin, length } = block;
    if (!have.has(index)) this.#tell(from, `sends piece ${index}, which it has not`);
    const isTrue = stream.block?.equals(this.#options.content.view(index, begin, length));
    if (!isTrue) this.#tell(from, `sends wrong bytes of piece ${index}`);
  }

  #tell({ machine, remote }: SimSocket, what: string): void {
    this.#options.onViolation(`node ${machine.number - 1} ${what} (to node ${remote.machine.number - 1})`);
  }
}

function keyOf({ index, begin }: Block): string {
  return `${index}/${begin}`;
}

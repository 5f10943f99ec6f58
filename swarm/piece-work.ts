import type { AssemblyBudget } from "./assembly-budget.ts";
import { Demand, type LastDemand } from "./demand.ts";
import { Hedges } from "./hedge.ts";
import { pieceBytesOf } from "./metainfo.ts";
import type { Peer } from "./peer.ts";
import { Picker } from "./picker.ts";
import { PieceBuffers } from "./piece-buffers.ts";
import { RequestRoom } from "./request-room.ts";
import type { Requester } from "./source-feed.ts";
import type { Clock, PieceStorage, TorrentInfo } from "./types.ts";

export interface PieceWorkOptions {
  info: TorrentInfo;
  storage: PieceStorage;
  clock: Clock;
  random: () => number;
  budget: AssemblyBudget;
  lastDemand: LastDemand;
  /** Peers past their handshake. */
  peers: ReadonlySet<Peer>;
}

/** A torrent's pieces on their way: which are missing and asked of whom, their memory, what is late, what is waited for. */
export class PieceWork {
  /** Absent once nothing is missing. */
  picker: Picker<Requester> | undefined;
  readonly buffers: PieceBuffers;
  readonly room: RequestRoom;
  readonly demand: Demand;
  readonly hedges = new Hedges();
  readonly #clock: Clock;

  constructor({ info, storage, clock, random, budget, lastDemand: last, peers }: PieceWorkOptions) {
    const { have } = storage;
    const { pieceCount, pieceLengthBytes } = info;
    this.#clock = clock;
    this.buffers = new PieceBuffers(info, budget);
    this.room = new RequestRoom(peers, clock.now());
    this.demand = new Demand({ last, pieceCount, pieceLengthBytes, have, peers, clock, random });
    if (have.isFull) return;
    const pieceBytes = (index: number) => pieceBytesOf(info, index);
    this.picker = new Picker({ pieceCount, pieceBytes, have, random });
  }

  /** Has memory for a piece that is asked for from now on. */
  open(index: number): void {
    if (this.buffers.has(index)) return;
    this.hedges.begin(index, this.#clock.now());
    this.buffers.open(index);
  }

  /** Gives back the memory of a piece that is written, or has to come anew. */
  free(index: number): void {
    this.hedges.drop(index);
    this.buffers.free(index);
  }
}

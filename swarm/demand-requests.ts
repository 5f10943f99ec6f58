/** Asks peers for what somebody waits for, at once and again when it is late; `demand.ts` says what, and of whom. */
import type { Demand, Want } from "./demand.ts";
import type { Peer } from "./peer.ts";
import type { Picker } from "./picker.ts";
import type { Requester } from "./source-feed.ts";
import type { Clock } from "./types.ts";
import type { Block } from "./wire.ts";

export interface DemandRequestsOptions {
  demand: Demand;
  clock: Clock;
  /** Undefined once nothing is missing. */
  picker: () => Picker<Requester> | undefined;
  isFar: (peer: Peer) => boolean;
  /** A block is about to be asked for: its piece needs a place in memory, whatever the bounds. */
  makeRoom: (index: number) => void;
  /** So many blocks were asked of a peer. */
  onAsked: (blocks: number) => void;
  /** A block was asked of one more peer. */
  onHedged: (blocks: number) => void;
}

export class DemandRequests {
  readonly #options: DemandRequestsOptions;
  #isPlanning = false;
  #cancelDue: (() => void) | undefined;

  constructor(options: DemandRequestsOptions) {
    this.#options = options;
  }

  /** What is waited for from now on; it is asked for. */
  want(want: Want): void {
    this.#options.demand.want(want);
    this.ask();
  }

  /** Asks at the end of the turn: what changes whom to ask comes many at a time. */
  askSoon(): void {
    if (this.#isPlanning || !this.#options.demand.isWaiting) return;
    this.#isPlanning = true;
    queueMicrotask(() => {
      this.#isPlanning = false;
      this.ask();
    });
  }

  /** Asks for what nobody is asked for, and of others too for what is late, whatever else is under way. */
  ask(): void {
    const { demand, clock, isFar, makeRoom, onAsked, onHedged } = this.#options;
    const picker = this.#options.picker();
    if (!picker || !demand.isWaiting) return;
    const asked = new Map<Peer, Block[]>();
    for (const { block, requester } of demand.plan(picker, isFar)) {
      if (!requester) continue;
      if (picker.isAsked(block)) onHedged(1);
      picker.assign(requester, block);
      makeRoom(block.index);
      const blocks = asked.get(requester) ?? [];
      asked.set(requester, blocks);
      blocks.push(block);
    }
    for (const [peer, blocks] of asked) {
      peer.request(blocks);
      onAsked(blocks.length);
    }
    this.#cancelDue?.();
    const dueInMs = demand.nextDueMs(clock.now());
    this.#cancelDue = dueInMs === undefined ? undefined : clock.after(Math.ceil(dueInMs), () => this.ask());
  }

  stop(): void {
    this.#cancelDue?.();
  }
}

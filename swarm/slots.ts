import { chooseUnchoked } from "./choker.ts";
import { rechokeIntervalMs, rechokeIntervalMsMin, unchokedMax } from "./limits.ts";
import type { Peer } from "./peer.ts";
import type { Clock } from "./types.ts";

export interface SlotsOptions {
  clock: Clock;
  /** Peers past their handshake. */
  peers: ReadonlySet<Peer>;
  isNear: (peer: Peer) => boolean;
  /** Told of the peers that may be served from now on. */
  serve: (peers: ReadonlySet<Peer>) => void;
  /** Whether a peer that may be served is to stay choked for now. */
  isWaiting: (peer: Peer) => boolean;
}

/** One torrent's slots: which peers are served, dealt out every few seconds, and soon after one may be free. */
export class Slots {
  readonly #options: SlotsOptions;
  #rotatedAtMs = 0;
  #dealtAtMs = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | undefined;

  constructor(options: SlotsOptions) {
    this.#options = options;
  }

  tick(nowMs: number): void {
    if (nowMs - this.#rotatedAtMs > rechokeIntervalMs) this.#deal(true);
  }

  /** Deals them out, since some may be free by now: at once, unless that was only just done. */
  dealSoon(): void {
    const { clock } = this.#options;
    const waitMs = this.#dealtAtMs + rechokeIntervalMsMin - clock.now();
    if (waitMs <= 0) this.#deal(false);
    else this.#cancel ??= clock.after(waitMs, () => this.#deal(false));
  }

  onInterest(peer: Peer, interested: boolean): void {
    const { clock, peers } = this.#options;
    if (peer.interested === interested) return;
    peer.interested = interested;
    peer.chokeChangedAtMs = clock.now();
    // Interest comes and goes with every piece; it matters to the slots only where someone waits for one.
    const isOfConsequence = interested ? peer.amChoking : peers.size > unchokedMax;
    if (isOfConsequence) this.dealSoon();
  }

  stop(): void {
    this.#cancel?.();
  }

  #deal(rotate: boolean): void {
    const { clock, peers, isNear, serve, isWaiting } = this.#options;
    const nowMs = clock.now();
    this.#cancel?.();
    this.#cancel = undefined;
    this.#dealtAtMs = nowMs;
    if (rotate) this.#rotatedAtMs = nowMs;
    const served = [...peers].map((peer) => ({
      peer,
      isNear: isNear(peer),
      interested: peer.interested,
      unchoked: !peer.amChoking,
      changedAtMs: peer.chokeChangedAtMs,
      bytesPerSecond: peer.up.bytesPerSecond(nowMs),
    }));
    const chosen = chooseUnchoked(served, unchokedMax, rotate);
    serve(chosen);
    for (const { peer } of served) peer.setChoking(!chosen.has(peer) || (peer.amChoking && isWaiting(peer)));
  }
}

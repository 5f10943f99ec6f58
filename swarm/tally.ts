import { badSendersMax } from "./limits.ts";
import { RateMeter } from "./rate.ts";
import type { TorrentHost } from "./torrent-host.ts";
import type { TorrentStatus } from "./types.ts";

type Host = Pick<TorrentHost, "clock" | "countReceived" | "countSent" | "countVerifyFailure">;

/** What of the status of a torrent is counted. */
type Counted =
  | "swarmBytes"
  | "farBytes"
  | "sourceBytes"
  | "sentBytes"
  | "downBytesPerSecond"
  | "upBytesPerSecond"
  | "verifyFailures"
  | "msSinceProgress";

/** What one torrent has received and sent, and who sent what was wrong; the node's totals are told of it, too. */
export class Tally {
  readonly #host: Host;
  readonly #down: RateMeter;
  readonly #up: RateMeter;
  readonly #received = { peer: 0, source: 0 };
  readonly #badSenders = new Map<string, number>();
  #farBytes = 0;
  #verifyFailures = 0;
  #progressAtMs: number;

  constructor(host: Host) {
    const nowMs = host.clock.now();
    this.#host = host;
    this.#down = new RateMeter(nowMs);
    this.#up = new RateMeter(nowMs);
    this.#progressAtMs = nowMs;
  }

  /** Something came that brings the torrent on. */
  progressed(): void {
    this.#progressAtMs = this.#host.clock.now();
  }

  received(bytes: number, from: "peer" | "source"): void {
    const nowMs = this.#host.clock.now();
    this.#progressAtMs = nowMs;
    this.#received[from] += bytes;
    this.#down.add(bytes, nowMs);
    if (from === "peer") this.#host.countReceived(bytes);
  }

  /** Of what peers sent, bytes from another zone. */
  receivedFromAfar(bytes: number): void {
    this.#farBytes += bytes;
  }

  sent(bytes: number): void {
    this.#up.add(bytes, this.#host.clock.now());
    this.#host.countSent(bytes);
  }

  /** A piece failed its hash; `from`: who sent parts of it. */
  verifyFailed(from: readonly string[]): void {
    this.#verifyFailures++;
    for (const sender of from) {
      const count = this.#badSenders.get(sender) ?? 0;
      if (count > 0 || this.#badSenders.size < badSendersMax) this.#badSenders.set(sender, count + 1);
    }
    this.#host.countVerifyFailure();
  }

  /** Who sent pieces that failed their hash, or parts of them, and how many: some of them, if they are many. */
  get badSenders(): ReadonlyMap<string, number> {
    return this.#badSenders;
  }

  status(nowMs: number): Pick<TorrentStatus, Counted> {
    return {
      swarmBytes: this.#received.peer,
      farBytes: this.#farBytes,
      sourceBytes: this.#received.source,
      sentBytes: this.#up.total,
      downBytesPerSecond: this.#down.bytesPerSecond(nowMs),
      upBytesPerSecond: this.#up.bytesPerSecond(nowMs),
      verifyFailures: this.#verifyFailures,
      msSinceProgress: nowMs - this.#progressAtMs,
    };
  }
}

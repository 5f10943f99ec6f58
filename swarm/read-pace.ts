/**
 * How long to leave a connection unread, pure. On a link slower than this machine a few packets would be a read each, with
 * its wake-up, its event and its call. Left in the kernel for some milliseconds, many packets come with one read.
 */

/** A rate is known after this time, and forgotten when nothing has come for the other. */
const windowMs = 50;
const silenceMs = 1_000;

/** What is to gather: half of what the kernel takes for a connection before the sender has to wait. */
const gatheredBytes = 64 * 1024;
/** A read of as much may have left more behind: Node's reads end there. */
const fullReadBytes = 64 * 1024;

/** On a faster path reads are large by themselves. */
const fastBytesPerMs = 16 * 1024;

/** What arrives waits for this long at most: little beside what a piece takes on such a link. */
const restMsMax = 16;
/** The same while somebody waits for a piece. */
const urgentRestMsMax = 2;

export class ReadPace {
  #bytes = 0;
  #sinceMs = Number.NEGATIVE_INFINITY;
  #lastMs = Number.NEGATIVE_INFINITY;
  #restMs = 0;

  /**
   * Milliseconds to rest after a read of so many bytes; 0 for none. A rest is never what bounds the rate: more than is
   * meant to gather has room in the kernel, and shortens the next ones.
   *
   * @param midBlock whether the rest of a block is still to come: what there is to wait for is data
   * @param urgent whether somebody waits for a piece
   */
  restMs(bytes: number, nowMs: number, midBlock: boolean, urgent: boolean): number {
    if (nowMs - this.#lastMs > silenceMs) this.#begin(nowMs, 0);
    this.#lastMs = nowMs;
    this.#bytes += bytes;
    if (nowMs - this.#sinceMs >= windowMs) {
      const bytesPerMs = this.#bytes / (nowMs - this.#sinceMs);
      const isFast = bytesPerMs > fastBytesPerMs;
      this.#begin(nowMs, isFast ? 0 : Math.min(restMsMax, Math.floor(gatheredBytes / bytesPerMs)));
    }
    if (!midBlock || bytes >= fullReadBytes) return 0;
    return urgent ? Math.min(this.#restMs, urgentRestMsMax) : this.#restMs;
  }

  #begin(nowMs: number, restMs: number): void {
    this.#bytes = 0;
    this.#sinceMs = nowMs;
    this.#restMs = restMs;
  }
}

/** Chunks of a stream, put together so that what is done with each is worth its cost. */
import type { Clock } from "../../swarm/types.ts";

/** A write of less costs more for being a write than for its bytes; of more, nothing is gained. */
const gatheredBytesMin = 64 * 1024;
/** What has come is kept back no longer, whether or not more comes. */
const gatheredMsMax = 100;

/**
 * The same bytes in fewer pieces: each has 64 KiB, or what came in a tenth of a second. What came before the stream failed
 * is told before its error is thrown.
 */
export async function* gathered(chunks: AsyncIterable<Uint8Array>, clock: Clock): AsyncGenerator<Uint8Array, void> {
  const parts = new Parts(clock);
  const stream = chunks[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = stream.next();
      // Whoever reads may stop while the stream is still to answer.
      next.catch(() => {});
      if (await parts.areDueBefore(next)) yield parts.take();
      const { value, done } = await next;
      if (done) break;
      parts.add(value);
      if (parts.bytes >= gatheredBytesMin) yield parts.take();
    }
    if (parts.bytes > 0) yield parts.take();
  } catch (error) {
    if (parts.bytes > 0) yield parts.take();
    throw error;
  } finally {
    parts.close();
    // Not waited for: where it has yet to answer, it ends only then.
    stream.return?.().catch(() => {});
  }
}

class Parts {
  readonly #clock: Clock;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #due: Promise<true> | undefined;
  #cancelDue: () => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(chunk: Uint8Array): void {
    this.#parts.push(chunk);
    this.#bytes += chunk.length;
    this.#due ??= new Promise((resolve) => {
      this.#cancelDue = this.#clock.after(gatheredMsMax, () => resolve(true));
    });
  }

  /** Whether there are some, and their time is over before the promise is settled. */
  async areDueBefore(next: Promise<unknown>): Promise<boolean> {
    if (!this.#due) return false;
    const settled = () => false;
    return await Promise.race([next.then(settled, settled), this.#due]);
  }

  take(): Uint8Array {
    const taken = this.#parts.length === 1 ? (this.#parts[0] as Uint8Array) : Buffer.concat(this.#parts);
    this.close();
    this.#parts = [];
    this.#bytes = 0;
    return taken;
  }

  close(): void {
    this.#cancelDue();
    this.#due = undefined;
  }
}

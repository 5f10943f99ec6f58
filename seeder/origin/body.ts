/** A request's body as a stream that notices a client that has gone silent, and that leaves the socket alone at its end. */

import type { Request } from "../../daemon/listener.ts";
import { Problem } from "../../daemon/problem.ts";

/**
 * The body's bytes; a chunk is there until the next is asked for. Ending the iteration early leaves the request as it is,
 * so that an answer can still be sent.
 *
 * @throws Problem "unavailable" if nothing comes for `idleTimeoutMs` while somebody waits for it; the request's own error
 * if it is cut.
 */
export async function* bodyOf(request: Request, idleTimeoutMs: number): AsyncIterable<Uint8Array> {
  const chunks = request.iterator({ destroyOnReturn: false });
  const patience = new Patience(idleTimeoutMs);
  try {
    for (;;) {
      const next = await patience.waitFor(chunks.next());
      if (next.done) break;
      const chunk = next.value as Uint8Array;
      yield chunk;
      release(chunk);
    }
  } finally {
    patience.end();
    // Nobody may be waiting for it any more when it fails.
    chunks.return?.().catch(() => {});
  }
}

/**
 * Frees a chunk's memory now. Left to the garbage collector it piles up until V8 collects everything, dozens of times for
 * each GiB: a fifth of the CPU that an upload takes. What shares its memory with others is left alone.
 */
function release(chunk: Uint8Array): void {
  const { buffer } = chunk;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === chunk.byteLength) buffer.transfer(0);
}

/** A time limit for one wait after the other, by one timer for all of them. */
class Patience {
  readonly #timer: NodeJS.Timeout;
  #fail: ((problem: Problem) => void) | undefined;

  constructor(timeoutMs: number) {
    this.#timer = setTimeout(() => {
      this.#fail?.(new Problem("unavailable", `no byte came for ${timeoutMs / 1_000} s, so the upload was dropped`));
    }, timeoutMs);
  }

  waitFor<T>(promise: Promise<T>): Promise<T> {
    this.#timer.refresh();
    return new Promise((resolve, reject) => {
      // Of a promise that is settled, it changes nothing.
      this.#fail = reject;
      promise.then(resolve, reject);
    });
  }

  end(): void {
    clearTimeout(this.#timer);
  }
}

/** A request's body as a stream that notices a client that has gone silent, and that leaves the socket alone at its end. */

import type { Request } from "../../daemon/listener.ts";
import { Problem } from "../../daemon/problem.ts";

/**
 * The body's bytes. Ending the iteration early leaves the request as it is, so that an answer can still be sent.
 *
 * @throws Problem "unavailable" if nothing comes for `idleTimeoutMs` while somebody waits for it; the request's own error
 * if it is cut.
 */
export async function* bodyOf(request: Request, idleTimeoutMs: number): AsyncIterable<Uint8Array> {
  const chunks = request.iterator({ destroyOnReturn: false });
  try {
    for (;;) {
      const next = await withTimeout(chunks.next(), idleTimeoutMs, () => {
        return new Problem("unavailable", `no byte came for ${idleTimeoutMs / 1_000} s, so the upload was dropped`);
      });
      if (next.done) break;
      yield next.value as Uint8Array;
    }
  } finally {
    // Nobody may be waiting for it any more when it fails.
    chunks.return?.().catch(() => {});
  }
}

function withTimeout<T>(promise: Promise<T>, timeoutMs: number, problem: () => Problem): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(problem()), timeoutMs);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

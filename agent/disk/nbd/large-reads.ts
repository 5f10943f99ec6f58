import { largeReadBytesMax } from "./limits.ts";

/**
 * How much memory the large reads of all connections have: those that must be answered in one piece, up to 32 MiB each.
 * Whoever finds none left waits until another has been sent.
 */
export class LargeReads {
  #bytes = 0;
  readonly #waiting = new Set<() => void>();

  /** Takes so much, if it is there; if not, `retry` is called once when some has been given back. */
  take(bytes: number, retry: () => void): boolean {
    if (this.#bytes > 0 && this.#bytes + bytes > largeReadBytesMax) {
      this.#waiting.add(retry);
      return false;
    }
    this.#bytes += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#bytes -= bytes;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const retry of waiting) retry();
  }

  /** It does not wait any more. */
  forget(retry: () => void): void {
    this.#waiting.delete(retry);
  }
}

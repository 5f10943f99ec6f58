import type { Clock } from "../../../swarm/types.ts";

/** A clock that stands until it is told to go on; sockets stay real. */
export class ManualClock implements Clock {
  #nowMs = 1_000_000;
  readonly #timers = new Set<{ atMs: number; run: () => void }>();

  now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Goes on in small steps, with turns between them in which sockets have their say. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      this.#runDue();
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      if (this.#nowMs >= endMs) return;
      this.#nowMs = Math.min(endMs, this.#nowMs + 50);
    }
  }

  /** Goes on until the condition holds; how long that took. @throws Error if it does not within `ms`. */
  async advanceUntil(condition: () => boolean, ms: number): Promise<number> {
    const startMs = this.#nowMs;
    while (!condition()) {
      if (this.#nowMs - startMs >= ms) throw new Error(`it did not happen within ${ms} ms of the clock`);
      await this.advance(50);
    }
    return this.#nowMs - startMs;
  }

  #runDue(): void {
    const due = [...this.#timers].filter(({ atMs }) => atMs <= this.#nowMs).sort((a, b) => a.atMs - b.atMs);
    for (const timer of due) if (this.#timers.delete(timer)) timer.run();
  }
}

/** Waits for what only sockets, not the clock, have to bring about. The test's own time-out ends it. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

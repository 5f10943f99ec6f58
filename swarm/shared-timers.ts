/** Runs what is due at about the same time from one timer: where much is due, a wake-up costs more than what is done in it. */
import type { Clock } from "./types.ts";

export class SharedTimers {
  readonly #clock: Clock;
  /** By the time when they are due, in milliseconds. */
  readonly #due = new Map<number, (() => void)[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs it once: when all of the delay, of at least 1 ms, has passed, or earlier, but not before half of it has. */
  within(delayMs: number, run: () => void): void {
    const nowMs = this.#clock.now();
    // Powers of two: what may wait for longer falls together with what may not.
    const stepMs = 2 ** Math.max(0, Math.floor(Math.log2(delayMs / 2)));
    const dueAtMs = Math.floor((nowMs + delayMs) / stepMs) * stepMs;
    const sharing = this.#due.get(dueAtMs);
    if (sharing) {
      sharing.push(run);
      return;
    }
    this.#due.set(dueAtMs, [run]);
    this.#clock.after(dueAtMs - nowMs, () => this.#run(dueAtMs));
  }

  #run(dueAtMs: number): void {
    const due = this.#due.get(dueAtMs) ?? [];
    this.#due.delete(dueAtMs);
    for (const run of due) run();
  }
}

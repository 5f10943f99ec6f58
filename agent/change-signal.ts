/** Tells any number of watchers that something has changed. Changes between two looks count as one. */
export class ChangeSignal {
  #version = 0;
  readonly #waiting = new Set<() => void>();

  /** Grows with every change; pass it to `after`. */
  get version(): number {
    return this.#version;
  }

  notify(): void {
    this.#version++;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }

  /** Resolves once there has been a change since `version`, or when the signal aborts. */
  after(version: number, signal: AbortSignal): Promise<void> {
    if (this.#version !== version || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }
}

/** Runs asynchronous work one at a time, in the order it was asked for. */
export class Serial {
  #last: Promise<unknown> = Promise.resolve();
  #pending = 0;

  /** Whether no work runs or waits. */
  get idle(): boolean {
    return this.#pending === 0;
  }

  /** Runs `work` once all earlier work has ended, however it ended. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    this.#pending++;
    const result = this.#last.then(work, work);
    this.#last = result.catch(() => {});
    try {
      return await result;
    } finally {
      this.#pending--;
    }
  }
}

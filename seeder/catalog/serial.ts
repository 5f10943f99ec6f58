/** Runs tasks one after another, in the order they were given, whatever becomes of each. */
export class Serial {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `task` after all given before it. Rejects as the task does. */
  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    this.#last = result.catch(() => {});
    return result;
  }
}

/** Lets something be done once in a turn of the event loop, whoever does it. */
export class OnceATurn {
  #isTaken = false;

  /** Whether it is not done yet in this turn; from now on it is. */
  take(): boolean {
    if (this.#isTaken) return false;
    this.#isTaken = true;
    setImmediate(() => {
      this.#isTaken = false;
    });
    return true;
  }
}

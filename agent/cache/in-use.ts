import { ChangeSignal } from "../change-signal.ts";

/** Who uses which image: leases, and whatever else reads an image's file. What is in use is never evicted. */
export class InUse {
  /** Notified when an image comes into use or out of it. */
  readonly changes = new ChangeSignal();
  readonly #holders = new Map<string, Map<symbol, string>>();

  /**
   * Holds an image until the function returned is called.
   *
   * @param holder who it is, for people: "lease 1f0c of vm-12", "disk vda"
   */
  hold(digest: string, holder: string): () => void {
    const key = Symbol(holder);
    const holders = this.#holders.get(digest) ?? new Map<symbol, string>();
    this.#holders.set(digest, holders.set(key, holder));
    this.changes.notify();
    return () => {
      if (!holders.delete(key)) return;
      if (holders.size === 0 && this.#holders.get(digest) === holders) this.#holders.delete(digest);
      this.changes.notify();
    };
  }

  /** Who holds an image, in order of coming. */
  holdersOf(digest: string): string[] {
    return [...(this.#holders.get(digest)?.values() ?? [])];
  }

  isInUse(digest: string): boolean {
    return this.#holders.has(digest);
  }
}

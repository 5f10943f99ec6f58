import { ChangeSignal } from "../change-signal.ts";

interface Holder {
  name: string;
  firm: boolean;
}

/** Who uses which image: leases, and whatever else reads an image's file. What is in use is never evicted. */
export class InUse {
  /** Notified when an image comes into use or out of it. */
  readonly changes = new ChangeSignal();
  readonly #holders = new Map<string, Map<symbol, Holder>>();

  /**
   * Holds an image until the function returned is called.
   *
   * @param name who it is, for people: "lease 1f0c of vm-12", "disk vda"
   * @param firm whether the image is not even removed by force
   */
  hold(digest: string, name: string, firm = false): () => void {
    const key = Symbol(name);
    const holders = this.#holders.get(digest) ?? new Map<symbol, Holder>();
    this.#holders.set(digest, holders.set(key, { name, firm }));
    this.changes.notify();
    return () => {
      if (!holders.delete(key)) return;
      if (holders.size === 0 && this.#holders.get(digest) === holders) this.#holders.delete(digest);
      this.changes.notify();
    };
  }

  /** Who holds an image, in order of coming. */
  holdersOf(digest: string): string[] {
    return this.#of(digest).map(({ name }) => name);
  }

  /** Those of them for whom force does not count. */
  firmHoldersOf(digest: string): string[] {
    return this.#of(digest).flatMap(({ name, firm }) => (firm ? name : []));
  }

  isInUse(digest: string): boolean {
    return this.#holders.has(digest);
  }

  #of(digest: string): Holder[] {
    return [...(this.#holders.get(digest)?.values() ?? [])];
  }
}

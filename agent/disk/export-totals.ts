import type { ExportStats } from "./messages.ts";

/** Where bytes that VMs read came from. */
export const readSources = ["boot-image", "file", "demand"] as const;
export type ReadSource = (typeof readSources)[number];

/** What was read of all exports since the agent started: those that have been closed count on. */
export class ExportTotals {
  readonly #current = new Map<string, ExportStats>();
  readonly #past: Record<ReadSource | "errors", number> = { "boot-image": 0, file: 0, demand: 0, errors: 0 };

  /** Takes in what the disk worker says. A worker that was started anew counts from nothing. */
  note(exports: readonly ExportStats[]): void {
    for (const stats of exports) {
      const before = this.#current.get(stats.id);
      if (before && before.reads > stats.reads) this.#add(before);
      this.#current.set(stats.id, stats);
    }
  }

  /** An export was closed. */
  closed(id: string): void {
    const last = this.#current.get(id);
    if (last) this.#add(last);
    this.#current.delete(id);
  }

  of(id: string): ExportStats | undefined {
    return this.#current.get(id);
  }

  get connections(): number {
    return this.#sum(({ connections }) => connections);
  }

  get errors(): number {
    return this.#past.errors + this.#sum(({ errors }) => errors);
  }

  bytesFrom(source: ReadSource): number {
    const now = (stats: ExportStats) =>
      ({ "boot-image": stats.bootImageBytes, file: stats.fileBytes, demand: stats.demandBytes })[source];
    return this.#past[source] + this.#sum(now);
  }

  #add(stats: ExportStats): void {
    this.#past["boot-image"] += stats.bootImageBytes;
    this.#past.file += stats.fileBytes;
    this.#past.demand += stats.demandBytes;
    this.#past.errors += stats.errors;
  }

  #sum(of: (stats: ExportStats) => number): number {
    return [...this.#current.values()].reduce((sum, stats) => sum + of(stats), 0);
  }
}

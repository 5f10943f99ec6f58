/** Launches that were told of lately, so that one told again does not count twice. The time comes with each call. */
import { launchIdsKeptMs, launchIdsMax } from "./limits.ts";

export class LaunchIds {
  /** When each was told of; the oldest first. */
  readonly #toldAtMs = new Map<string, number>();

  /** Takes an id in; false if it is known already. An empty one is never known. */
  add(id: string, nowMs: number): boolean {
    if (id === "") return true;
    for (const [oldest, atMs] of this.#toldAtMs) {
      if (nowMs - atMs < launchIdsKeptMs && this.#toldAtMs.size < launchIdsMax) break;
      this.#toldAtMs.delete(oldest);
    }
    if (this.#toldAtMs.has(id)) return false;
    this.#toldAtMs.set(id, nowMs);
    return true;
  }
}

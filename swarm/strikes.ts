/** Who is struck off for bad pieces or bad messages, and who is on the way to it: pure but for the time it is told. */
import { isLoopback } from "./endpoint.ts";
import { strikeOffMs, struckOffMax } from "./limits.ts";
import type { Endpoint } from "./types.ts";

export class Strikes {
  /** Struck-off keys and until when, oldest first. */
  readonly #until = new Map<string, number>();
  /** How often somebody did what is forgiven a few times, and until when that is remembered; the longest ago first. */
  readonly #blamed = new Map<string, { times: number; untilMs: number }>();

  /**
   * Strikes off a peer by its address. Behind one loopback address live many peers: there the port counts, and the id,
   * because an inbound connection's port says nothing. Elsewhere it does not: whoever copies it could get another struck.
   */
  strike(peer: { id: string; address: Endpoint | undefined }, nowMs: number): void {
    for (const key of keysOf(peer)) {
      this.#until.delete(key);
      this.#until.set(key, nowMs + strikeOffMs);
      this.#blamed.delete(key);
    }
    while (this.#until.size > struckOffMax) this.#until.delete(this.#until.keys().next().value as string);
  }

  /**
   * Notes what is forgiven a few times. It is remembered by address, as strikes are: a new connection is no new peer.
   *
   * @returns how often the peer has done it by now
   */
  blame(peer: { id: string; address: Endpoint | undefined }, nowMs: number): number {
    let most = 0;
    for (const key of keysOf(peer)) {
      const known = this.#blamed.get(key);
      const times = known && known.untilMs > nowMs ? known.times + 1 : 1;
      this.#blamed.delete(key);
      this.#blamed.set(key, { times, untilMs: nowMs + strikeOffMs });
      most = Math.max(most, times);
    }
    while (this.#blamed.size > struckOffMax) this.#blamed.delete(this.#blamed.keys().next().value as string);
    return most;
  }

  isStruck(peer: { id?: string; address: Endpoint | undefined }, nowMs: number): boolean {
    return keysOf(peer).some((key) => (this.#until.get(key) ?? 0) > nowMs);
  }
}

function keysOf({ id, address }: { id?: string; address: Endpoint | undefined }): string[] {
  if (!address) return [];
  const { host, port } = address;
  if (!isLoopback(host)) return [host];
  return id ? [`${host}:${port}`, `${host} ${id}`] : [`${host}:${port}`];
}

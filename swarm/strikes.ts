/** Who is struck off for bad pieces or bad messages: pure but for the time it is told. */
import { isLoopback } from "./endpoint.ts";
import { strikeOffMs, struckOffMax } from "./limits.ts";
import type { Endpoint } from "./types.ts";

export class Strikes {
  /** Struck-off keys and until when, oldest first. */
  readonly #until = new Map<string, number>();

  /**
   * Strikes off a peer by its address. Behind one loopback address live many peers: there the port counts, and the id,
   * because an inbound connection's port says nothing. Elsewhere it does not: whoever copies it could get another struck.
   */
  strike(peer: { id: string; address: Endpoint | undefined }, nowMs: number): void {
    for (const key of keysOf(peer)) {
      this.#until.delete(key);
      this.#until.set(key, nowMs + strikeOffMs);
    }
    while (this.#until.size > struckOffMax) this.#until.delete(this.#until.keys().next().value as string);
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

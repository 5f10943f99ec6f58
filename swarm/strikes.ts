/** Who is struck off for bad pieces or bad messages: pure but for the time it is told. */
import { isLoopback } from "./endpoint.ts";
import { strikeOffMs, struckOffMax } from "./limits.ts";
import type { Endpoint } from "./types.ts";

export class Strikes {
  /** Struck-off keys and until when, oldest first. */
  readonly #until = new Map<string, number>();

  /** Strikes off a peer by its id and address. Behind one loopback address live many peers: there the port counts. */
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

function keysOf(peer: { id?: string; address: Endpoint | undefined }): string[] {
  const keys = peer.id ? [peer.id] : [];
  if (!peer.address) return keys;
  const { host, port } = peer.address;
  keys.push(isLoopback(host) ? `${host}:${port}` : host);
  return keys;
}

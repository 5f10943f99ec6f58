/** The pieces of an image that is on its way, in the order of a boot. */
import { EventEmitter } from "node:events";
import { describe, expect, test } from "vitest";
import { orderPieces } from "../../../agent/boot/piece-order.ts";
import type { ImageCache } from "../../../agent/cache/image-cache.ts";
import { ChangeSignal } from "../../../agent/change-signal.ts";
import { Bitfield } from "../../../swarm/bitfield.ts";
import type { Torrent } from "../../../swarm/torrent.ts";

const extents = [
  { offset: 90, length: 20 },
  { offset: 0, length: 5 },
];

/** As much of a torrent as is needed here. */
class OrderedTorrent extends EventEmitter {
  info: { pieceLengthBytes: number } | undefined;
  have: Bitfield | undefined;
  readonly orders: (readonly number[])[] = [];

  setOrder(pieces: readonly number[]): void {
    this.orders.push(pieces);
  }
}

function ordering(torrent: OrderedTorrent | undefined) {
  const there = { torrent, complete: false };
  const stateChanges = new ChangeSignal();
  const stop = new AbortController();
  const cache = { get: () => ({ record: { infohash: "1" }, complete: there.complete }) } as unknown as ImageCache;
  const swarm = { get: () => there.torrent as unknown as Torrent | undefined };
  const told: (boolean | "came")[] = [];
  const watcher = { came: () => told.push("came"), allHere: (isAll: boolean) => told.push(isAll) };
  const ended = orderPieces({ cache, swarm, fetches: { stateChanges } }, "digest", extents, watcher, stop.signal);
  return { there, stateChanges, stop, ended, told };
}

describe("the order of a boot", () => {
  test("is told to a torrent whose pieces are known", async () => {
    const torrent = new OrderedTorrent();
    torrent.info = { pieceLengthBytes: 10 };
    const { stop, ended } = ordering(torrent);
    expect(torrent.orders).toEqual([[9, 10, 0]]);
    stop.abort();
    await ended;
  });

  test("is told once the pieces of a magnet link are known", async () => {
    const torrent = new OrderedTorrent();
    const { stop, ended } = ordering(torrent);
    torrent.info = { pieceLengthBytes: 100 };
    torrent.emit("opened");
    expect(torrent.orders).toEqual([[0, 1]]);
    stop.abort();
    await ended;
  });

  test("is told to every torrent that the image is fetched by, until it is here", async () => {
    const { there, stateChanges, ended } = ordering(undefined);
    const [first, second] = [new OrderedTorrent(), new OrderedTorrent()];
    for (const torrent of [first, second]) {
      torrent.info = { pieceLengthBytes: 10 };
      there.torrent = torrent;
      stateChanges.notify();
      await Promise.resolve();
      stateChanges.notify();
      await Promise.resolve();
    }
    await expect.poll(() => [first.orders.length, second.orders.length]).toEqual([1, 1]);
    there.complete = true;
    stateChanges.notify();
    await ended;
  });

  test("is over when all of its pieces are here, whatever else has come", async () => {
    const torrent = new OrderedTorrent();
    torrent.info = { pieceLengthBytes: 10 };
    torrent.have = new Bitfield(20);
    const { stateChanges, stop, ended, told, there } = ordering(torrent);
    for (const index of [10, 3, 0, 9, 4]) {
      torrent.have.add(index);
      torrent.emit("piece", index);
    }
    expect(told.filter((each) => each !== "came")).toEqual([false, false, false, false, true, true]);
    there.torrent = new OrderedTorrent();
    stateChanges.notify();
    await expect.poll(() => torrent.listenerCount("piece")).toBe(0);
    stop.abort();
    await ended;
  });
});

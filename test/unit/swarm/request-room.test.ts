import { describe, expect, test } from "vitest";
import { blockBytes } from "../../../swarm/limits.ts";
import { RequestRoom } from "../../../swarm/request-room.ts";

const peerOf = (live: number, depth: number) => ({
  requestsLive: live,
  requests: { live, depth: () => depth, answerMsMin: 10 },
  down: { bytesPerSecond: () => 0 },
});
const peersOf = (count: number) => new Set(Array.from({ length: count }, () => peerOf(0, 4)));

/** Blocks that a further peer may be asked for once so many came within a second. */
function roomAfter(room: RequestRoom, blocksPerSecond: number): number {
  for (let block = 0; block < blocksPerSecond; block++) room.arrived(blockBytes, 0);
  return room.leftFor(peerOf(0, 4), 1_000);
}

describe("how much may be asked of all peers together", () => {
  test("grows with what comes in", () => {
    expect(roomAfter(new RequestRoom(peersOf(10), 0), 300)).toBeGreaterThan(
      roomAfter(new RequestRoom(peersOf(10), 0), 100),
    );
  });

  test("is less in a large crowd, where it would only wait in others' queues", () => {
    expect(roomAfter(new RequestRoom(peersOf(60), 0), 300)).toBeLessThan(
      roomAfter(new RequestRoom(peersOf(10), 0), 300) / 2,
    );
  });

  test("is shared evenly in a large crowd: nobody is asked for more while others have something", () => {
    const room = new RequestRoom(peersOf(60), 0);
    expect(room.leftFor(peerOf(0, 4), 0)).toBe(1);
    expect(room.leftFor(peerOf(1, 4), 0)).toBe(0);
  });

  test("keeps a long path full to a peer that answers without delay, whatever its share", () => {
    const quick = { ...peerOf(1, 64), down: { bytesPerSecond: () => 300 * blockBytes } };
    expect(new RequestRoom(peersOf(60), 0).leftFor(quick, 0)).toBeGreaterThanOrEqual(3);
  });

  test("is shared evenly by the link: a fast one has more than a block under way with each of a large crowd", () => {
    expect(roomAfter(new RequestRoom(peersOf(60), 0), 7_000)).toBeGreaterThan(3);
  });

  test("is not taken up by one peer that was asked for much while it was quick", () => {
    const hog = peerOf(1_000, 4);
    const room = new RequestRoom(new Set([hog, peerOf(0, 4)]), 0);
    expect(room.leftFor(peerOf(0, 4), 0)).toBeGreaterThan(1);
  });

  test("is one block for an idle peer at the least", () => {
    const peers = new Set(Array.from({ length: 50 }, () => peerOf(4, 4)));
    const room = new RequestRoom(peers, 0);
    expect(room.leftFor(peerOf(0, 4), 0)).toBe(1);
    expect(room.leftFor(peerOf(1, 4), 0)).toBe(0);
  });
});

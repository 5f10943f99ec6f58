import { describe, expect, test } from "vitest";
import { ReadPace } from "../../../swarm/read-pace.ts";

const KiB = 1024;
const packetBytes = 1_448;

/** Reads of a path for so long, packet by packet or after a rest, in reads of 64 KiB at most: bytes and reads. */
function readFrom(bytesPerMs: number, durationMs: number, kernelBytes = 128 * KiB, urgent = false) {
  const pace = new ReadPace();
  let [nowMs, arrivedMs, queued, readBytes, reads, restMsLongest] = [0, 0, 0, 0, 0, 0];
  while (nowMs < durationMs) {
    if (queued === 0) nowMs = Math.max(nowMs, arrivedMs + packetBytes / bytesPerMs);
    // What finds no room waits at the sender's.
    queued = Math.min(kernelBytes, queued + (nowMs - arrivedMs) * bytesPerMs);
    arrivedMs = nowMs;
    const bytes = Math.min(queued, 64 * KiB);
    queued -= bytes;
    readBytes += bytes;
    reads++;
    const restMs = pace.restMs(bytes, nowMs, true, urgent);
    restMsLongest = Math.max(restMsLongest, restMs);
    nowMs += restMs;
  }
  return { bytesPerRead: readBytes / reads, ratio: readBytes / (durationMs * bytesPerMs), restMsLongest };
}

describe("a connection is left unread", () => {
  test("on a slow path, so that dozens of KiB come with a read", () => {
    const { bytesPerRead, ratio, restMsLongest } = readFrom(6_250, 5_000);
    expect(bytesPerRead).toBeGreaterThan(32 * KiB);
    expect(ratio).toBeGreaterThan(0.99);
    expect(restMsLongest).toBeLessThanOrEqual(16);
  });

  test("for a few milliseconds while somebody waits for a piece", () => {
    expect(readFrom(1_000, 2_000, 128 * KiB, true).restMsLongest).toBe(2);
  });

  test("never on a fast path", () => {
    expect(readFrom(100_000, 1_000)).toMatchObject({ restMsLongest: 0 });
  });

  test("no longer once its path has become a fast one", () => {
    const pace = new ReadPace();
    for (let nowMs = 0; nowMs < 200; nowMs += 10) pace.restMs(packetBytes, nowMs, true, false);
    let [nowMs, rests] = [200, 0];
    // A full buffer at every read after a rest, and its end.
    for (; rests < 100; rests++) {
      pace.restMs(64 * KiB, nowMs, true, false);
      const restMs = pace.restMs(63 * KiB, nowMs, true, false);
      if (restMs === 0) break;
      nowMs += restMs;
    }
    expect(nowMs - 200).toBeLessThan(500);
  });

  test("not while more is there, between blocks, or before its rate is known anew", () => {
    const pace = new ReadPace();
    const restMs = (bytes: number, nowMs: number, midBlock = true) => pace.restMs(bytes, nowMs, midBlock, false);
    for (let nowMs = 0; nowMs < 200; nowMs += 10) restMs(packetBytes, nowMs);
    expect([restMs(packetBytes, 200), restMs(64 * KiB, 200), restMs(17, 200, false)]).toEqual([16, 0, 0]);
    expect(restMs(packetBytes, 1_300)).toBe(0);
  });
});

import { expect, test } from "vitest";
import { gathered } from "../../../agent/fetch/gather.ts";
import { ManualClock } from "../swarm/manual-clock.ts";

async function* chunksOf(lengths: number[], before: (index: number) => void = () => {}) {
  for (const [index, length] of lengths.entries()) {
    before(index);
    yield new Uint8Array(length).fill(index);
  }
}

async function lengthsOf(chunks: AsyncIterable<Uint8Array>): Promise<number[]> {
  const lengths: number[] = [];
  for await (const chunk of chunks) lengths.push(chunk.length);
  return lengths;
}

test("puts chunks together to 64 KiB and the rest", async () => {
  const lengths = await lengthsOf(gathered(chunksOf(new Array(100).fill(1_448)), new ManualClock()));
  expect(lengths).toEqual([46 * 1_448, 46 * 1_448, 8 * 1_448]);
});

test("keeps the bytes and their order", async () => {
  const parts: Uint8Array[] = [];
  for await (const part of gathered(chunksOf([3, 40_000, 2, 70_000, 1]), new ManualClock())) parts.push(part);
  const expected: Uint8Array[] = [];
  for await (const chunk of chunksOf([3, 40_000, 2, 70_000, 1])) expected.push(chunk);
  expect(Buffer.concat(parts).equals(Buffer.concat(expected))).toBe(true);
});

test("tells what came in a tenth of a second, whether or not more comes", async () => {
  const clock = new ManualClock();
  async function* stalled() {
    yield* chunksOf([1_000, 2_000]);
    await new Promise(() => {});
  }
  const parts = gathered(stalled(), clock);
  const first = parts.next();
  await clock.advance(1_000);
  expect((await first).value).toHaveLength(3_000);
});

test("tells what came before the stream failed, and then the error", async () => {
  const failing = chunksOf([1_000, 2_000, 3_000], (index) => {
    if (index === 2) throw new Error("cut off");
  });
  const parts = gathered(failing, new ManualClock());
  expect((await parts.next()).value).toHaveLength(3_000);
  await expect(parts.next()).rejects.toThrow("cut off");
});

test("ends the stream when its reader stops", async () => {
  let ended = false;
  async function* endless() {
    try {
      for (;;) yield new Uint8Array(65_536);
    } finally {
      ended = true;
    }
  }
  for await (const _ of gathered(endless(), new ManualClock())) break;
  expect(ended).toBe(true);
});

test("waits for no stalled stream when its reader stops", async () => {
  const clock = new ManualClock();
  async function* stalled() {
    yield new Uint8Array(1_000);
    await new Promise(() => {});
  }
  const parts = gathered(stalled(), clock);
  const first = parts.next();
  await clock.advance(1_000);
  expect((await first).value).toHaveLength(1_000);
  expect((await parts.return()).done).toBe(true);
});

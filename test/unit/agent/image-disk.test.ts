/** What the disk of an image's file decides: which bytes are here, what to ask for, and which reads to make at once. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { ImageDisk } from "../../../agent/disk/image-disk.ts";
import { ImageFile } from "../../../agent/disk/image-file.ts";
import { mergeDemand } from "../../../agent/disk/merge-demand.ts";
import { OnceATurn } from "../../../agent/disk/once-a-turn.ts";
import { PieceMap } from "../../../agent/disk/piece-map.ts";
import { diskQuickMs, QuickReads } from "../../../agent/disk/quick-reads.ts";
import { ReadAhead } from "../../../agent/disk/read-ahead.ts";
import { RunQueueWait } from "../../../agent/disk/run-queue-wait.ts";
import { systemClock } from "../../../swarm/system-clock.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const turns = { diskTurn: new OnceATurn(), runQueueMs: () => 0 };
const quiet = { clock: systemClock, ...turns, onDemand: () => {}, onServed: () => {} };

/** Bits in BEP 3's order. */
function bitsOf(is: readonly boolean[]): SharedArrayBuffer {
  const bits = new Uint8Array(new SharedArrayBuffer(Math.ceil(is.length / 8)));
  for (const [index, set] of is.entries()) if (set) bits[index >> 3]! |= 0x80 >> (index & 7);
  return bits.buffer;
}

describe("which bytes are here", () => {
  /** An image of pieces of 10 bytes, the last one shorter, and a range in it. */
  const cases = fc
    .array(fc.record({ have: fc.boolean(), zero: fc.boolean() }), { minLength: 1, maxLength: 40 })
    .chain((pieces) => {
      const sizeBytes = pieces.length * 10 - 3;
      const range = fc.tuple(fc.nat(sizeBytes - 1), fc.nat(sizeBytes - 1)).map(([a, b]) => {
        const offset = Math.min(a, b);
        return { offset, length: Math.max(a, b) - offset + 1 };
      });
      return fc.record({ pieces: fc.constant(pieces), sizeBytes: fc.constant(sizeBytes), range });
    });

  function mapOf(pieces: readonly { have: boolean; zero: boolean }[], sizeBytes: number, complete = false): PieceMap {
    const have = bitsOf(pieces.map((piece) => piece.have));
    const zero = bitsOf(pieces.map((piece) => piece.zero));
    const shared = { pieceLengthBytes: 10, have, zero };
    return new PieceMap({ digest: "", dataPath: "", sizeBytes, complete, pieces: shared });
  }

  test("what is missing is just the bytes of pieces that are neither here nor zeros", () => {
    fc.assert(
      fc.property(cases, ({ pieces, sizeBytes, range: { offset, length } }) => {
        const map = mapOf(pieces, sizeBytes);
        const missing = map.missing(offset, length);
        const told = new Set(
          missing.flatMap((range) => Array.from({ length: range.length }, (_, at) => range.offset + at)),
        );
        for (let at = offset; at < offset + length; at += 1) {
          const { have, zero } = pieces[Math.floor(at / 10)] as { have: boolean; zero: boolean };
          expect(told.has(at)).toBe(!have && !zero);
        }
        expect(map.isHere(offset, length)).toBe(missing.length === 0);
      }),
    );
  });

  test("extents cover their range without gaps, each kind in one run", () => {
    fc.assert(
      fc.property(cases, ({ pieces, sizeBytes, range: { offset, length } }) => {
        let at = offset;
        let before: boolean | undefined;
        for (const extent of mapOf(pieces, sizeBytes).extents(offset, length)) {
          expect(extent.offset).toBe(at);
          expect(extent.hole).not.toBe(before);
          before = extent.hole;
          at += extent.length;
        }
        expect(at).toBe(offset + length);
      }),
    );
  });

  test("a complete image is here whatever its bits say; one whose pieces are not known is not", () => {
    const map = mapOf([{ have: false, zero: false }], 7, true);
    expect([map.isHere(0, 7), map.isInFile(0, 7), map.missing(0, 7)]).toEqual([true, true, []]);
    const unknown = new PieceMap({ digest: "", dataPath: "", sizeBytes: 7, complete: false });
    expect([unknown.isHere(0, 7), unknown.missing(2, 3)]).toEqual([false, [{ offset: 2, length: 3 }]]);
    expect(unknown.extents(0, 7)).toEqual([{ offset: 0, length: 7, hole: false }]);
  });

  test("extents of a long range end after as many pieces as one answer is worth", () => {
    const pieces = Array.from({ length: 10_000 }, (_, index) => ({ have: true, zero: index >= 5_000 }));
    const map = mapOf(pieces, 99_997, true);
    expect(map.extents(5, 90_000)).toEqual([{ offset: 5, length: 40_955, hole: false }]);
    expect(map.extents(40_960, 50_000)).toEqual([
      { offset: 40_960, length: 9_040, hole: false },
      { offset: 50_000, length: 31_920, hole: true },
    ]);
  });

  test("fewer bits than pieces are refused", () => {
    const shared = { pieceLengthBytes: 10, have: new SharedArrayBuffer(1), zero: new SharedArrayBuffer(1) };
    const image = { digest: "", dataPath: "", sizeBytes: 90, complete: false, pieces: shared };
    expect(() => new PieceMap(image)).toThrow(/need 2 bytes of bits/);
  });
});

test("a read of pieces that are doubted while it goes on waits for them, and has what is right then", async () => {
  const dataPath = join(await temporaryDirectory(), "data");
  await writeFile(dataPath, Buffer.alloc(200_000, "wrong"));
  const pieces = { pieceLengthBytes: 200_000, have: bitsOf([true]), zero: bitsOf([false]) };
  const image = { digest: "", dataPath, sizeBytes: 200_000, complete: false, pieces };
  const file = new ImageFile(image, { ...quiet, onLost: () => {} });
  onTestFinished(() => file.close());
  const disk = new ImageDisk(file, 60_000, systemClock);
  const target = Buffer.alloc(200_000);
  const reading = disk.pread(target, 0, new AbortController().signal);
  new Uint8Array(pieces.have)[0] = 0;
  await writeFile(dataPath, Buffer.alloc(200_000, "right"));
  file.update({ ...image, pieces: { ...pieces, have: bitsOf([true]) } });
  await reading;
  expect(target.equals(Buffer.alloc(200_000, "right"))).toBe(true);
});

test("a read of what the disk has lost of a complete image has it fetched anew, once for all who read, and waits", async () => {
  const dataPath = join(await temporaryDirectory(), "data");
  await writeFile(dataPath, Buffer.alloc(30_000, "right"));
  const image = { digest: "", dataPath, sizeBytes: 40_000, complete: true };
  const lost: number[] = [];
  const onLost = (offset: number) => void lost.push(offset);
  const file = new ImageFile(image, { ...quiet, onLost });
  onTestFinished(() => file.close());
  const disk = new ImageDisk(file, 60_000, systemClock);
  const targets = [Buffer.alloc(20_000), Buffer.alloc(20_000)];
  const reading = targets.map((target) => disk.pread(target, 20_000, new AbortController().signal));
  await expect.poll(() => lost).toEqual([30_000]);
  const have = bitsOf([true, false]);
  const pieces = { pieceLengthBytes: 20_000, have, zero: bitsOf([false, false]) };
  file.update({ ...image, complete: false, pieces });
  await writeFile(dataPath, Buffer.alloc(40_000, "right"));
  new Uint8Array(have)[0] = 0xc0;
  file.arrived();
  await Promise.all(reading);
  for (const target of targets) expect(target.equals(Buffer.alloc(20_000, "right"))).toBe(true);
  expect(lost).toEqual([30_000]);
});

test("what is demanded has no overlaps, waited for before guessed", () => {
  const waited = [
    { offset: 50, length: 10 },
    { offset: 0, length: 20 },
    { offset: 10, length: 15 },
  ];
  expect(mergeDemand(waited, [{ offset: 60, length: 100 }])).toEqual([
    { offset: 0, length: 25, ahead: false },
    { offset: 50, length: 10, ahead: false },
    { offset: 60, length: 100, ahead: true },
  ]);
});

describe("read-ahead", () => {
  const KiB = 1024;
  const size = 1024 * 1024 * KiB;

  test("a reader that reads on is followed by a window as large as what it has read", () => {
    const ahead = new ReadAhead();
    for (let at = 0; at < 8; at += 1) ahead.note(at * 64 * KiB, 64 * KiB, at);
    expect(ahead.windows(size, 10)).toEqual([{ offset: 512 * KiB, length: 512 * KiB }]);
  });

  test("the window is bounded, and ends with the disk", () => {
    const ahead = new ReadAhead();
    for (let at = 0; at < 1_000; at += 1) ahead.note(at * 64 * KiB, 64 * KiB, at);
    expect(ahead.windows(size, 1_000)).toEqual([{ offset: 64_000 * KiB, length: 8 * 1024 * KiB }]);
    expect(ahead.windows(64_100 * KiB, 1_000)).toEqual([{ offset: 64_000 * KiB, length: 100 * KiB }]);
    expect(ahead.windows(64_000 * KiB, 1_000)).toEqual([]);
  });

  test("random reads are not followed, and do not hide a reader beside them for long", () => {
    const ahead = new ReadAhead();
    for (let index = 0; index < 50; index += 1) expect(ahead.note(index * 7_777 * KiB, 4 * KiB, index)).toBe(false);
    expect(ahead.windows(size, 50)).toEqual([]);
    for (let at = 0; at < 20; at += 1) {
      ahead.note(size / 2 + at * 64 * KiB, 64 * KiB, 50 + at);
      ahead.note(((at * 99_991) % 1_000_000) * KiB, 4 * KiB, 50 + at);
    }
    expect(ahead.windows(size, 70)).toMatchObject([{ offset: size / 2 + 20 * 64 * KiB }]);
  });

  test("a reader that has rested is forgotten", () => {
    const ahead = new ReadAhead();
    for (let at = 0; at < 8; at += 1) ahead.note(at * 64 * KiB, 64 * KiB, 0);
    expect(ahead.windows(size, 9_999)).toHaveLength(1);
    expect(ahead.windows(size, 10_000)).toEqual([]);
  });
});

describe("reads at once", () => {
  const bytes = 4_096;

  test("go on while they are quick, whatever single reads take", () => {
    const quick = new QuickReads();
    for (let index = 0; index < 1_000; index += 1) {
      expect(quick.mayRead()).toBe(true);
      quick.note(bytes, index % 20 === 0 ? 0.5 : 0.005);
    }
  });

  test("stop after a few that came from a disk, and are tried again more and more seldom", () => {
    const quick = new QuickReads();
    const tries = [];
    for (let index = 0; index < 10_000; index += 1) {
      if (!quick.mayRead()) continue;
      tries.push(index);
      quick.note(bytes, 0.5);
    }
    expect(tries.length).toBeLessThan(20);
    expect(tries.at(-1)! - tries.at(-2)!).toBeGreaterThan(1_000);
  });

  test("stop after two that were very slow, and go on when one to see was quick", () => {
    const quick = new QuickReads();
    quick.note(bytes, 50);
    expect(quick.mayRead()).toBe(true);
    quick.note(bytes, 50);
    let waited = 0;
    while (!quick.mayRead()) waited += 1;
    expect(waited).toBeGreaterThan(10);
    quick.note(bytes, 0.01);
    for (let index = 0; index < 100; index += 1) {
      expect(quick.mayRead()).toBe(true);
      quick.note(bytes, 0.01);
    }
  });

  test("go on where many in a row were quick that were made at once for another reason", () => {
    const quick = new QuickReads();
    while (quick.mayRead()) quick.note(bytes, 0.5);
    for (let index = 0; index < 20; index += 1) quick.noteOther(bytes, index % 5 === 0 ? 0.2 : 0.01);
    expect(quick.mayRead()).toBe(false);
    for (let index = 0; index < 10; index += 1) quick.noteOther(bytes, 0.01);
    expect(quick.mayRead()).toBe(true);
  });

  test("from a disk go on while that is a fast one", () => {
    const [fast, slow] = [new QuickReads(diskQuickMs), new QuickReads(diskQuickMs)];
    for (let index = 0; index < 1_000; index += 1) {
      expect(fast.mayRead()).toBe(true);
      fast.note(bytes, 0.2);
      if (slow.mayRead()) slow.note(bytes, 1);
    }
    expect(slow.mayRead()).toBe(false);
  });

  test("from a disk are judged without the wait for a processor, where the kernel tells of that", async () => {
    const path = join(await temporaryDirectory(), "schedstat");
    await writeFile(path, "1095704 18419684 7\n");
    using stack = new DisposableStack();
    const waitIn = (from: string) => stack.adopt(new RunQueueWait(from), (wait) => wait.close()).ms();
    expect([waitIn(path), waitIn(`${path}.none`)]).toEqual([18.419684, 0]);
    await writeFile(path, "unlike it");
    expect(waitIn(path)).toBe(0);
  });

  test("from a disk are made once in a turn of the event loop", async () => {
    const turn = new OnceATurn();
    expect([turn.take(), turn.take()]).toEqual([true, false]);
    await new Promise((resolve) => setImmediate(resolve));
    expect([turn.take(), turn.take()]).toEqual([true, false]);
  });
});

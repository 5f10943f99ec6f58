import fc from "fast-check";
import { expect, test } from "vitest";
import { describeTransfer, renderBar, renderTransfer, renderTransfers, type Transfer } from "../../../cli/progress.ts";
import { styleFor } from "../../../cli/style.ts";
import { visibleLength } from "../../../cli/visible-text.ts";

const plain = styleFor({ write: () => {} }, {});
const ascii = styleFor({ write: () => {} }, { LC_ALL: "C" });
const mebibyte = 2 ** 20;

const half: Transfer = {
  label: "debian-12",
  doneBytes: 128 * mebibyte,
  totalBytes: 256 * mebibyte,
  bytesPerSecond: 64 * mebibyte,
  etaSeconds: 2,
  notes: ["3 peers", "swarm 100 %"],
};

test("a bar has its width at every fraction", () => {
  fc.assert(
    fc.property(fc.double({ min: -1, max: 2, noNaN: true }), fc.integer({ min: 1, max: 60 }), (fraction, width) => {
      expect(visibleLength(renderBar(fraction, width, plain))).toBe(width);
      expect(renderBar(fraction, width, ascii)).toMatch(/^#*-*$/);
    }),
  );
});

test("a bar is full only at the end", () => {
  expect(renderBar(1, 4, plain)).toBe("████");
  expect(renderBar(0.999, 4, plain)).not.toBe("████");
  expect(renderBar(0.5, 4, ascii)).toBe("##--");
});

test("a line says label, percent, bytes, rate, ETA and notes", () => {
  expect(renderTransfer(half, { width: 120, style: ascii })).toMatch(
    /^debian-12 +#+-+ +50 % +128 MiB \/ 256 MiB +64\.0 MiB\/s +ETA 2 s +3 peers +swarm 100 %$/,
  );
});

test("notes give way to the bar, and the bar to the figures", () => {
  const narrow = renderTransfer(half, { width: 80, style: ascii });
  expect(narrow).toContain("#");
  expect(narrow).not.toContain("swarm");
  expect(renderTransfer(half, { width: 62, style: ascii })).not.toContain("#");
});

test("several lines stand in columns", () => {
  const other: Transfer = { ...half, label: "a", bytesPerSecond: 1, state: "ready in 12 min", notes: ["12 peers"] };
  const lines = renderTransfers([half, other], { width: 110, style: ascii });
  expect(new Set(lines.map((line) => line.indexOf("#"))).size).toBe(1);
  expect(new Set(lines.map((line) => line.search(/\d+ peers/))).size).toBe(1);
});

test("a line never takes more than its width", () => {
  fc.assert(
    fc.property(
      fc.record({
        label: fc.string({ maxLength: 60 }),
        doneBytes: fc.nat(),
        totalBytes: fc.option(fc.nat(), { nil: undefined }),
        bytesPerSecond: fc.nat(),
        etaSeconds: fc.option(fc.nat(), { nil: undefined }),
        notes: fc.array(fc.string({ maxLength: 30 }), { maxLength: 4 }),
        state: fc.option(fc.string({ maxLength: 40 }), { nil: undefined }),
      }),
      fc.integer({ min: 10, max: 200 }),
      (transfer, width) => {
        expect(visibleLength(renderTransfer(transfer, { width, style: plain }))).toBeLessThanOrEqual(width);
      },
    ),
  );
});

test("in words, for a log", () => {
  expect(describeTransfer(half)).toBe(
    "debian-12: 50 %, 128 MiB of 256 MiB, 64.0 MiB/s, 2 s left, 3 peers, swarm 100 %",
  );
  expect(describeTransfer({ ...half, totalBytes: undefined, notes: [], state: "queued" })).toBe(
    "debian-12: 128 MiB, queued",
  );
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { styleFor } from "../../../cli/style.ts";
import { renderTable, type Table } from "../../../cli/table.ts";
import { visibleLength } from "../../../cli/visible-text.ts";

const plain = styleFor({ write: () => {} }, {});
const colours = styleFor({ write: () => {}, isTTY: true }, { TERM: "xterm" });

const table: Table = {
  columns: [
    { header: "NAME", shrinkTo: 6 },
    { header: "SIZE", align: "right" },
    { header: "FORMAT", dropOrder: 1 },
    { header: "SHA256", shrinkTo: 8, paint: (cell, style) => style.cyan(cell) },
  ],
  rows: [
    ["debian-12", "1.2 GiB", "qcow2", "0123456789abcdef0123456789abcdef"],
    ["a", "42 MiB", "raw", "fedcba9876543210fedcba9876543210"],
  ],
};

test("without a width, everything is shown in full", () => {
  expect(renderTable(table, { width: undefined, style: plain })).toEqual([
    "NAME          SIZE  FORMAT  SHA256",
    "debian-12  1.2 GiB  qcow2   0123456789abcdef0123456789abcdef",
    "a           42 MiB  raw     fedcba9876543210fedcba9876543210",
  ]);
});

test("the widest column gives way first", () => {
  expect(renderTable(table, { width: 40, style: plain })).toEqual([
    "NAME          SIZE  FORMAT  SHA256",
    "debian-12  1.2 GiB  qcow2   0123456789a…",
    "a           42 MiB  raw     fedcba98765…",
  ]);
});

test("a column that may be left out goes when cutting is not enough", () => {
  expect(renderTable(table, { width: 28, style: plain })[1]).toBe("debian-…  1.2 GiB  01234567…");
});

test("a table without headers has no header line", () => {
  const facts: Table = { columns: [{ header: "" }, { header: "" }], rows: [["node", "n1"]] };
  expect(renderTable(facts, { width: 80, style: plain })).toEqual(["node  n1"]);
});

test("control characters from a daemon do not reach the terminal", () => {
  const evil: Table = { columns: [{ header: "NODE" }], rows: [["a\x1b[2Jb\nc"]] };
  expect(renderTable(evil, { width: 80, style: plain })[1]).toBe("a?[2Jb?c");
});

test("colours do not change what a line takes", () => {
  const lines = renderTable(table, { width: 40, style: colours });
  expect(lines[1]).toContain("\x1b[36m");
  expect(lines.map(visibleLength)).toEqual(renderTable(table, { width: 40, style: plain }).map(visibleLength));
});

test("lines fit any width that the unshrinkable columns leave room for", () => {
  const cell = fc.string({ maxLength: 60 });
  fc.assert(
    fc.property(fc.array(fc.tuple(cell, cell, cell)), fc.integer({ min: 20, max: 200 }), (rows, width) => {
      const columns = [
        { header: "A", shrinkTo: 4 },
        { header: "B", shrinkTo: 4 },
        { header: "C", dropOrder: 1 },
      ];
      for (const line of renderTable({ columns, rows }, { width, style: plain })) {
        expect(visibleLength(line)).toBeLessThanOrEqual(width);
      }
    }),
  );
});

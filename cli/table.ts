import type { Style } from "./style.ts";
import { padded, printable, truncated } from "./visible-text.ts";

/** One column of a table. */
export interface Column {
  header: string;
  align?: "left" | "right";
  /** The column may be cut down to this many characters where the terminal is narrow. */
  shrinkTo?: number;
  /** The column may be left out where cutting is not enough; a greater number goes first. */
  dropOrder?: number;
  /** Colours a cell by what it says. */
  paint?: (cell: string, style: Style) => string;
}

/** Plain data; nothing is fitted or coloured yet. */
export interface Table {
  columns: readonly Column[];
  /** A cell for each column. */
  rows: readonly (readonly string[])[];
}

const gap = "  ";

/**
 * The table's lines, header first where there is one. With a width, columns that may shrink are cut until the lines fit, and then those
 * that may be left out are; without one, everything is shown in full, for a file or another program.
 */
export function renderTable(table: Table, options: { width: number | undefined; style: Style }): string[] {
  const rows = table.rows.map((row) => row.map(printable));
  const natural = table.columns.map((column, index) =>
    Math.max(column.header.length, ...rows.map((row) => [...(row[index] ?? "")].length)),
  );
  const widths = fitted(table.columns, natural, options.width);
  const mark = options.style.unicode ? "…" : "~";
  const line = (cells: readonly string[], paint: (cell: string, column: Column) => string) => {
    const shown = table.columns.flatMap((column, index) => {
      const width = widths[index];
      if (width === undefined) return [];
      return [padded(paint(truncated(cells[index] ?? "", width, mark), column), width, column.align)];
    });
    return shown.join(gap).trimEnd();
  };
  const headers = table.columns.map((column) => column.header);
  return [
    ...(headers.every((header) => header === "") ? [] : [line(headers, (cell) => options.style.bold(cell))]),
    ...rows.map((row) => line(row, (cell, column) => column.paint?.(cell, options.style) ?? cell)),
  ];
}

/** Each column's width, undefined for one that is left out. */
function fitted(
  columns: readonly Column[],
  natural: readonly number[],
  width: number | undefined,
): (number | undefined)[] {
  if (width === undefined) return [...natural];
  const kept = columns.map((column, index) => ({ column, index }));
  for (;;) {
    const indexes = kept.map(({ index }) => index);
    const least = (index: number) => Math.min(natural[index]!, columns[index]!.shrinkTo ?? natural[index]!);
    const gaps = gap.length * (kept.length - 1);
    const dropped = kept.reduce((last, each) => (dropOf(each.column) > dropOf(last.column) ? each : last), kept[0]!);
    if (sum(indexes.map(least)) + gaps <= width || dropOf(dropped.column) === 0) {
      return shared(natural, indexes, least, width - gaps);
    }
    kept.splice(kept.indexOf(dropped), 1);
  }
}

function dropOf(column: Column): number {
  return column.dropOrder ?? 0;
}

/** Takes a character at a time from the widest column that has one to give, until the columns fit. */
function shared(
  natural: readonly number[],
  indexes: readonly number[],
  least: (index: number) => number,
  width: number,
): (number | undefined)[] {
  const widths = natural.map((value, index) => (indexes.includes(index) ? value : undefined));
  let excess = sum(indexes.map((index) => natural[index]!)) - width;
  while (excess > 0) {
    const givers = indexes.filter((index) => widths[index]! > least(index));
    if (givers.length === 0) break;
    const widest = givers.reduce((last, each) => (widths[each]! > widths[last]! ? each : last));
    widths[widest] = widths[widest]! - 1;
    excess--;
  }
  return widths;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

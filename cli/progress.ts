import { formatBytes, formatPercent, formatRate, formatSeconds, fractionOf } from "../figures/units.ts";
import type { Style } from "./style.ts";
import { padded, printable, truncated, visibleLength } from "./visible-text.ts";

/** Bytes on their way, as one line shows them. */
export interface Transfer {
  /** What is on its way, or where to. */
  label: string;
  doneBytes: number;
  /** Undefined while it is not known. */
  totalBytes: number | undefined;
  bytesPerSecond: number;
  /** Undefined when nothing moves. */
  etaSeconds?: number | undefined;
  /** More to say, most important first: "3 peers". Left out from the end where there is no room. */
  notes: readonly string[];
  /** Said instead of rate and ETA: "ready in 3 s", "queued". */
  state?: string | undefined;
  /** Only percentage and rate are said; bytes are told in the notes. */
  brief?: boolean;
}

const barWidthMax = 40;
const barWidthMin = 8;
const labelWidthMax = 24;
const gap = "  ";

/** Eighths of a block, so that a bar moves smoothly. */
const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"];

/** A bar of exactly `width` columns. */
export function renderBar(fraction: number, width: number, style: Style): string {
  const bounded = Math.min(1, Math.max(0, fraction));
  if (!style.unicode) {
    const filled = Math.floor(bounded * width);
    return "#".repeat(filled) + "-".repeat(width - filled);
  }
  const filledEighths = Math.floor(bounded * width * 8);
  const full = "█".repeat(Math.floor(filledEighths / 8));
  const part = eighths[filledEighths % 8]!;
  const rest = "░".repeat(width - full.length - part.length);
  return style.cyan(full + part) + style.dim(rest);
}

/** One transfer's line, as `renderTransfers` makes it. */
export function renderTransfer(transfer: Transfer, options: { width: number; style: Style }): string {
  return renderTransfers([transfer], options)[0]!;
}

/**
 * A line for each transfer, none wider than `width`, lined up in columns: label, bar, percent, bytes, rate, ETA, notes.
 * Notes go first where there is no room, from the last, then the bar.
 */
export function renderTransfers(transfers: readonly Transfer[], options: { width: number; style: Style }): string[] {
  const { width, style } = options;
  const labels = columnOf(transfers.map(({ label }) => truncated(printable(label), labelWidthMax)));
  const facts = transfers.map(factsOf);
  const factsWidth = widest(facts);
  const noteColumns: string[][] = [];
  const barRoom = () =>
    width -
    widest(labels) -
    factsWidth -
    sum(noteColumns.map((column) => widest(column) + gap.length)) -
    2 * gap.length;
  for (let index = 0; transfers.some(({ notes }) => index < notes.length); index++) {
    noteColumns.push(columnOf(transfers.map(({ notes }) => printable(notes[index] ?? ""))));
    if (barRoom() >= barWidthMin) continue;
    noteColumns.pop();
    break;
  }
  const barWidth = Math.min(barWidthMax, barRoom());
  return transfers.map((transfer, row) => {
    const label = labels[row]!;
    if (barWidth < barWidthMin) return truncated([label, facts[row]].join(gap), width);
    const notes = noteColumns.map((column) => style.dim(column[row]!));
    const bar = renderBar(fractionOfTransfer(transfer), barWidth, style);
    return [style.bold(label), bar, padded(facts[row]!, factsWidth), ...notes].join(gap);
  });
}

/** The same texts, each filled to the width of the widest. */
function columnOf(texts: readonly string[]): string[] {
  return texts.map((text) => padded(text, widest(texts)));
}

function widest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map(visibleLength));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** The same in words, for a log or a pipe: "debian-12: 42 %, 147 MiB of 350 MiB, 45.2 MiB/s, 3 s left, 3 peers". */
export function describeTransfer(transfer: Transfer): string {
  const { doneBytes, totalBytes } = transfer;
  const amount =
    totalBytes === undefined
      ? formatBytes(doneBytes)
      : `${formatPercent(doneBytes, totalBytes)}, ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`;
  const moving = [formatRate(transfer.bytesPerSecond), ...etaOf(transfer).map((eta) => `${eta} left`)];
  const pace = transfer.state === undefined ? moving : [printable(transfer.state)];
  return `${printable(transfer.label)}: ${[amount, ...pace, ...transfer.notes.map(printable)].join(", ")}`;
}

/** Figures in columns of a fixed width, so that a line does not dance while it is redrawn. */
function factsOf(transfer: Transfer): string {
  const { doneBytes, totalBytes } = transfer;
  const percent = totalBytes === undefined ? "" : formatPercent(doneBytes, totalBytes);
  const amount =
    totalBytes === undefined ? formatBytes(doneBytes) : `${formatBytes(doneBytes)} / ${formatBytes(totalBytes)}`;
  const rate = formatRate(transfer.bytesPerSecond).padStart(10);
  const state = transfer.state === undefined ? undefined : printable(transfer.state);
  if (transfer.brief) return [percent.padStart(5), (state ?? rate).padEnd(14)].join(gap);
  const moving = `${rate}${gap}${`ETA ${etaOf(transfer)[0] ?? "-"}`.padEnd(8)}`;
  return [percent.padStart(5), amount.padStart(totalBytes === undefined ? 8 : 18), (state ?? moving).padEnd(20)].join(
    gap,
  );
}

function etaOf(transfer: Transfer): string[] {
  return transfer.etaSeconds === undefined ? [] : [formatSeconds(Math.ceil(transfer.etaSeconds))];
}

function fractionOfTransfer(transfer: Transfer): number {
  return transfer.totalBytes === undefined ? 0 : fractionOf(transfer.doneBytes, transfer.totalBytes);
}

/** One answer of a daemon on standard output: as tables, or as JSON; once, or again and again as it changes. */
import { setTimeout as delay } from "node:timers/promises";
import { CliError } from "./cli-error.ts";
import { type Context, errStyle, outStyle } from "./context.ts";
import { cliErrorFrom } from "./daemon-errors.ts";
import { createLiveRegion } from "./live-region.ts";
import { renderTable, type Table } from "./table.ts";
import { printable, truncated } from "./visible-text.ts";

/** What there is to show. */
export interface Report {
  /** The daemon's answer as proto JSON. */
  json: unknown;
  /** Tables with a title each, of which there may be one without. */
  sections: readonly Section[];
}

export interface Section {
  title?: string;
  table: Table;
  /** Said, off standard output, when the table has no rows. */
  ifEmpty?: string;
}

/** How often a watched answer is asked for again. */
const watchIntervalMs = 1_000;

/** Shows the report once, or with `watch` until Ctrl-C, which is then a watch's normal end. */
export async function showReport(
  context: Context,
  options: { json?: boolean; watch?: boolean },
  get: () => Promise<Report>,
): Promise<void> {
  if (!options.watch) {
    const report = await get();
    if (options.json) context.out.write(`${JSON.stringify(report.json, undefined, 2)}\n`);
    else writeSections(context, report.sections);
    return;
  }
  try {
    if (options.json) await watchChanges(context, get, (report) => [JSON.stringify(report.json)]);
    else if (context.out.isTTY) await watchInPlace(context, get);
    else await watchChanges(context, get, (report) => [...linesOf(context, report.sections, undefined), ""]);
  } catch (error) {
    // Ctrl-C ends the call that may be under way, too.
    if (!context.signal.aborted) throw error;
  }
}

function writeSections(context: Context, sections: readonly Section[]): void {
  const width = context.out.isTTY ? context.out.columns : undefined;
  for (const line of linesOf(context, sections, width)) context.out.write(`${line}\n`);
  for (const { table, ifEmpty } of sections) {
    if (table.rows.length === 0 && ifEmpty !== undefined) context.err.write(`${errStyle(context).dim(ifEmpty)}\n`);
  }
}

function linesOf(context: Context, sections: readonly Section[], width: number | undefined): string[] {
  const style = outStyle(context);
  return sections.flatMap((section, index) => {
    const lines = renderTable(section.table, { width, style });
    if (section.title === undefined) return lines;
    return [...(index === 0 ? [] : [""]), style.bold(style.cyan(section.title)), ...lines];
  });
}

/** Redraws in place. A daemon that stops answering is said so below the last answer, and asked on. */
async function watchInPlace(context: Context, get: () => Promise<Report>): Promise<void> {
  const region = createLiveRegion(context.out, context.now);
  const style = outStyle(context);
  let shown: Report = await get();
  let problem = "";
  const view = {
    lines: (width: number) => [
      ...linesOf(context, shown.sections, width),
      "",
      problem === "" ? style.dim("Ctrl-C ends") : style.red(truncated(printable(problem), width)),
    ],
    plain: () => [],
  };
  try {
    while (!context.signal.aborted) {
      region.draw(view);
      await delay(watchIntervalMs, undefined, { signal: context.signal }).catch(() => {});
      if (context.signal.aborted) break;
      try {
        shown = await get();
        problem = "";
      } catch (error) {
        if (context.signal.aborted) break;
        const known = cliErrorFrom(error);
        if (!known) throw error;
        problem = known.message;
      }
    }
  } finally {
    region.finish({ ...view, lines: (width) => linesOf(context, shown.sections, width) });
  }
}

/** Writes an answer whenever it differs from the one before. */
async function watchChanges(
  context: Context,
  get: () => Promise<Report>,
  render: (report: Report) => string[],
): Promise<void> {
  let last = "";
  while (!context.signal.aborted) {
    const report = await get();
    const key = JSON.stringify(report.json);
    if (key !== last) for (const line of render(report)) context.out.write(`${line}\n`);
    last = key;
    await delay(watchIntervalMs, undefined, { signal: context.signal }).catch(() => {});
  }
}

/** A message's one-line result for people, or its JSON. */
export function showResult(context: Context, options: { json?: boolean }, json: unknown, line: string): void {
  context.out.write(options.json ? `${JSON.stringify(json, undefined, 2)}\n` : `${line}\n`);
}

/** The error for a message that lacks what its definition promises. */
export function incompleteAnswer(what: string): CliError {
  return new CliError(`the daemon's answer has no ${what}; is it of another version than this command?`);
}

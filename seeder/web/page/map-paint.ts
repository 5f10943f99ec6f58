/** Paints the part of the map that is in view. Height says how much is there, so that colour need not. */
import { cachedCell, isFetching, pausedCell, percentOf } from "./cell-values.ts";
import type { Cursor } from "./map-cursor.ts";
import { type MapContent, type MapScale, nodesBetween, xOfNode } from "./map-layout.ts";

/** Height of a row, and of what names the zones above them, in pixels. */
export const rowHeight = 20;
export const headHeight = 34;
const cellHeight = rowHeight - 4;
/** Cells wider than this stand apart. */
const apartFrom = 4;
/** Narrower nodes are seen together with those beside them, in bars of this width: single ones would be noise. */
const aloneFrom = 1.5;
const sharedWidth = 3;

export interface MapColours {
  ink: string;
  faint: string;
  track: string;
  cached: string;
  moving: string;
  movingTrack: string;
  alert: string;
  hover: string;
}

export interface MapPicture {
  content: MapContent;
  scale: MapScale;
  /** What of the map is in view, in pixels. */
  view: { x: number; y: number; width: number; height: number };
  cursor: Cursor | undefined;
  /** Whether the cursor is the keyboard's. */
  focused: boolean;
  colours: MapColours;
  font: string;
}

/** Parts of one stretch of a row, each 0 to 1. */
interface Mix {
  cached: number;
  done: number;
  fetching: number;
  paused: number;
  lost: number;
}

export function paintMap(context: CanvasRenderingContext2D, picture: MapPicture): void {
  const { view, content } = picture;
  context.clearRect(0, 0, view.width, view.height);
  const first = Math.max(0, Math.floor(view.y / rowHeight));
  const last = Math.min(content.rows.length, Math.ceil((view.y + view.height - headHeight) / rowHeight));
  if (picture.cursor) paintCross(context, picture, picture.cursor);
  for (let row = first; row < last; row++) paintRow(context, picture, row);
  if (picture.cursor) paintCursor(context, picture, picture.cursor);
  paintHead(context, picture);
}

function yOfRow({ view }: MapPicture, row: number): number {
  return headHeight + row * rowHeight - view.y;
}

function paintRow(context: CanvasRenderingContext2D, picture: MapPicture, row: number): void {
  const { content, scale, view, colours } = picture;
  const image = content.rows[row]!.image.index;
  const y = yOfRow(picture, row) + (rowHeight - cellHeight) / 2;
  const apart = scale.nodeWidth >= apartFrom ? 1 : 0;
  for (const place of scale.groups) {
    const left = place.x - view.x;
    if (left > view.width || left + place.width < 0) continue;
    if (!apart) {
      context.fillStyle = colours.track;
      context.fillRect(left, y, place.width, cellHeight);
    }
    const step = scale.nodeWidth < aloneFrom ? sharedWidth : scale.nodeWidth;
    // Stretches of one kind are one rectangle.
    let open: { from: number; to: number; mix: Mix } | undefined;
    for (let from = place.x; from < place.x + place.width - 0.01; from += step) {
      if (from + step < view.x) continue;
      if (from > view.x + view.width) break;
      const to = Math.min(from + step, place.x + place.width);
      const mix = mixOf(picture, nodesBetween(place, scale.nodeWidth, from, to), image);
      if (open && !apart && sameMix(open.mix, mix)) open.to = to;
      else {
        if (open) paintStretch(context, picture, open.from - view.x, open.to - view.x - apart, y, open.mix, apart > 0);
        open = { from, to, mix };
      }
    }
    if (open) paintStretch(context, picture, open.from - view.x, open.to - view.x - apart, y, open.mix, apart > 0);
  }
}

function mixOf({ content }: MapPicture, { start, end }: { start: number; end: number }, image: number): Mix {
  const mix: Mix = { cached: 0, done: 0, fetching: 0, paused: 0, lost: 0 };
  for (let at = start; at < end; at++) {
    const node = content.nodes[at]!;
    const cell = node.cells[image] ?? 0;
    if (node.lost) mix.lost++;
    if (cell === cachedCell) mix.cached++;
    else if (cell === pausedCell) mix.paused++;
    else if (cell !== 0) {
      mix.fetching++;
      if (isFetching(cell)) mix.done += percentOf(cell) / 100;
    }
  }
  const count = Math.max(1, end - start);
  for (const key of ["cached", "done", "fetching", "paused", "lost"] as const) mix[key] /= count;
  return mix;
}

function sameMix(a: Mix, b: Mix): boolean {
  return (
    a.cached === b.cached &&
    a.done === b.done &&
    a.fetching === b.fetching &&
    a.paused === b.paused &&
    a.lost === b.lost
  );
}

function paintStretch(
  context: CanvasRenderingContext2D,
  { colours }: MapPicture,
  from: number,
  to: number,
  y: number,
  mix: Mix,
  withTrack: boolean,
): void {
  const width = to - from;
  const bar = (colour: string, above: number, part: number) => {
    if (part <= 0) return;
    const height = Math.max(1, part * cellHeight);
    context.fillStyle = colour;
    context.fillRect(from, y + cellHeight * (1 - above) - height, width, height);
  };
  // What a lost node had is nobody's knowledge any more: it is there, but faint.
  context.globalAlpha = mix.lost >= 0.5 ? 0.4 : 1;
  if (withTrack) bar(colours.track, 0, 1);
  bar(colours.cached, 0, mix.cached);
  bar(colours.movingTrack, mix.cached, mix.fetching);
  bar(colours.moving, mix.cached, mix.done);
  if (mix.paused > 0) {
    bar(colours.movingTrack, mix.cached + mix.fetching, mix.paused);
    context.fillStyle = colours.alert;
    context.fillRect(from, y + cellHeight / 2 - 2, Math.max(1, width), 4);
  }
  context.globalAlpha = 1;
}

/** Bands through the row and the node, so that both are found again at the edges. */
function paintCross(context: CanvasRenderingContext2D, picture: MapPicture, { row, node }: Cursor): void {
  const { scale, view, colours } = picture;
  context.fillStyle = colours.hover;
  context.fillRect(0, yOfRow(picture, row), view.width, rowHeight);
  const width = Math.max(3, scale.nodeWidth);
  context.fillRect(xOfNode(scale, node) - view.x, headHeight, width, view.height);
}

function paintCursor(context: CanvasRenderingContext2D, picture: MapPicture, { row, node }: Cursor): void {
  const { scale, view, colours, focused } = picture;
  const width = Math.max(5, scale.nodeWidth);
  const x = xOfNode(scale, node) - view.x + (scale.nodeWidth - width) / 2;
  context.strokeStyle = colours.ink;
  context.lineWidth = focused ? 2 : 1;
  context.strokeRect(x - 0.5, yOfRow(picture, row) + 0.5, width, rowHeight - 1);
}

/** Zones by name, and a mark over every node that is lost. */
function paintHead(context: CanvasRenderingContext2D, { content, scale, view, colours, font }: MapPicture): void {
  context.clearRect(0, 0, view.width, headHeight);
  context.font = font;
  context.textBaseline = "alphabetic";
  for (const { group, x, width } of scale.groups) {
    const left = x - view.x;
    if (left > view.width || left + width < 0) continue;
    context.fillStyle = colours.faint;
    context.fillRect(left, headHeight - 3, width, 1);
    const name = group.zone || (content.groups.length > 1 ? "no zone" : "");
    // A zone's name stays in view while some of the zone is.
    const textX = Math.max(0, left) + 1;
    const room = Math.min(left + width, view.width) - textX;
    const text = fittingText(context, name, room);
    context.fillStyle = colours.ink;
    if (text) context.fillText(text, textX, 12);
    context.fillStyle = colours.alert;
    for (let at = group.start; at < group.start + group.count; at++) {
      if (!content.nodes[at]!.lost) continue;
      const markX = x + (at - group.start) * scale.nodeWidth - view.x;
      const markWidth = Math.max(3, scale.nodeWidth - 1);
      context.fillRect(markX, headHeight - 14, markWidth, 9);
    }
  }
}

/** The text, or as much of its end as fits: names side by side mostly begin alike. Empty where that would be nothing. */
function fittingText(context: CanvasRenderingContext2D, text: string, room: number): string {
  if (context.measureText(text).width <= room) return text;
  for (let length = text.length - 1; length >= 2; length--) {
    const cut = `…${text.slice(-length)}`;
    if (context.measureText(cut).width <= room) return cut;
  }
  return "";
}

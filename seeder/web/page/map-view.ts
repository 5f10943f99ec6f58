/** The map's canvas: sizes, painting, pointer and keys. What it shows is in the page's state. */
import type { Actions, AppState } from "./app-state.ts";
import { type Cursor, movedCursor } from "./map-cursor.ts";
import { type MapScale, mapScale, nodeAtX, xOfNode } from "./map-layout.ts";
import { headHeight, type MapColours, paintMap, rowHeight } from "./map-paint.ts";

export interface MapViewParts {
  state: () => AppState;
  actions: Actions;
  moveTo: (cursor: Cursor | undefined) => void;
}

const colourNames: Record<keyof MapColours, string> = {
  ink: "--ink",
  faint: "--rule",
  track: "--track",
  cached: "--cached",
  moving: "--moving",
  movingTrack: "--moving-track",
  alert: "--alert",
  hover: "--hover",
};

export class MapView {
  readonly #parts: MapViewParts;
  #scale: MapScale = { nodeWidth: 0, width: 0, groups: [] };
  #colours: MapColours | undefined;

  constructor(parts: MapViewParts) {
    this.#parts = parts;
  }

  /** Colours are read again: the scheme may have changed. */
  recolour(): void {
    this.#colours = undefined;
    this.paint();
  }

  /** Sizes everything anew, and paints. */
  update(): void {
    const { scroll, area, canvas } = this.#elements();
    if (!scroll || !area || !canvas) return;
    const { content, zoom } = this.#parts.state();
    const namesWidth = area.offsetLeft;
    const width = Math.max(50, scroll.clientWidth - namesWidth);
    this.#scale = mapScale(content.groups, width - 2, zoom);
    const height = headHeight + content.rows.length * rowHeight;
    setSize(area, Math.max(width, Math.ceil(this.#scale.width) + 2), height);
    const shownHeight = Math.min(height, scroll.clientHeight);
    setSize(canvas, width, shownHeight);
    canvas.style.left = `${namesWidth}px`;
    const ratio = devicePixelRatio;
    const [pixelWidth, pixelHeight] = [Math.round(width * ratio), Math.round(shownHeight * ratio)];
    if (canvas.width !== pixelWidth || canvas.height !== pixelHeight) {
      canvas.width = pixelWidth;
      canvas.height = pixelHeight;
    }
    this.paint();
  }

  paint(): void {
    const { scroll, canvas } = this.#elements();
    const context = canvas?.getContext("2d");
    if (!scroll || !canvas || !context) return;
    const { content, cursor } = this.#parts.state();
    const ratio = devicePixelRatio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    paintMap(context, {
      content,
      scale: this.#scale,
      view: { x: scroll.scrollLeft, y: scroll.scrollTop, width: canvas.width / ratio, height: canvas.height / ratio },
      cursor,
      focused: document.activeElement === canvas,
      colours: this.#readColours(),
      font: `12px ${getComputedStyle(document.body).fontFamily}`,
    });
  }

  focus(): void {
    if (!this.#parts.state().cursor) this.#parts.moveTo({ row: 0, node: 0 });
    this.paint();
  }

  point(event: PointerEvent): void {
    const { canvas } = this.#elements();
    // What the keyboard points at stays: a mouse that lies there does not take it away.
    if (document.activeElement === canvas && event.movementX === 0 && event.movementY === 0) return;
    this.#parts.moveTo(this.#at(event));
  }

  leave(): void {
    const { canvas } = this.#elements();
    if (document.activeElement !== canvas) this.#parts.moveTo(undefined);
  }

  click(event: MouseEvent): void {
    const cursor = this.#at(event);
    if (!cursor) return;
    this.#parts.moveTo(cursor);
    this.#open(cursor, event.shiftKey);
  }

  key(event: KeyboardEvent): void {
    const { content, cursor = { row: 0, node: 0 } } = this.#parts.state();
    const { actions } = this.#parts;
    const zooms: Record<string, number> = { "+": 2, "=": 2, "-": 0.5, "0": 0 };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const size = { rows: content.rows.length, nodes: content.nodes.length };
    const moved = movedCursor(cursor, event.key, event.shiftKey, size);
    const zoom = zooms[event.key];
    if (moved) {
      this.#parts.moveTo(moved);
      this.#show(moved);
    } else if (zoom !== undefined) actions.zoom(zoom);
    else if (event.key === "Enter") this.#open(cursor, event.shiftKey);
    else return;
    event.preventDefault();
  }

  /** Width of a node as it is shown. */
  get nodeWidth(): number {
    return this.#scale.nodeWidth;
  }

  #open({ row, node }: Cursor, asImage: boolean): void {
    const { content } = this.#parts.state();
    const { actions } = this.#parts;
    const image = content.rows[row]?.image;
    const id = content.nodes[node]?.id;
    if (asImage && image) actions.select({ kind: "image", digest: image.digest });
    else if (id !== undefined) actions.select({ kind: "node", id });
  }

  /** Scrolls so that the cursor is in view. */
  #show({ row, node }: Cursor): void {
    const { scroll, canvas } = this.#elements();
    if (!scroll || !canvas) return;
    const y = row * rowHeight;
    const viewHeight = canvas.clientHeight - headHeight;
    if (y < scroll.scrollTop) scroll.scrollTop = y;
    else if (y + rowHeight > scroll.scrollTop + viewHeight) scroll.scrollTop = y + rowHeight - viewHeight;
    const x = xOfNode(this.#scale, node);
    const viewWidth = canvas.clientWidth;
    if (x < scroll.scrollLeft) scroll.scrollLeft = x;
    else if (x + this.#scale.nodeWidth > scroll.scrollLeft + viewWidth) {
      scroll.scrollLeft = x + this.#scale.nodeWidth - viewWidth;
    }
  }

  #at(event: MouseEvent): Cursor | undefined {
    const { scroll, canvas } = this.#elements();
    if (!scroll || !canvas) return undefined;
    const box = canvas.getBoundingClientRect();
    const y = event.clientY - box.top - headHeight;
    const node = nodeAtX(this.#scale, event.clientX - box.left + scroll.scrollLeft);
    const row = Math.floor((y + scroll.scrollTop) / rowHeight);
    if (y < 0 || node === undefined || row < 0 || row >= this.#parts.state().content.rows.length) return undefined;
    return { row, node };
  }

  #readColours(): MapColours {
    if (this.#colours) return this.#colours;
    // A custom property is read as it is written; only where it is used does the scheme decide.
    const probe = document.createElement("span");
    probe.hidden = true;
    document.body.append(probe);
    const colours = Object.fromEntries(
      Object.entries(colourNames).map(([key, name]) => {
        probe.style.color = `var(${name})`;
        return [key, getComputedStyle(probe).color];
      }),
    ) as unknown as MapColours;
    probe.remove();
    this.#colours = colours;
    return colours;
  }

  #elements() {
    return {
      scroll: document.querySelector<HTMLElement>("#map-scroll"),
      area: document.querySelector<HTMLElement>("#map-area"),
      canvas: document.querySelector<HTMLCanvasElement>("#map-canvas"),
    };
  }
}

function setSize(element: HTMLElement, width: number, height: number): void {
  element.style.width = `${width}px`;
  element.style.height = `${height}px`;
}

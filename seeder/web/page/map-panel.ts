/** The map's frame: choices, images by name, the canvas's place, and what the cursor is on, in words. */
import { html, type TemplateResult } from "lit-html";
import { live } from "lit-html/directives/live.js";
import { repeat } from "lit-html/directives/repeat.js";
import type { Actions, AppState } from "./app-state.ts";
import { cellText } from "./cell-values.ts";
import type { ImageOrder, MapRow, NodeOrder } from "./map-layout.ts";
import type { MapView } from "./map-view.ts";
import { counted, grouped } from "./words.ts";

const imageOrders: [ImageOrder, string][] = [
  ["moving", "on its way first"],
  ["name", "by name"],
  ["cached", "most cached first"],
  ["missing", "least cached first"],
];
const nodeOrders: [NodeOrder, string][] = [
  ["zone", "by zone"],
  ["name", "by name"],
  ["busy", "busiest first"],
  ["empty", "emptiest first"],
];

export function mapPanel(state: AppState, actions: Actions, view: MapView): TemplateResult {
  const { board, content, choice } = state;
  return html`<section id="map" class="panel" tabindex="-1" aria-labelledby="map-title">
    <div class="map-bar">
      <h2 id="map-title">Images on nodes</h2>
      <label class="filter"><span>Filter</span>
        <input id="filter" type="search" autocomplete="off" spellcheck="false" placeholder="node, zone or image"
          .value=${live(choice.filter)} @input=${(event: Event) => actions.choose({ filter: (event.target as HTMLInputElement).value })}
          @keydown=${(event: KeyboardEvent) => {
            if (event.key === "Enter") actions.selectFound();
          }}></label>
      ${select("Images", "image-order", imageOrders, choice.imageOrder, (imageOrder) => actions.choose({ imageOrder }))}
      ${select("Nodes", "node-order", nodeOrders, choice.nodeOrder, (nodeOrder) => actions.choose({ nodeOrder }))}
      <span class="zoom" role="group" aria-label="Width of nodes">
        <button class="quiet" @click=${() => actions.zoom(0.5)} aria-label="Narrower" title="Narrower (−)">−</button>
        <button class="quiet" @click=${() => actions.zoom(0)} title="All nodes in view (0)">Fit</button>
        <button class="quiet" @click=${() => actions.zoom(2)} aria-label="Wider" title="Wider (+)">+</button>
      </span>
    </div>
    ${legend()}
    ${
      content.rows.length === 0 || content.nodes.length === 0
        ? html`<p class="empty">${emptyText(state)}</p>`
        : html`<div id="map-scroll" @scroll=${() => view.paint()}>
            <div class="map-names">
              <div class="map-corner dim">${counted(content.rows.length, "image")} × ${counted(content.nodes.length, "node")}</div>
              ${repeat(
                content.rows,
                ({ image }) => image.index,
                (row) => nameRow(row, content.nodes.length, actions),
              )}
            </div>
            <div id="map-area">
              <canvas id="map-canvas" tabindex="0" role="application" aria-roledescription="heat map" aria-label="Images on nodes; move with the arrow keys" aria-describedby="map-readout"
                @keydown=${(event: KeyboardEvent) => view.key(event)} @pointermove=${(event: PointerEvent) => view.point(event)}
                @pointerleave=${() => view.leave()} @click=${(event: MouseEvent) => view.click(event)}
                @focus=${() => view.focus()} @blur=${() => view.paint()}></canvas>
            </div>
          </div>`
    }
    <p id="map-readout" role="status">${readout(state)}</p>
    ${board.imagesLeftOut === 0 ? "" : html`<p class="dim">${counted(board.imagesLeftOut, "image")} more than the map has room for.</p>`}
  </section>`;
}

function select<T extends string>(
  name: string,
  id: string,
  options: [T, string][],
  chosen: T,
  choose: (value: T) => void,
): TemplateResult {
  return html`<label><span>${name}</span>
    <select id=${id} @change=${(event: Event) => choose((event.target as HTMLSelectElement).value as T)}>
      ${options.map(([value, text]) => html`<option value=${value} ?selected=${value === chosen}>${text}</option>`)}
    </select></label>`;
}

function legend(): TemplateResult {
  return html`<ul class="map-legend" aria-label="Meaning of the cells">
    <li><svg viewBox="0 0 10 16" aria-hidden="true"><rect class="fill-cached" width="10" height="16"></rect></svg>cached</li>
    <li><svg viewBox="0 0 10 16" aria-hidden="true"><rect class="fill-moving-track" width="10" height="16"></rect><rect class="fill-moving" y="8" width="10" height="8"></rect></svg>on its way, by percent</li>
    <li><svg viewBox="0 0 10 16" aria-hidden="true"><rect class="fill-moving-track" width="10" height="16"></rect></svg>queued</li>
    <li><svg viewBox="0 0 10 16" aria-hidden="true"><rect class="fill-moving-track" width="10" height="16"></rect><rect class="fill-alert" y="6" width="10" height="4"></rect></svg>paused</li>
    <li><svg viewBox="0 0 10 16" aria-hidden="true"><rect class="fill-track" width="10" height="16"></rect></svg>not there</li>
    <li><svg viewBox="0 0 10 16" aria-hidden="true"><rect class="fill-alert" y="3" width="10" height="9"></rect></svg>node lost</li>
  </ul>`;
}

/** An image's name and how many of the nodes shown have it: what its row of the map says, in words. */
function nameRow({ image, cached, fetching }: MapRow, nodes: number, actions: Actions): TemplateResult {
  const { digest, name, inCatalog } = image;
  const way = fetching === 0 ? "" : `, on its way to ${grouped(fetching)}`;
  return html`<button class="map-name" data-digest=${digest} data-cached=${cached} data-fetching=${fetching}
    title="${name}: cached on ${grouped(cached)} of ${counted(nodes, "node")}${way}${inCatalog ? "" : "; no longer in the catalog"}"
    @click=${() => actions.select({ kind: "image", digest })}>
    <span class="map-name-text" data-retired=${!inCatalog}>${name}</span>
    <span class="map-name-way">${fetching === 0 ? "" : `+${grouped(fetching)}`}</span>
    <span class="map-name-count">${grouped(cached)}</span>
  </button>`;
}

function readout({ cursor, content }: AppState): string {
  const row = cursor && content.rows[cursor.row];
  const node = cursor && content.nodes[cursor.node];
  if (!row || !node) return "Point at a cell, or move over the map with the arrow keys.";
  const zone = node.zone === "" ? "" : ` (${node.zone})`;
  const lost = node.lost ? "; the node is lost" : "";
  return `${row.image.name} on ${node.name}${zone}: ${cellText(node.cells[row.image.index] ?? 0)}${lost}`;
}

function emptyText({ board, choice }: AppState): string {
  if (choice.filter !== "") return `Nothing is called "${choice.filter}": no node, no zone, no image.`;
  if (!board.complete) return "Asking the seeder.";
  if (board.nodes.size === 0) return "No node has reported yet: bootswarm agent --seeder URL makes one.";
  return "There are no images yet: bootswarm publish FILE --name NAME makes one.";
}

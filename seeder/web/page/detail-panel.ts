/** One node, or one image, as the API describes it. */
import { html, type TemplateResult } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { formatAge, formatBytes, formatPercent, formatRate, formatSeconds } from "../../../figures/units.ts";
import type { FetchJson } from "../../../proto/gen/bootswarm/agent/v1/fetch_pb.js";
import type {
  GetNodeResponseJson,
  HoldingJson,
  ListHoldingsResponseJson,
  NodeHoldingJson,
} from "../../../proto/gen/bootswarm/seeder/v1/inventory_pb.js";
import type { Actions, AppState, Selected } from "./app-state.ts";
import { numberFrom, timeFrom } from "./json-values.ts";
import { copyable, imageLink, nodeLink } from "./links.ts";
import { counted, fetchStateText, grouped } from "./words.ts";

const holdingsShownMax = 100;

export function detailPanel(state: AppState, actions: Actions): TemplateResult | undefined {
  const { selected, detail } = state;
  if (!selected) return undefined;
  return html`<aside id="detail" class="panel" tabindex="-1" aria-label="Details">
    <button class="quiet close" @click=${() => actions.select(undefined)} aria-label="Close the details" title="Close (Esc)">Close</button>
    ${heading(state, actions, selected)}
    ${detail === undefined ? html`<p class="dim">Asking the seeder.</p>` : ""}
    ${detail?.kind === "error" ? html`<p class="empty bad">${detail.message}</p>` : ""}
    ${detail?.kind === "node" ? nodeDetail(state, actions, detail.answer) : ""}
    ${detail?.kind === "image" ? imageDetail(state, actions, detail.answer) : ""}
  </aside>`;
}

function heading(state: AppState, actions: Actions, selected: Selected): TemplateResult {
  if (selected.kind === "node") {
    const node = [...state.board.nodes.values()].find(({ id }) => id === selected.id);
    return html`<p class="dim kind">Node</p><h2>${copyable(state, actions, node?.name ?? selected.id)}</h2>`;
  }
  const image = imageOf(state, selected.digest);
  return html`<p class="dim kind">Image</p><h2>${copyable(state, actions, image.name)}</h2>`;
}

function imageOf(state: AppState, digest: string): { digest: string; name: string; index: number | undefined } {
  for (const image of state.board.images.values()) if (image.digest === digest) return image;
  return { digest, name: digest.slice(0, 12), index: undefined };
}

function facts(entries: readonly (readonly [string, unknown])[]): TemplateResult {
  return html`<dl class="facts">${entries.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function nodeDetail(
  state: AppState,
  actions: Actions,
  { node: status, holdings = [], fetches = [] }: GetNodeResponseJson,
) {
  const node = status?.node ?? {};
  const lost = status?.state === "NODE_STATE_LOST";
  const reported = timeFrom(status?.reportedAt);
  return html`
    ${facts([
      ["State", lost ? html`<span class="bad">lost</span>` : "up"],
      ["Last report", reported === undefined ? "never" : formatAge(reported, state.nowMs)],
      ["Zone", node.zone || "none"],
      ["Cache", formatBytes(numberFrom(node.cacheBytes))],
      ["Disk free", `${formatBytes(numberFrom(node.diskFreeBytes))} of ${formatBytes(numberFrom(node.diskSizeBytes))}`],
      ["Agent", node.version || "–"],
      ["Id", copyable(state, actions, node.id ?? "", shortened(node.id ?? ""))],
    ])}
    <h3>${counted(fetches.length, "fetch", "fetches")}</h3>
    ${
      fetches.length === 0
        ? html`<p class="empty">${lost ? "Nobody knows what it fetches." : "Nothing is on its way."}</p>`
        : html`<div class="scroll-x"><table id="detail-fetches">
      <thead><tr><th>Image</th><th class="num">Arrived</th><th class="num">Rate</th><th class="num">Ready in</th></tr></thead>
      <tbody>${repeat(
        fetches,
        ({ digest }) => digest ?? "",
        (fetch) => html`<tr>
        <td class="name">${imageLink(actions, imageOf(state, fetch.digest ?? ""))}</td>${progressCells(fetch)}
      </tr>${doingRow(fetch)}`,
      )}</tbody>
    </table></div>`
    }
    <h3>${counted(holdings.length, "image")} cached</h3>
    ${
      holdings.length === 0
        ? ""
        : html`<div class="scroll-x"><table id="detail-holdings">
      <thead><tr><th>Image</th><th class="num">On disk</th><th>Last used</th></tr></thead>
      <tbody>${repeat(
        holdings.slice(0, holdingsShownMax),
        ({ digest }) => digest ?? "",
        (holding) => holdingRow(state, actions, holding),
      )}</tbody>
    </table></div>`
    }
    ${holdings.length > holdingsShownMax ? html`<p class="dim">and ${grouped(holdings.length - holdingsShownMax)} more</p>` : ""}`;
}

function holdingRow(
  state: AppState,
  actions: Actions,
  { digest = "", allocatedBytes, pinned, lastUsedAt }: HoldingJson,
) {
  const used = timeFrom(lastUsedAt);
  return html`<tr>
    <td class="name">${imageLink(actions, imageOf(state, digest))}${pinned ? html` <span class="dim">pinned</span>` : ""}</td>
    <td class="num">${formatBytes(numberFrom(allocatedBytes))}</td>
    <td>${used === undefined ? html`<span class="dim">never</span>` : formatAge(used, state.nowMs)}</td>
  </tr>`;
}

function imageDetail(state: AppState, actions: Actions, answer: ListHoldingsResponseJson) {
  const { digest = "", nodes = [], holdingNodes = 0, fetchingNodes = 0 } = answer;
  const image = [...state.board.images.values()].find((one) => one.digest === digest);
  const left = holdingNodes + fetchingNodes - nodes.length;
  return html`
    ${facts([
      ["Cached on", counted(holdingNodes, "node")],
      ["On its way to", counted(fetchingNodes, "node")],
      ["Size", image && image.sizeBytes > 0 ? formatBytes(image.sizeBytes) : "not known"],
      ["Comes", image?.hasTorrent ? "from peers" : image?.inCatalog ? "by HTTP: it has no torrent" : "–"],
      ["Catalog", image?.inCatalog ? "published" : "not there (retired)"],
      ["Sha256", copyable(state, actions, digest, shortened(digest))],
    ])}
    <div class="scroll-x"><table id="detail-nodes">
      <thead><tr><th>Node</th><th class="num">Arrived</th><th class="num">Rate</th><th class="num">Ready in</th></tr></thead>
      <tbody>${repeat(
        nodes,
        ({ nodeId }) => nodeId ?? "",
        (node) => nodeRow(actions, node),
      )}</tbody>
    </table></div>
    ${left > 0 ? html`<p class="dim">and ${counted(left, "more node")}</p>` : ""}`;
}

function nodeRow(actions: Actions, { nodeId = "", nodeName = "", nodeState, holding, fetch }: NodeHoldingJson) {
  const lost = nodeState === "NODE_STATE_LOST" ? html` <span class="bad">lost</span>` : "";
  return html`<tr>
    <td class="name">${nodeLink(actions, { id: nodeId, name: nodeName })}${lost}</td>
    ${holding || !fetch ? html`<td class="num">cached</td><td></td><td></td>` : progressCells(fetch)}
  </tr>${holding || !fetch ? "" : doingRow(fetch)}`;
}

function progressCells(fetch: FetchJson): TemplateResult {
  const rate = numberFrom(fetch.bytesPerSecond);
  const size = numberFrom(fetch.sizeBytes);
  const { etaSeconds } = fetch;
  return html`<td class="num">${size === 0 ? "0 %" : formatPercent(numberFrom(fetch.doneBytes), size)}</td>
    <td class="num">${rate === 0 ? "–" : formatRate(rate)}</td>
    <td class="num">${etaSeconds === undefined ? "–" : formatSeconds(numberFrom(etaSeconds))}</td>`;
}

function doingRow(fetch: FetchJson): TemplateResult {
  return html`<tr class="below"><td colspan="4">${fetch.error || fetch.activity || fetchStateText(fetch.state)}</td></tr>`;
}

function shortened(id: string): string {
  return id.length > 20 ? `${id.slice(0, 12)}…${id.slice(-4)}` : id;
}

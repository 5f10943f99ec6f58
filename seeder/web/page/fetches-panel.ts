/** Fetches one by one: those that do not move, then those that are ready last. */
import { html, type TemplateResult } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { formatPercent, formatRate, formatSeconds } from "../../../figures/units.ts";
import type { BoardFetchJson } from "../../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import type { Actions, AppState } from "./app-state.ts";
import { numberFrom } from "./json-values.ts";
import { imageLink, nodeLink } from "./links.ts";
import { counted, fetchStateText } from "./words.ts";

const fetchesShownMax = 15;

export function fetchesPanel(state: AppState, actions: Actions): TemplateResult {
  const { fetches, totals } = state.board;
  const shown = fetches.slice(0, fetchesShownMax);
  const all = (totals.fetchesActive ?? 0) + (totals.fetchesQueued ?? 0) + (totals.fetchesPaused ?? 0);
  return html`<section id="fetches" class="panel" aria-labelledby="fetches-title">
    <h2 id="fetches-title">Slowest fetches</h2>
    ${
      shown.length === 0
        ? html`<p class="empty">No node is fetching.</p>`
        : html`<div class="scroll-x"><table>
            <thead>
              <tr><th>Node</th><th>Image</th><th class="num">Arrived</th><th class="num">Rate</th><th class="num">Ready in</th><th class="num">Peers</th><th>Doing</th></tr>
            </thead>
            <tbody>${repeat(
              shown,
              ({ node, image }) => `${node}/${image}`,
              (one) => row(state, actions, one),
            )}</tbody>
          </table></div>`
    }
    ${all > shown.length ? html`<p class="dim">and ${counted(all - shown.length, "more fetch", "more fetches")}</p>` : ""}
  </section>`;
}

function row({ board }: AppState, actions: Actions, fetch: BoardFetchJson): TemplateResult {
  const { node = 0, image = 0, state, etaSeconds, peers = 0, activity = "" } = fetch;
  const rate = numberFrom(fetch.bytesPerSecond);
  const size = numberFrom(fetch.sizeBytes);
  const isPaused = state === "FETCH_STATE_PAUSED";
  return html`<tr data-bad=${isPaused}>
    <td class="name">${nodeLink(actions, board.nodes.get(node))}</td>
    <td class="name">${imageLink(actions, board.images.get(image))}</td>
    <td class="num">${size === 0 ? "0 %" : formatPercent(numberFrom(fetch.doneBytes), size)}</td>
    <td class="num">${rate === 0 ? html`<span class="dim">–</span>` : formatRate(rate)}</td>
    <td class="num">${etaSeconds === undefined ? html`<span class="dim">–</span>` : formatSeconds(numberFrom(etaSeconds))}</td>
    <td class="num">${peers}</td>
    <td class="words">${isPaused ? "paused: " : ""}${activity || fetchStateText(state)}</td>
  </tr>`;
}

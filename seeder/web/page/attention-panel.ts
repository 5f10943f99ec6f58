/** What needs attention, worst first. */
import { html, type TemplateResult } from "lit-html";
import { formatSeconds } from "../../../figures/units.ts";
import type { ConcernJson } from "../../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import type { Actions, AppState } from "./app-state.ts";
import { timeFrom } from "./json-values.ts";
import { imageLink, nodeLink } from "./links.ts";
import { clockTime, concernText, concernTitle, counted, grouped, isGrave } from "./words.ts";

const nodesNamedMax = 4;
const concernsShownMax = 8;

export function attentionPanel(state: AppState, actions: Actions): TemplateResult {
  const { concerns, concernsLeftOut } = state.board;
  const more = concernsLeftOut + Math.max(0, concerns.length - concernsShownMax);
  return html`<section id="attention" class="panel" tabindex="-1" aria-labelledby="attention-title">
    <h2 id="attention-title">Needs attention</h2>
    ${
      concerns.length === 0
        ? html`<p class="empty well">Nothing. All nodes report, and everything on its way moves.</p>`
        : html`<ul class="concerns">${concerns.slice(0, concernsShownMax).map((concern) => concernItem(state, actions, concern))}</ul>`
    }
    ${more === 0 ? "" : html`<p class="dim">and ${counted(more, "more thing")}</p>`}
  </section>`;
}

function concernItem({ board, nowMs }: AppState, actions: Actions, concern: ConcernJson): TemplateResult {
  const { nodes = [], nodesCount = 0, image } = concern;
  const named = nodes.slice(0, nodesNamedMax);
  const since = timeFrom(concern.since);
  const text = concernText(concern);
  const age = since === undefined ? "" : formatSeconds(Math.max(0, Math.floor((nowMs - since) / 1000)));
  return html`<li data-grave=${isGrave(concern)}>
    <div class="concern-title">${concernTitle(concern)}${image === undefined ? "" : html`: ${imageLink(actions, board.images.get(image))}`}</div>
    <div class="concern-nodes">
      ${named.map((index) => html`${nodeLink(actions, board.nodes.get(index))} `)}${nodesCount > named.length ? html`<span class="dim">and ${grouped(nodesCount - named.length)} more</span>` : ""}
      ${since === undefined ? "" : html`<span class="dim since" title=${clockTime(since)}>for ${age}</span>`}
    </div>
    ${text === "" ? "" : html`<div class="dim concern-text">${text}</div>`}
  </li>`;
}

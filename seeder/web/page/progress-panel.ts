/** Images on their way: how far, when the last node has them, and which node that is. */
import { html, type TemplateResult } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { formatBytes, formatPercent, formatRate, formatSeconds, fractionOf } from "../../../figures/units.ts";
import type { ImageProgressJson } from "../../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import type { Actions, AppState } from "./app-state.ts";
import { bar } from "./bar.ts";
import { numberFrom } from "./json-values.ts";
import { imageLink, nodeLink } from "./links.ts";
import { counted, grouped } from "./words.ts";

const imagesShownMax = 12;

export function progressPanel(state: AppState, actions: Actions): TemplateResult {
  const { progress } = state.board;
  const shown = progress.slice(0, imagesShownMax);
  return html`<section id="progress" class="panel" aria-labelledby="progress-title">
    <h2 id="progress-title">On its way</h2>
    ${
      progress.length === 0
        ? html`<p class="empty">Nothing is on its way.</p>`
        : html`<div class="scroll-x"><table>
            <thead>
              <tr><th>Image</th><th class="num">Nodes</th><th colspan="2">Arrived</th><th class="num">Rate</th><th class="num">Last ready in</th><th>Last node</th></tr>
            </thead>
            <tbody>${repeat(
              shown,
              ({ image }) => image ?? 0,
              (one) => row(state, actions, one),
            )}</tbody>
          </table></div>`
    }
    ${progress.length > shown.length ? html`<p class="dim">and ${counted(progress.length - shown.length, "more image")}, which are ready before these</p>` : ""}
  </section>`;
}

function row({ board }: AppState, actions: Actions, progress: ImageProgressJson): TemplateResult {
  const { image = 0, active = 0, waiting = 0, lastNode = 0, notMoving = 0, etaSeconds } = progress;
  const done = numberFrom(progress.doneBytes);
  const total = numberFrom(progress.totalBytes);
  const rate = numberFrom(progress.bytesPerSecond);
  const nodes = `${grouped(active)}${waiting === 0 ? "" : ` + ${grouped(waiting)} waiting`}`;
  return html`<tr>
    <td class="name">${imageLink(actions, board.images.get(image))}</td>
    <td class="num">${nodes}</td>
    <td class="bar-cell" title="${formatBytes(done)} of ${formatBytes(total)}">${bar([{ kind: "moving", part: total === 0 ? 0 : fractionOf(done, total) }])}</td>
    <td class="num percent">${total === 0 ? "0 %" : formatPercent(done, total)}</td>
    <td class="num">${rate === 0 ? html`<span class="dim">–</span>` : formatRate(rate)}</td>
    <td class="num">${etaSeconds === undefined ? html`<span class="dim">not known</span>` : formatSeconds(numberFrom(etaSeconds))}${notMoving === 0 ? "" : html`<div class="bad">${grouped(notMoving)} not moving</div>`}</td>
    <td class="name">${nodeLink(actions, board.nodes.get(lastNode))}</td>
  </tr>`;
}

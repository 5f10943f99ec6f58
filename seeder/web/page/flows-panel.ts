/** Bytes on the move: what nodes take, from peers and by HTTP, what the seeder gives, and each zone's part. */
import { html, type TemplateResult } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { formatPercent, formatRate } from "../../../figures/units.ts";
import type { BoardZoneJson } from "../../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import type { Actions, AppState } from "./app-state.ts";
import { bar } from "./bar.ts";
import { chart } from "./chart.ts";
import { numberFrom } from "./json-values.ts";
import { counted, grouped } from "./words.ts";

const zonesShownMax = 24;

export function flowsPanel(state: AppState, actions: Actions): TemplateResult {
  const { samples, totals, atMs } = state.board;
  const swarm = numberFrom(totals.swarmBytesPerSecond);
  const http = numberFrom(totals.httpBytesPerSecond);
  const given = numberFrom(totals.seederSwarmBytesPerSecond);
  const givenHttp = numberFrom(totals.seederHttpBytesPerSecond);
  const { fallbackSlotsInUse = 0, fallbackSlots = 0 } = totals;
  return html`<section id="flows" class="panel" aria-labelledby="flows-title">
    <h2 id="flows-title">Flows</h2>
    <dl class="legend">
      <div><dt><i class="key fill-cached"></i>Nodes from peers</dt><dd>${formatRate(swarm)}</dd></div>
      <div><dt><i class="key fill-http"></i>Nodes by HTTP</dt><dd>${formatRate(http)}</dd></div>
      <div><dt><i class="key line"></i>Seeder gives</dt><dd>${formatRate(given + givenHttp)}</dd></div>
    </dl>
    ${chart(samples, atMs)}
    <p class="dim">The seeder gives ${formatRate(given)} to peers and ${formatRate(givenHttp)} by HTTP${share(given + givenHttp, swarm + http)}; ${fallbackSlotsInUse} of ${fallbackSlots} places for HTTP fallback in use.</p>
    ${zones(state, actions)}
  </section>`;
}

function share(given: number, taken: number): string {
  return taken === 0 || given > taken ? "" : `, ${formatPercent(given, taken)} of what nodes take`;
}

function zones({ board }: AppState, actions: Actions): TemplateResult | undefined {
  if (board.zones.length === 0) return undefined;
  const most = Math.max(1, ...board.zones.map(rateOf));
  const shown = [...board.zones].sort((a, b) => rateOf(b) - rateOf(a)).slice(0, zonesShownMax);
  return html`<div class="scroll-x"><table>
      <thead>
        <tr><th>Zone</th><th class="num">Nodes</th><th class="num">Fetches</th><th></th><th class="num">From peers</th><th class="num">By HTTP</th></tr>
      </thead>
      <tbody>${repeat(
        shown,
        ({ name }) => name ?? "",
        (zone) => zoneRow(actions, zone, most),
      )}</tbody>
    </table></div>
    ${board.zones.length > shown.length ? html`<p class="dim">and ${counted(board.zones.length - shown.length, "more zone")} with less</p>` : ""}`;
}

function zoneRow(actions: Actions, zone: BoardZoneJson, most: number): TemplateResult {
  const { name = "", nodesUp = 0, nodesLost = 0, fetchesActive = 0 } = zone;
  const swarm = numberFrom(zone.swarmBytesPerSecond);
  const http = numberFrom(zone.httpBytesPerSecond);
  return html`<tr>
    <td class="name">${name === "" ? html`<span class="dim">no zone</span>` : html`<button class="link" title="Show ${name} on the map" @click=${() => actions.choose({ filter: name })}>${name}</button>`}</td>
    <td class="num">${grouped(nodesUp)}${nodesLost === 0 ? "" : html` <span class="bad">${grouped(nodesLost)} lost</span>`}</td>
    <td class="num">${grouped(fetchesActive)}</td>
    <td class="bar-cell">${bar([
      { kind: "cached", part: swarm / most },
      { kind: "http", part: http / most },
    ])}</td>
    <td class="num">${formatRate(swarm)}</td>
    <td class="num">${http === 0 ? html`<span class="dim">–</span>` : formatRate(http)}</td>
  </tr>`;
}

function rateOf(zone: BoardZoneJson): number {
  return numberFrom(zone.swarmBytesPerSecond) + numberFrom(zone.httpBytesPerSecond);
}

/** The site in six figures. */
import { html, type TemplateResult } from "lit-html";
import { formatPercent, formatRate, formatSeconds } from "../../../figures/units.ts";
import type { AppState } from "./app-state.ts";
import { numberFrom } from "./json-values.ts";
import { counted, grouped } from "./words.ts";

export function summaryPanel({ board }: AppState): TemplateResult {
  const { totals, progress } = board;
  const { nodesUp = 0, nodesLost = 0, fetchesActive = 0, fetchesQueued = 0, fetchesPaused = 0 } = totals;
  const swarm = numberFrom(totals.swarmBytesPerSecond);
  const http = numberFrom(totals.httpBytesPerSecond);
  const seeder = numberFrom(totals.seederSwarmBytesPerSecond) + numberFrom(totals.seederHttpBytesPerSecond);
  const waiting = fetchesQueued + fetchesPaused;
  return html`<dl class="summary" aria-label="Summary">
    ${figure("nodes", "Nodes", `${grouped(nodesUp)} up`, nodesLost === 0 ? "none lost" : `${grouped(nodesLost)} lost`, nodesLost > 0)}
    ${figure("fetches", "On its way", counted(fetchesActive, "fetch", "fetches"), waiting === 0 ? "none waiting" : `${grouped(waiting)} waiting`)}
    ${figure(
      "ready",
      "All ready in",
      readyText(progress),
      readyNote(progress),
      progress.some(({ notMoving }) => (notMoving ?? 0) > 0),
    )}
    ${figure("into", "Into nodes", formatRate(swarm + http), swarm + http === 0 ? "nothing moves" : `${formatPercent(swarm, swarm + http)} from peers`)}
    ${figure("seeder", "From the seeder", formatRate(seeder), counted(totals.seederPeers ?? 0, "peer"))}
    ${figure("copies", "Copies cached", grouped(totals.holdings ?? 0), `of ${counted(totals.images ?? 0, "image")}`)}
  </dl>`;
}

function figure(id: string, name: string, value: string, note: string, bad = false): TemplateResult {
  return html`<div id="figure-${id}">
    <dt>${name}</dt>
    <dd>${value}</dd>
    <dd class="note" data-bad=${bad}>${note}</dd>
  </div>`;
}

/** When all that moves is there. */
function readyText(progress: AppState["board"]["progress"]): string {
  const etas = progress.flatMap(({ etaSeconds }) => (etaSeconds === undefined ? [] : [numberFrom(etaSeconds)]));
  if (etas.length > 0) return formatSeconds(Math.max(...etas));
  return progress.length === 0 ? "–" : "not known";
}

function readyNote(progress: AppState["board"]["progress"]): string {
  if (progress.length === 0) return "nothing is on its way";
  const notMoving = progress.reduce((sum, one) => sum + (one.notMoving ?? 0), 0);
  if (notMoving > 0) return `but for ${grouped(notMoving)} not moving`;
  return counted(progress.length, "image");
}

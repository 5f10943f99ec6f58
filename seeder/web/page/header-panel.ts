/** The top of the page: whether all is well, and whether the figures are of now. */
import { html, type TemplateResult } from "lit-html";
import { formatSeconds } from "../../../figures/units.ts";
import type { Actions, AppState, Theme } from "./app-state.ts";
import { clockTime, counted, isGrave } from "./words.ts";

const themeNames: Record<Theme, string> = { auto: "Auto", light: "Light", dark: "Dark" };

export function headerPanel(state: AppState, actions: Actions): TemplateResult {
  const { board, theme } = state;
  return html`<header>
    <nav class="skip" aria-label="Skip">
      <a href="#attention">What needs attention</a>
      <a href="#map">Map</a>
      <a href="#events">Events</a>
    </nav>
    <h1>bootswarm</h1>
    <span class="site">${location.host}${board.version === "" ? "" : html` <span class="dim">${board.version}</span>`}</span>
    ${health(state)}
    <span class="spacer"></span>
    ${connection(state)}
    <button class="quiet" @click=${() => actions.nextTheme()} title="Light, dark, or as the system says (t)">
      Theme: ${themeNames[theme]}
    </button>
    <button class="quiet" @click=${() => actions.help()} aria-label="Keys and meanings" title="Keys and meanings (?)">?</button>
  </header>`;
}

function health({ board, connection }: AppState): TemplateResult {
  const { concerns, concernsLeftOut } = board;
  const count = concerns.length + concernsLeftOut;
  const grave = concerns.some(isGrave);
  const kind = connection.kind === "lost" ? "unknown" : count === 0 ? "well" : grave ? "bad" : "warn";
  const text = count === 0 ? "All well" : `${counted(count, "thing")} ${count === 1 ? "needs" : "need"} attention`;
  return html`<a class="health" data-kind=${kind} href="#attention" aria-live="polite">${connection.kind === "lost" ? "Not known" : board.complete ? text : "…"}</a>`;
}

function connection({ board, connection, nowMs }: AppState): TemplateResult {
  const age = board.atMs === 0 ? "" : ageText(nowMs - board.atMs);
  switch (connection.kind) {
    case "connecting":
      return html`<span class="connection" data-kind="connecting" role="status">Connecting</span>`;
    case "live":
      return html`<span class="connection" data-kind="live"><span role="status">Live</span><span class="dim" aria-hidden="true"> · ${clockTime(board.atMs)}</span></span>`;
    case "lost":
      return html`<span class="connection" data-kind="lost"><span role="status">Connection lost</span><span aria-hidden="true"> · figures are ${age} old</span></span>`;
  }
}

/** Said across the whole page, above everything, while there is no connection. */
export function lostBanner({ board, connection, nowMs }: AppState): TemplateResult | undefined {
  if (connection.kind !== "lost") return undefined;
  const { reason, retryAtMs } = connection;
  const figures =
    board.atMs === 0
      ? "There are no figures yet."
      : `All figures are of ${clockTime(board.atMs)}, ${ageText(nowMs - board.atMs)} ago.`;
  const again =
    retryAtMs === undefined
      ? "Trying now."
      : `Trying again in ${formatSeconds(Math.max(1, Math.ceil((retryAtMs - nowMs) / 1000)))}.`;
  return html`<p class="banner" id="lost"><strong>No connection to the seeder:</strong> ${reason}. ${figures} ${again} Nodes go on without the seeder.</p>`;
}

function ageText(ms: number): string {
  return formatSeconds(Math.max(0, Math.floor(ms / 1000)));
}

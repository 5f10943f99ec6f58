/** What happened, newest first. */
import { html, type TemplateResult } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import type { BoardEventJson } from "../../../proto/gen/bootswarm/seeder/v1/dashboard_pb.js";
import type { Actions, AppState } from "./app-state.ts";
import { timeFrom } from "./json-values.ts";
import { imageLink, nodeLink } from "./links.ts";
import { clockTime, eventWords, grouped, isBad } from "./words.ts";

const eventsShownMax = 25;
const eventsShownAllMax = 500;

export function eventsPanel(state: AppState, actions: Actions): TemplateResult {
  const { events } = state.board;
  const shown = events.slice(0, state.allEvents ? eventsShownAllMax : eventsShownMax);
  return html`<section id="events" class="panel" tabindex="-1" aria-labelledby="events-title">
    <h2 id="events-title">Events</h2>
    ${
      shown.length === 0
        ? html`<p class="empty">Nothing has happened since the seeder was started.</p>`
        : html`<ol class="events">${repeat(
            shown,
            ({ number }) => number ?? 0,
            (event) => item(actions, event),
          )}</ol>`
    }
    ${
      events.length > eventsShownMax
        ? html`<button class="quiet" @click=${() => actions.toggleEvents()} aria-expanded=${state.allEvents}>${state.allEvents ? "Show fewer" : `Show all ${grouped(events.length)}`}</button>`
        : ""
    }
  </section>`;
}

function item(actions: Actions, event: BoardEventJson): TemplateResult {
  const { nodeId = "", nodeName = "", digest = "", imageName = "", text = "" } = event;
  const atMs = timeFrom(event.at) ?? 0;
  const { before, between, after } = eventWords(event);
  return html`<li data-bad=${isBad(event)}>
    <time datetime=${event.at ?? ""} title=${new Date(atMs).toLocaleString("en-GB")}>${clockTime(atMs)}</time>
    <span>${before}${digest === "" ? "" : imageLink(actions, { digest, name: imageName })}${between}${nodeId === "" ? "" : nodeLink(actions, { id: nodeId, name: nodeName })}${after}${text === "" ? "" : html`<span class="dim">: ${text}</span>`}</span>
  </li>`;
}

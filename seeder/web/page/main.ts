/** The page: state, actions, and one drawing per frame in which something has changed. */
import { html, render } from "lit-html";
import { ApiError, getNode, getPlan, listHoldings, listPopularity } from "./api.ts";
import type { Actions, AppState, Selected, Theme } from "./app-state.ts";
import { attentionPanel } from "./attention-panel.ts";
import { emptyBoard, nextBoard } from "./board-state.ts";
import { keepWatching } from "./connection.ts";
import { detailPanel } from "./detail-panel.ts";
import { eventsPanel } from "./events-panel.ts";
import { fetchesPanel } from "./fetches-panel.ts";
import { flowsPanel } from "./flows-panel.ts";
import { headerPanel, lostBanner } from "./header-panel.ts";
import { helpDialog } from "./help-dialog.ts";
import { mapContent } from "./map-layout.ts";
import { mapPanel } from "./map-panel.ts";
import { MapView } from "./map-view.ts";
import { poll } from "./poller.ts";
import { prefetchPanel } from "./prefetch-panel.ts";
import { progressPanel } from "./progress-panel.ts";
import { summaryPanel } from "./summary-panel.ts";

const detailIntervalMs = 2_000;
const prefetchIntervalMs = 5_000;
const popularImages = 10;
const copiedShownMs = 2_000;
/** Nodes wider than this tell no more. */
const zoomMax = 22;
const themes: Theme[] = ["auto", "light", "dark"];
const themeKey = "bootswarm.theme";

const state: AppState = {
  board: emptyBoard,
  connection: { kind: "connecting" },
  nowMs: Date.now(),
  choice: { filter: "", imageOrder: "moving", nodeOrder: "zone" },
  content: { rows: [], nodes: [], groups: [] },
  zoom: 0,
  cursor: undefined,
  selected: undefined,
  detail: undefined,
  prefetch: undefined,
  theme: savedTheme(),
  allEvents: false,
  copied: undefined,
};
/** What the stream has told; it is shown once a moment is told to its end. */
let told = emptyBoard;
let asking = new AbortController();
/** Aborted where the seeder knows nothing of prefetching. */
const prefetchAsked = new AbortController();
let drawingDue = false;
/** Where the focus was before the details were opened. */
let focusBefore: Element | null = null;

const actions: Actions = {
  choose(choice) {
    state.choice = { ...state.choice, ...choice };
    rearrange();
  },
  zoom(factor) {
    const width = view.nodeWidth * factor;
    state.zoom = factor === 0 ? 0 : Math.min(zoomMax, width);
    draw();
  },
  select,
  selectFound() {
    const { rows, nodes } = state.content;
    const [node, image] = [nodes[0], rows[0]?.image];
    const isNodes = nodes.length < state.board.nodes.size;
    if (isNodes && node) select({ kind: "node", id: node.id });
    else if (image) select({ kind: "image", digest: image.digest });
  },
  copy(text) {
    copyText(text).then(
      () => {
        state.copied = text;
        draw();
        setTimeout(() => {
          state.copied = undefined;
          draw();
        }, copiedShownMs);
      },
      () => {},
    );
  },
  nextTheme() {
    state.theme = themes[(themes.indexOf(state.theme) + 1) % themes.length] as Theme;
    localStorage.setItem(themeKey, state.theme);
    applyTheme();
    draw();
  },
  help: () => document.querySelector<HTMLDialogElement>("#help")?.showModal(),
  toggleEvents() {
    state.allEvents = !state.allEvents;
    draw();
  },
};

const view = new MapView({
  state: () => state,
  actions,
  moveTo(cursor) {
    if (cursor?.row === state.cursor?.row && cursor?.node === state.cursor?.node) return;
    state.cursor = cursor;
    draw();
  },
});

function select(selected: Selected | undefined): void {
  const opens = !state.selected && selected;
  if (opens) focusBefore = document.activeElement;
  asking.abort();
  asking = new AbortController();
  state.selected = selected;
  state.detail = undefined;
  draw();
  if (!selected) {
    if (focusBefore instanceof HTMLElement && focusBefore.isConnected) focusBefore.focus();
    return;
  }
  void poll((signal) => askDetail(selected, signal), detailIntervalMs, asking.signal);
  if (opens)
    requestAnimationFrame(() => document.querySelector<HTMLElement>("#detail")?.focus({ preventScroll: false }));
}

async function askDetail(selected: Selected, signal: AbortSignal): Promise<void> {
  try {
    state.detail =
      selected.kind === "node"
        ? { kind: "node", answer: await getNode(selected.id, signal) }
        : { kind: "image", answer: await listHoldings(selected.digest, signal) };
  } catch (error) {
    if (signal.aborted) return;
    // While nobody answers, what was last known stays, and the page says how old it is.
    if (error instanceof ApiError && error.code === "unavailable" && state.detail) return;
    state.detail = { kind: "error", message: error instanceof Error ? error.message : String(error) };
  }
  if (!signal.aborted) draw();
}

async function askPrefetch(signal: AbortSignal): Promise<void> {
  try {
    const [plan, popularity] = await Promise.all([getPlan(signal), listPopularity(popularImages, signal)]);
    state.prefetch = { plan, popularity };
  } catch (error) {
    if (error instanceof ApiError && error.code === "unimplemented") {
      state.prefetch = undefined;
      prefetchAsked.abort();
    }
  }
  draw();
}

/** Puts what is known on the map in order. The cursor stays on its node and image, wherever they go. */
function rearrange(): void {
  const { cursor, content } = state;
  const image = cursor && content.rows[cursor.row]?.image.digest;
  const node = cursor && content.nodes[cursor.node]?.id;
  state.content = mapContent(state.board, state.choice);
  if (cursor) {
    const row = state.content.rows.findIndex((one) => one.image.digest === image);
    const place = state.content.nodes.findIndex(({ id }) => id === node);
    state.cursor = row < 0 || place < 0 ? undefined : { row, node: place };
  }
  draw();
}

function draw(): void {
  if (drawingDue) return;
  drawingDue = true;
  requestAnimationFrame(() => {
    drawingDue = false;
    state.nowMs = Date.now();
    render(page(), document.querySelector("#app") as HTMLElement);
    document.title = title();
    view.update();
  });
}

function page() {
  return html`${headerPanel(state, actions)}
    ${lostBanner(state)}
    <main data-stale=${state.connection.kind === "lost"}>
      ${summaryPanel(state)}
      <div class="columns first">${attentionPanel(state, actions)}${progressPanel(state, actions)}</div>
      <div class="map-and-detail" data-open=${state.selected !== undefined}>${mapPanel(state, actions, view)}${detailPanel(state, actions)}</div>
      <div class="columns">
        <div class="stack">${flowsPanel(state, actions)}${fetchesPanel(state, actions)}</div>
        <div class="stack">${prefetchPanel(state, actions)}${eventsPanel(state, actions)}</div>
      </div>
    </main>
    ${helpDialog()}`;
}

/** A tab in the background says by its title that something is wrong. */
function title(): string {
  if (state.connection.kind === "lost") return "? bootswarm";
  const count = state.board.concerns.length + state.board.concernsLeftOut;
  return count === 0 ? "bootswarm" : `(${count}) bootswarm`;
}

function onKey(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  const typing = target.matches("input, select, textarea");
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
    if (target.id === "filter" && state.choice.filter !== "") actions.choose({ filter: "" });
    else if (state.selected) select(undefined);
    return;
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const focus = (selector: string) => document.querySelector<HTMLElement>(selector)?.focus();
  const keys: Record<string, () => void> = {
    "/": () => focus("#filter"),
    m: () => focus("#map-canvas"),
    t: actions.nextTheme,
    "?": actions.help,
  };
  const act = keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

function savedTheme(): Theme {
  const saved = localStorage.getItem(themeKey);
  return themes.find((theme) => theme === saved) ?? "auto";
}

function applyTheme(): void {
  document.documentElement.dataset.theme = state.theme;
  view.recolour();
}

/** The clipboard is there only where the page comes by HTTPS or from this machine; elsewhere by the old way. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

const leaving = new AbortController();
document.querySelector("#app")?.replaceChildren();
applyTheme();
draw();
addEventListener("keydown", onKey);
addEventListener("resize", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view.recolour());
void keepWatching(
  {
    onMessage(message) {
      told = nextBoard(told, message);
      if (!told.complete) return;
      state.board = told;
      rearrange();
    },
    onConnection(connection) {
      state.connection = connection;
      draw();
    },
  },
  leaving.signal,
);
void poll(askPrefetch, prefetchIntervalMs, AbortSignal.any([leaving.signal, prefetchAsked.signal]));
// Ages go on while nothing comes.
setInterval(() => {
  if (state.connection.kind !== "live") draw();
}, 1_000);
addEventListener("pagehide", () => leaving.abort());
// Brought back by the browser as it was left: its stream has ended.
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) location.reload();
});

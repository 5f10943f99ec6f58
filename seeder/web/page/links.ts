/** Nodes and images wherever they are named: a button that opens their details. */
import { html, nothing, type TemplateResult } from "lit-html";
import type { Actions, AppState } from "./app-state.ts";
import type { BoardImage, BoardNode } from "./board-state.ts";

export function nodeLink(
  actions: Actions,
  node: Pick<BoardNode, "id" | "name"> | undefined,
): TemplateResult | typeof nothing {
  if (!node) return nothing;
  const { id, name } = node;
  return html`<button class="link" title="Details of ${name}" @click=${() => actions.select({ kind: "node", id })}>${name}</button>`;
}

export function imageLink(
  actions: Actions,
  image: Pick<BoardImage, "digest" | "name"> | undefined,
): TemplateResult | typeof nothing {
  if (!image) return nothing;
  const { digest, name } = image;
  return html`<button class="link" title="Details of ${name}" @click=${() => actions.select({ kind: "image", digest })}>${name}</button>`;
}

/** A text with a button that copies it. */
export function copyable(state: AppState, actions: Actions, text: string, shown = text): TemplateResult {
  const label = state.copied === text ? "Copied" : "Copy";
  return html`<span class="copyable"><span class="mono" title=${text}>${shown}</span><button class="quiet" aria-label="Copy ${text}" @click=${() => actions.copy(text)}>${label}</button></span>`;
}

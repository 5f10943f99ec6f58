/** A bar of parts, as SVG: widths are attributes there, which a strict Content-Security-Policy lets through. */
import { html, svg, type TemplateResult } from "lit-html";

export interface BarPart {
  kind: "cached" | "moving" | "http" | "moving-track";
  /** 0 to 1 of the bar. */
  part: number;
}

/** For the eye; what it says must be beside it in words. */
export function bar(parts: readonly BarPart[]): TemplateResult {
  let x = 0;
  const rects = parts.map(({ kind, part }) => {
    const width = Math.max(0, Math.min(1 - x, part)) * 100;
    const rect = svg`<rect class="fill-${kind}" x=${(x * 100).toFixed(2)} y="0" width=${width.toFixed(2)} height="8"></rect>`;
    x += width / 100;
    return rect;
  });
  return html`<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
    <rect class="fill-track" x="0" y="0" width="100" height="8"></rect>
    ${rects}
  </svg>`;
}

/** Popularity, and what the seeder brings to nodes because of it. */
import { html, type TemplateResult } from "lit-html";
import { repeat } from "lit-html/directives/repeat.js";
import { formatBytes, formatSeconds } from "../../../figures/units.ts";
import type { PlannedImageJson, ZonePlanJson } from "../../../proto/gen/bootswarm/seeder/v1/prefetch_pb.js";
import type { Actions, AppState } from "./app-state.ts";
import { bar } from "./bar.ts";
import { numberFrom } from "./json-values.ts";
import { imageLink } from "./links.ts";
import { counted, grouped } from "./words.ts";

const imagesShownMax = 8;
const plannedShownMax = 10;

const modes: Record<string, string> = {
  PLAN_MODE_OFF: "Nothing is planned: prefetching by popularity is off.",
  PLAN_MODE_ADVISE: "The plan is made and shown only; nodes are not told of it.",
  PLAN_MODE_ON: "Nodes are told of the plan.",
};

export function prefetchPanel(state: AppState, actions: Actions): TemplateResult | undefined {
  const { prefetch } = state;
  if (!prefetch) return undefined;
  const { popularity, plan } = prefetch;
  const images = (popularity.images ?? []).slice(0, imagesShownMax);
  const most = Math.max(Number.MIN_VALUE, ...images.map(({ score }) => numberFrom(score)));
  return html`<section id="prefetch" class="panel" aria-labelledby="prefetch-title">
    <h2 id="prefetch-title">Popularity and prefetch</h2>
    ${
      images.length === 0
        ? html`<p class="empty">No launch has been recorded. Schedulers record them by RecordLaunch.</p>`
        : html`<div class="scroll-x"><table>
            <thead><tr><th>Image</th><th></th><th class="num">Launches a day</th></tr></thead>
            <tbody>${repeat(
              images,
              ({ digest }) => digest ?? "",
              ({ digest = "", names = [], score, launchesPerDay }) => html`<tr>
                <td class="name">${imageLink(actions, { digest, name: names[0] ?? digest.slice(0, 12) })}</td>
                <td class="bar-cell">${bar([{ kind: "cached", part: numberFrom(score) / most }])}</td>
                <td class="num">${numberFrom(launchesPerDay).toFixed(1)}</td>
              </tr>`,
            )}</tbody>
          </table></div>
          <p class="dim">Launches count half after ${formatSeconds(numberFrom(popularity.halfLifeMs) / 1000)}.</p>`
    }
    <h3>Plan</h3>
    <p class="dim">${modes[plan.mode ?? ""] ?? "There is no plan yet."}</p>
    ${planTable(plan.zones ?? [], actions)}
  </section>`;
}

function planTable(zones: readonly ZonePlanJson[], actions: Actions): TemplateResult | undefined {
  const wanted = zones
    .flatMap(({ zone = "", images = [] }) => images.map((image) => ({ zone, image })))
    .filter(({ image }) => (image.copiesWanted ?? 0) > (image.copies ?? 0))
    .sort((a, b) => missing(b.image) - missing(a.image));
  if (zones.length === 0) return undefined;
  const used = zones.reduce((sum, { usedBytes }) => sum + numberFrom(usedBytes), 0);
  const budget = zones.reduce((sum, { budgetBytes }) => sum + numberFrom(budgetBytes), 0);
  const shown = wanted.slice(0, plannedShownMax);
  return html`<p class="dim">${formatBytes(used)} of ${formatBytes(budget)} that nodes allow for it are taken.</p>
    ${
      shown.length === 0
        ? html`<p class="empty">Every zone has the copies it should have.</p>`
        : html`<div class="scroll-x"><table>
            <thead><tr><th>Image</th><th>Zone</th><th class="num">Copies</th><th class="num">Coming</th><th class="num">Wanted</th></tr></thead>
            <tbody>${repeat(
              shown,
              ({ zone, image }) => `${zone}/${image.digest}`,
              ({ zone, image }) => html`<tr>
                <td class="name">${imageLink(actions, { digest: image.digest ?? "", name: image.names?.[0] ?? (image.digest ?? "").slice(0, 12) })}</td>
                <td class="name">${zone || html`<span class="dim">no zone</span>`}</td>
                <td class="num">${grouped(image.copies ?? 0)}</td>
                <td class="num">${grouped(image.copiesComing ?? 0)}</td>
                <td class="num">${grouped(image.copiesWanted ?? 0)}</td>
              </tr>`,
            )}</tbody>
          </table></div>`
    }
    ${wanted.length > shown.length ? html`<p class="dim">and ${counted(wanted.length - shown.length, "more")}</p>` : ""}`;
}

function missing(image: PlannedImageJson): number {
  return numberFrom(image.missesExpected) - numberFrom(image.missesExpectedThen);
}

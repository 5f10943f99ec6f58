/** Keys, and what the marks mean. */
import { html, type TemplateResult } from "lit-html";

const keys: [string, string][] = [
  ["/", "filter by node, zone or image; Enter opens what was found"],
  ["m", "go to the map"],
  ["Arrows, Home, End, Page Up, Page Down", "move over the map; with Shift in tens"],
  ["Enter", "on the map: details of the node; with Shift, of the image"],
  ["+ and −", "on the map: wider and narrower; 0 shows all"],
  ["t", "light, dark, or as the system says"],
  ["Esc", "close the details"],
  ["?", "this help"],
];

export function helpDialog(): TemplateResult {
  return html`<dialog id="help" aria-labelledby="help-title">
    <h2 id="help-title">Keys and meanings</h2>
    <dl class="keys">${keys.map(([key, meaning]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${meaning}</dd></div>`)}</dl>
    <p>On the map every row is an image and every column a node. A full blue bar is a cached image; an orange bar on its way, as
      high as its percent; nothing, no image. A red stroke is a paused fetch; a red mark above a column, a lost node, whose cells are
      faint. Where nodes are too many for a pixel each, a bar is as high as the part of them that has the image.</p>
    <p>Rates and times are what nodes report; those of a busy node are at most two seconds old. Everything here is in the API:
      <code>bootswarm.seeder.v1.DashboardService</code>, <code>InventoryService</code>, <code>PrefetchService</code>.</p>
    <form method="dialog"><button>Close</button></form>
  </dialog>`;
}

/** How scenarios and what VMs found look in plots. */
import type { Found } from "../results.ts";

/** Told apart by people who see fewer colours too (Okabe and Ito). */
const colours: Record<string, string> = {
  "HTTP, default": "#8a8a8a",
  "HTTP, cache-aware": "#e69f00",
  "BitTorrent, default": "#56b4e9",
  "BitTorrent, cache-aware": "#009e73",
  "in-flight-aware": "#0072b2",
  "in-flight-aware, prefetch": "#d55e00",
};
/** For what is only tried. */
const others = ["#cc79a7", "#222222", "#b8a500", "#7a5195"];

export function colourOf(scenario: string, index: number): string {
  return colours[scenario] ?? others[index % others.length]!;
}

export const foundStyles: Record<Found, { colour: string; symbol: string }> = {
  cached: { colour: "#0072b2", symbol: "circle" },
  "in flight": { colour: "#e69f00", symbol: "triangle" },
  absent: { colour: "#c0392b", symbol: "diamond" },
};

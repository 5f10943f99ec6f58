/** The page's colours: text is readable in both schemes (WCAG 2.1, AA), and what is told apart by colour differs enough. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const css = readFileSync(join(import.meta.dirname, "../../../seeder/web/page/page.css"), "utf8");
const colours = new Map(
  [...css.matchAll(/--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);/g)].map(([, name = "", light, dark]) => [
    name,
    { light: light as string, dark: dark as string },
  ]),
);

function channels(colour: string): number[] {
  return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255);
}

function luminance(colour: string): number {
  const [red, green, blue] = channels(colour).map((value) =>
    value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4,
  ) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [a, b] = [luminance(one), luminance(other)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

/** The pair in each scheme, with its contrast. */
function contrasts(one: string, other: string) {
  return (["light", "dark"] as const).map((scheme) => ({
    pair: `${one} on ${other}, ${scheme}`,
    contrast: contrast(colours.get(one)![scheme], colours.get(other)![scheme]),
  }));
}

const textPairs = ["ink", "dim", "link", "alert", "warn", "well"].flatMap((text) =>
  ["panel", "ground", "hover"].flatMap((ground) => contrasts(text, ground)),
);

test.each([...textPairs, ...contrasts("alert", "alert-ground")])("text is readable: $pair", ({ contrast }) => {
  expect(contrast).toBeGreaterThanOrEqual(4.5);
});

const markPairs = [
  ...["cached", "moving", "alert", "control", "focus"].flatMap((mark) => contrasts(mark, "panel")),
  ...contrasts("cached", "track"),
  ...contrasts("alert", "moving-track"),
];

test.each(markPairs)("marks and controls are seen: $pair", ({ contrast }) => {
  expect(contrast).toBeGreaterThanOrEqual(3);
});

/** Machado, Oliveira and Fernandes 2009, severity 1, on linear values; good enough to tell colours apart. */
const sights: Record<string, number[][]> = {
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
};

test.each(Object.keys(sights))("cached and on its way are told apart with %s", (sight) => {
  for (const scheme of ["light", "dark"] as const) {
    const seen = ["cached", "moving"].map((name) => {
      const linear = channels(colours.get(name)![scheme]).map((value) => value ** 2.2);
      return sights[sight]!.map((row) => row.reduce((sum, factor, at) => sum + factor * linear[at]!, 0));
    });
    const distance = Math.hypot(...[0, 1, 2].map((at) => seen[0]![at]! - seen[1]![at]!));
    expect(distance).toBeGreaterThan(0.25);
  }
});

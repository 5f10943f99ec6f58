import { expect, test } from "vitest";
import { createLiveRegion } from "../../../cli/live-region.ts";

/** A stream that keeps what is written. */
function recorder(tty: { columns: number; rows: number } | undefined) {
  const written: string[] = [];
  return { written, terminal: { write: (text: string) => written.push(text), isTTY: tty !== undefined, ...tty } };
}

const viewOf = (text: string) => ({ lines: () => text.split("|"), plain: () => text.split("|") });

test("on a terminal, a region goes back to its top and is redrawn", () => {
  let nowMs = 0;
  const { terminal, written } = recorder({ columns: 80, rows: 24 });
  const region = createLiveRegion(terminal, () => nowMs);
  region.draw(viewOf("a|b"));
  nowMs = 50;
  region.draw(viewOf("too soon"));
  nowMs = 200;
  region.draw(viewOf("c|d"));
  region.finish(viewOf("e"));
  expect(written).toEqual([
    "\x1b[?25l\r\x1b[2Ka\n\x1b[2Kb\n\x1b[J",
    "\x1b[?25l\x1b[2A\r\x1b[2Kc\n\x1b[2Kd\n\x1b[J",
    "\x1b[2A\r\x1b[2Ke\n\x1b[J",
    "\x1b[?25h",
  ]);
});

test("a region taller than the screen is cut, so that it can be redrawn", () => {
  const { terminal, written } = recorder({ columns: 80, rows: 4 });
  createLiveRegion(terminal, () => 0).draw(viewOf("1|2|3|4|5|6"));
  expect(written.join("").match(/\n/g)).toHaveLength(3);
  expect(written.join("")).toContain("4 more");
});

test("elsewhere, a line is written every few seconds, and at the end", () => {
  let nowMs = 0;
  const { terminal, written } = recorder(undefined);
  const region = createLiveRegion(terminal, () => nowMs);
  region.draw(viewOf("at once"));
  nowMs = 6_000;
  region.draw(viewOf("later"));
  nowMs = 7_000;
  region.draw(viewOf("soon after"));
  region.finish(viewOf("end"));
  region.clear();
  expect(written).toEqual(["later\n", "end\n"]);
});

test("clearing gives the terminal back as it was", () => {
  const { terminal, written } = recorder({ columns: 80, rows: 24 });
  const region = createLiveRegion(terminal, () => 0);
  region.draw(viewOf("a"));
  region.clear();
  expect(written.slice(1)).toEqual(["\x1b[1A\r\x1b[J", "\x1b[?25h"]);
});

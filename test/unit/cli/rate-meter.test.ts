import { expect, test } from "vitest";
import { createRateMeter } from "../../../cli/rate-meter.ts";

test("the rate is that of the last seconds, not of the whole transfer", () => {
  const meter = createRateMeter(0);
  expect(meter.rate()).toBe(0);
  for (let second = 1; second <= 10; second++) meter.note(second * 1_000, second * 1_000);
  expect(meter.rate()).toBeCloseTo(1_000, 0);
  for (let second = 11; second <= 20; second++) meter.note(10_000 + (second - 10) * 50, second * 1_000);
  expect(meter.rate()).toBeCloseTo(50, 0);
});

test("notes in quick succession are one sample, the last of which counts", () => {
  const meter = createRateMeter(0);
  for (let ms = 1; ms <= 50; ms++) meter.note(ms * 10, ms);
  expect(meter.rate()).toBeCloseTo(10_000, 0);
});

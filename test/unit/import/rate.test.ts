import { expect, test } from "vitest";
import { Rate } from "../../../seeder/import/rate.ts";

test("the rate is an average over the last seconds", () => {
  const rate = new Rate();
  for (let second = 0; second <= 20; second++) rate.add(second * 1_000, second * 100);
  expect(rate.bytesPerSecond(20_000)).toBe(100);
});

test("the rate falls to nothing when bytes stop", () => {
  const rate = new Rate();
  rate.add(0, 0);
  rate.add(1_000, 1_000_000);
  expect(rate.bytesPerSecond(60_000)).toBe(0);
});

test("many samples in a short time are held in bounded memory and average the same", () => {
  const rate = new Rate();
  for (let ms = 0; ms <= 10_000; ms++) rate.add(ms, ms * 1_000);
  expect(rate.bytesPerSecond(10_000)).toBeCloseTo(1_000_000, -5);
});

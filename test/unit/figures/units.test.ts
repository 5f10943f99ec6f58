import fc from "fast-check";
import { expect, test } from "vitest";
import {
  formatAge,
  formatBytes,
  formatPercent,
  formatRate,
  formatSeconds,
  fractionOf,
} from "../../../figures/units.ts";

test("bytes have at most three digits and the unit that fits", () => {
  expect(formatBytes(0)).toBe("0 B");
  expect(formatBytes(999)).toBe("999 B");
  expect(formatBytes(1000)).toBe("0.98 KiB");
  expect(formatBytes(1536)).toBe("1.50 KiB");
  expect(formatBytes(45.25 * 2 ** 20)).toBe("45.3 MiB");
  expect(formatBytes(268_435_456n)).toBe("256 MiB");
  expect(formatBytes(2n ** 64n - 1n)).toBe("16.0 EiB");
});

test("bytes of any size take at most eight characters", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (bytes) => {
      expect(formatBytes(bytes)).toMatch(/^\d[\d.]{0,3} [KMGTPE]?i?B$/);
    }),
  );
});

test("rates are bytes per second", () => {
  expect(formatRate(47_395_635)).toBe("45.2 MiB/s");
});

test("seconds are told in the two largest units", () => {
  expect(formatSeconds(0)).toBe("0 s");
  expect(formatSeconds(0.0401)).toBe("41 ms");
  expect(formatSeconds(0.42)).toBe("0.4 s");
  expect(formatSeconds(9.97)).toBe("10 s");
  expect(formatSeconds(60)).toBe("1 min");
  expect(formatSeconds(185)).toBe("3 min 5 s");
  expect(formatSeconds(2 * 3600 + 600)).toBe("2 h 10 min");
  expect(formatSeconds(4 * 86_400 + 3 * 3600)).toBe("4 d 3 h");
});

test("only what is whole is 100 %", () => {
  expect(formatPercent(999_999, 1_000_000)).toBe("99 %");
  expect(formatPercent(1n, 1n)).toBe("100 %");
  expect(formatPercent(0, 0)).toBe("100 %");
  expect(fractionOf(5, 4)).toBe(1);
});

test("an age in the future is now", () => {
  expect(formatAge(5_000, 1_000)).toBe("now");
  expect(formatAge(1_000, 6_000)).toBe("5 s ago");
});

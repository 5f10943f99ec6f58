import { expect, test } from "vitest";
import { cellText } from "../../../seeder/web/page/cell-values.ts";
import { chartShape, niceTop } from "../../../seeder/web/page/chart.ts";
import { endReason, retryDelayMs } from "../../../seeder/web/page/connection.ts";
import { EnvelopeReader, envelopeOf } from "../../../seeder/web/page/envelopes.ts";
import { numberFrom, timeFrom } from "../../../seeder/web/page/json-values.ts";
import { concernTitle, eventWords } from "../../../seeder/web/page/words.ts";

test("messages are read whole, however their bytes arrive", () => {
  const end = envelopeOf('{"error":{"code":"unavailable","message":"fell behind"}}');
  end[0] = 2;
  const bytes = Uint8Array.from([...envelopeOf('{"a":"ü"}'), ...envelopeOf("{}"), ...end]);
  for (const size of [1, 3, 7, bytes.length]) {
    const reader = new EnvelopeReader();
    const read = [];
    for (let at = 0; at < bytes.length; at += size) read.push(...reader.read(bytes.subarray(at, at + size)));
    expect(read.map(({ text }) => text).slice(0, 2)).toEqual(['{"a":"ü"}', "{}"]);
    expect(read.map(({ end }) => end)).toEqual([false, false, true]);
    expect(endReason(read[2]!.text)).toBe("fell behind");
  }
});

test("a message that is said to be too long is not waited for", () => {
  const reader = new EnvelopeReader();
  expect(() => reader.read(Uint8Array.from([0, 0xff, 0, 0, 0]))).toThrow("too long");
});

test("tries to connect come further and further apart, up to some seconds, and not all at once", () => {
  const delays = [1, 2, 3, 4, 5, 6, 20].map((failures) => retryDelayMs(failures, () => 1));
  expect(delays).toEqual([500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
  expect(retryDelayMs(1, () => 0)).toBe(250);
});

test("64-bit integers come as text, and what is absent is zero or no time", () => {
  expect([numberFrom("17"), numberFrom(1.5), numberFrom(undefined), numberFrom("NaN")]).toEqual([17, 1.5, 0, 0]);
  expect([timeFrom(undefined), timeFrom("1970-01-01T00:00:01Z"), timeFrom("never")]).toEqual([
    undefined,
    1_000,
    undefined,
  ]);
});

test("cells are said in words", () => {
  expect([0, 1, 2, 3, 100, 142, 200].map(cellText)).toEqual([
    ...["not there", "queued", "paused", "cached"],
    ...["on its way, 0 %", "on its way, 42 %", "on its way, 100 %"],
  ]);
});

test("the chart's top is a round number of its unit, never below what it shows", () => {
  const mebibyte = 1024 ** 2;
  expect([0, 1_500, 3 * mebibyte, 700 * mebibyte].map(niceTop)).toEqual([
    1024,
    2 * 1024,
    5 * mebibyte,
    1024 * mebibyte,
  ]);
});

test("areas lie on each other, and a pause in the samples is a gap", () => {
  const sample = (atMs: number) => ({ atMs, swarmBytesPerSecond: 512, httpBytesPerSecond: 512 });
  const { swarm, http, top } = chartShape([sample(300_000), sample(299_000), sample(200_000)].toReversed(), 300_000);
  expect(top).toBe(1024);
  expect(swarm.match(/M/g)).toHaveLength(2);
  expect(swarm.split("M")[2]).toBe("598.0 70.0L600.0 70.0L600.0 140.0L598.0 140.0Z");
  expect(http.split("M")[2]).toBe("598.0 0.0L600.0 0.0L600.0 70.0L598.0 70.0Z");
  expect(chartShape([], 0)).toMatchObject({ swarm: "", seeder: "" });
});

test("concerns and events are said in words, one and many", () => {
  expect(concernTitle({ kind: "CONCERN_KIND_NODE_LOST", nodesCount: 2, text: "rack-1" })).toBe(
    "2 nodes lost in rack-1",
  );
  expect(concernTitle({ kind: "CONCERN_KIND_FETCH_STALLED", nodesCount: 1 })).toBe("Fetches do not move on 1 node");
  expect(eventWords({ kind: "BOARD_EVENT_KIND_READY", count: 1_235 })).toEqual({
    ...{ before: "", between: " ready on ", after: " and 1,234 more" },
  });
  expect(eventWords({ kind: "BOARD_EVENT_KIND_VERIFY_FAILED" }).before).toBe("1 piece failed the check on ");
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { type RangeHeaders, rangeAnswerFor } from "../../../seeder/origin/range.ts";

const etag = '"abc"';
const none: RangeHeaders = { range: undefined, ifRange: undefined, ifNoneMatch: undefined, ifMatch: undefined };
const answer = (headers: Partial<RangeHeaders>, sizeBytes = 100) =>
  rangeAnswerFor({ ...none, ...headers }, sizeBytes, etag);
const whole = { status: 200, start: 0, end: 100 };

test.each([
  ["bytes=0-9", { status: 206, start: 0, end: 10 }],
  ["bytes=90-", { status: 206, start: 90, end: 100 }],
  ["bytes=-10", { status: 206, start: 90, end: 100 }],
  ["bytes=-1000", { status: 206, start: 0, end: 100 }],
  ["bytes=50-1000", { status: 206, start: 50, end: 100 }],
  ["bytes=99-99", { status: 206, start: 99, end: 100 }],
  ["bytes=100-", { status: 416 }],
  ["bytes=100-200", { status: 416 }],
  ["bytes=-0", { status: 416 }],
])("%s of 100 bytes", (range, expected) => {
  expect(answer({ range })).toEqual(expected);
});

test.each(["bytes=9-0", "bytes=-", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b", "bytes", `bytes=${"9".repeat(40)}-`])(
  "%s is passed over",
  (range) => {
    expect(answer({ range })).toEqual(whole);
  },
);

test("a range holds only while the image is the one it was begun on", () => {
  expect(answer({ range: "bytes=1-2", ifRange: etag })).toMatchObject({ status: 206 });
  expect(answer({ range: "bytes=1-2", ifRange: '"other"' })).toEqual(whole);
  expect(answer({ range: "bytes=1-2", ifRange: `W/${etag}` })).toEqual(whole);
  expect(answer({ range: "bytes=1-2", ifRange: "Wed, 21 Oct 2026 07:28:00 GMT" })).toEqual(whole);
});

test("a client that has the image is told so", () => {
  expect(answer({ ifNoneMatch: etag })).toEqual({ status: 304 });
  expect(answer({ ifNoneMatch: `"x", W/${etag}` })).toEqual({ status: 304 });
  expect(answer({ ifNoneMatch: "*" })).toEqual({ status: 304 });
  expect(answer({ ifNoneMatch: '"x"' })).toEqual(whole);
});

test("a client that wants another image gets none", () => {
  expect(answer({ ifMatch: '"x"' })).toEqual({ status: 412 });
  expect(answer({ ifMatch: `"x", ${etag}` })).toEqual(whole);
});

test("whatever the header, the range lies within the image", () => {
  const bound = fc.oneof(fc.constant(""), fc.nat(200).map(String), fc.string({ maxLength: 20 }));
  fc.assert(
    fc.property(bound, bound, fc.integer({ min: 1, max: 150 }), (first, last, sizeBytes) => {
      const result = answer({ range: `bytes=${first}-${last}` }, sizeBytes);
      if (!("start" in result)) return;
      expect(result.start).toBeGreaterThanOrEqual(0);
      expect(result.start).toBeLessThan(result.end);
      expect(result.end).toBeLessThanOrEqual(sizeBytes);
    }),
  );
});

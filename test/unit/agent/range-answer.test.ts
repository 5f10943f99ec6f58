import { describe, expect, test } from "vitest";
import type { ImageFacts } from "../../../agent/cache/records.ts";
import { checkRangeAnswer, OriginBusy } from "../../../agent/fetch/range-answer.ts";
import { Problem } from "../../../daemon/problem.ts";

const digest = "ab".repeat(32);
const facts: ImageFacts = {
  digest,
  names: [],
  sizeBytes: 1_000,
  format: "raw",
  virtualSizeBytes: 1_000,
  magnetUri: "",
  infohash: "",
  dataPath: "",
};

/** Checks an answer to a request for the rest from `offset`, or for `lengthBytes` there. */
function check(status: number, headers: Record<string, string>, offset = 0, lengthBytes?: number) {
  const all: Record<string, string | undefined> = { etag: `"${digest}"`, ...headers };
  return checkRangeAnswer({ status, header: (name) => all[name] }, facts, { offset, lengthBytes });
}

function problemOf(run: () => unknown): Problem {
  try {
    run();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error("it was taken");
}

test("the whole image is taken", () => {
  expect(check(200, { "content-length": "1000" })).toBe(0);
});
test("the rest of it is taken, with the size that the catalog says", () => {
  expect(check(206, { "content-range": "bytes 400-999/1000" }, 400)).toBe(400);
});
test("a part of it is taken, exactly as asked for", () => {
  expect(check(206, { "content-range": "bytes 400-499/1000" }, 400, 100)).toBe(400);
});
test("a server without ranges starts over, but is no source of parts", () => {
  expect(check(200, { "content-length": "1000" }, 400)).toBe(0);
  expect(problemOf(() => check(200, { "content-length": "1000" }, 400, 100)).kind).toBe("unavailable");
});

describe("data loss, with what to do about it:", () => {
  test.each([
    ["another length", 200, { "content-length": "999" }, /has 1000 bytes, but the origin has 999; publish/],
    ["another size in a range", 206, { "content-range": "bytes 400-1000/1001" }, /has 1000 bytes.*has 1001/],
    ["a range beyond its end", 416, { "content-range": "bytes */300" }, /has 1000 bytes.*has 300/],
    ["another ETag", 200, { etag: '"other"' }, /something else \(ETag "other"\)/],
  ])("%s", (_case, status, headers, message) => {
    const problem = problemOf(() => check(status, headers as Record<string, string>, 400));
    expect([problem.kind, problem.message]).toEqual(["data-loss", expect.stringMatching(message)]);
  });
});

describe("worth trying again:", () => {
  test.each([
    ["an answer to another range", 206, { "content-range": "bytes 0-999/1000" }],
    ["a range that is shorter than asked for", 206, { "content-range": "bytes 400-500/1000" }],
    ["a range that does not say which", 206, {}],
    ["a server error", 500, {}],
  ])("%s", (_case, status, headers) => {
    expect(problemOf(() => check(status, headers as Record<string, string>, 400)).kind).toBe("unavailable");
  });

  test("a busy seeder says when, and is not believed beyond some minutes", () => {
    const busy = problemOf(() => check(503, { "retry-after": "7" }));
    expect(busy instanceof OriginBusy && busy.retryAfterMs).toBe(7_000);
    const exact = problemOf(() => check(503, { "retry-after": "1", "bootswarm-retry-after-ms": "120" }));
    expect(exact instanceof OriginBusy && exact.retryAfterMs).toBe(120);
    const long = problemOf(() => check(429, { "retry-after": "86400" }));
    expect(long instanceof OriginBusy && long.retryAfterMs).toBe(300_000);
  });
});

test("an image that is no longer there is not found", () => {
  expect(problemOf(() => check(404, {})).kind).toBe("not-found");
});

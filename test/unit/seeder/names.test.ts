import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Problem } from "../../../daemon/problem.ts";
import { checkedDigest, checkedName, imageRefFrom } from "../../../seeder/catalog/names.ts";

describe("names", () => {
  test.each(["a", "debian-12", "Ubuntu_24.04", "0", "a..b", "x".repeat(128)])("%s can be a name", (name) => {
    expect(checkedName(name)).toBe(name);
  });

  test.each([
    "",
    ".",
    "..",
    ".hidden",
    "-flag",
    "a/b",
    "../a",
    "a b",
    "é",
    "a\0b",
    "x".repeat(129),
    "a".repeat(64),
    "F".repeat(64),
    "debian.torrent",
    "debian.TORRENT",
  ])("%j cannot be a name", (name) => {
    expect(() => checkedName(name)).toThrow(Problem);
  });

  test("whatever is accepted stays within a directory, a URL path and a log line", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
        try {
          expect(checkedName(text)).toMatch(/^[A-Za-z0-9][A-Za-z0-9._-]*$/);
        } catch (error) {
          expect(error).toBeInstanceOf(Problem);
          expect((error as Problem).message.length).toBeLessThan(300);
        }
      }),
    );
  });
});

test("a digest is read in either case", () => {
  expect(checkedDigest("AB".repeat(32))).toBe("ab".repeat(32));
  expect(() => checkedDigest("ab")).toThrow('"ab" is no sha256');
});

test("a reference is a digest if it can be one, else a name", () => {
  expect(imageRefFrom("Ab".repeat(32))).toEqual({ digest: "ab".repeat(32) });
  expect(imageRefFrom("debian-12")).toEqual({ name: "debian-12" });
  expect(() => imageRefFrom("a/b")).toThrow(Problem);
});

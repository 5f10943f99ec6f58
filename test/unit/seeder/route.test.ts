import { expect, test } from "vitest";
import { imageRouteFrom } from "../../../seeder/origin/route.ts";

test.each([
  ["/images/debian-12", "image", "debian-12"],
  ["/images/debian-12/data", "data", "debian-12"],
  ["/images/debian-12.torrent", "torrent", "debian-12"],
  ["/images/debian%2D12/data?x=y", "data", "debian-12"],
  ["/images/%2e%2e%2fetc/data", "data", "../etc"],
])("%s", (url, kind, image) => {
  expect(imageRouteFrom(url)).toMatchObject({ kind, image });
});

test.each(["/", "/imagesx", "/metrics", ""])("%j is none of image bytes", (url) => {
  expect(imageRouteFrom(url)).toBeUndefined();
});

test.each([
  "/images",
  "/images/",
  "/images//data",
  "/images/a/b",
  "/images/a/data/",
  "/images/%zz",
  "/images/../x/data",
  `/images/${"a".repeat(2_000)}`,
])("%s is there for nothing", (url) => {
  expect(imageRouteFrom(url)?.kind).toBe("none");
});

test.each([
  ["/images", ""],
  ["/images/?torrent=false", ""],
  ["/images/debian%2D12", "debian-12"],
  ["/images/a/b", "a/b"],
  ["/images/a/data", "a/data"],
  ["/images/a.torrent", "a.torrent"],
  ["/images/%", "%"],
])("an upload to %s means the name %j", (url, name) => {
  expect(imageRouteFrom(url)?.uploadName).toBe(name);
});

test("the query is read", () => {
  expect(imageRouteFrom("/images/a?torrent=false&sha256=x")?.query.get("torrent")).toBe("false");
});

import { expect, test } from "vitest";
import type { ImportRequest } from "../../../seeder/catalog/importer.ts";
import { importSourceFrom } from "../../../seeder/import/source.ts";

const infohash = "0123456789abcdef0123456789abcdef01234567";

function request(fields: Partial<ImportRequest>): ImportRequest {
  return { source: "", torrentFile: new Uint8Array(), name: "n", sha256: "", file: "", publicDht: false, ...fields };
}

test.each([
  ["http://host/disk.qcow2", "http"],
  ["https://host/disk.raw?x=.torrent", "http"],
  ["https://host/disk.qcow2.torrent", "torrent-url"],
  ["https://host/disk.qcow2.torrent?mirror=1", "torrent-url"],
  [`magnet:?xt=urn:btih:${infohash}&dn=x`, "magnet"],
  [`magnet:?dn=x&xt=urn:btih:${infohash.toUpperCase()}`, "magnet"],
  ["magnet:?xt=urn:btih:ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "magnet"],
])("%s is a source of kind %s", (source, kind) => {
  expect(importSourceFrom(request({ source })).kind).toBe(kind);
});

test("a torrent file's bytes are a source", () => {
  expect(importSourceFrom(request({ torrentFile: new Uint8Array([1]) })).kind).toBe("torrent-file");
});

test.each([
  [request({ source: "" }), "cannot be imported"],
  [request({ source: "/etc/passwd" }), "cannot be imported"],
  [request({ source: "file:///etc/passwd" }), "cannot be imported"],
  [request({ source: "ftp://host/disk" }), "cannot be imported"],
  [request({ source: `http://h/${"a".repeat(20_000)}` }), "longer than"],
  [request({ source: "magnet:?xt=urn:btih:0123" }), "names no torrent"],
  [request({ source: `magnet:?xt=urn:btmh:1220${"a".repeat(64)}` }), "v2 alone"],
  [request({ source: "http://h/x", torrentFile: new Uint8Array([1]) }), "not both"],
  [request({ torrentFile: new Uint8Array(9 * 1024 * 1024) }), "larger than"],
  [request({ source: "http://h/x", sha256: "abc" }), "no sha256"],
  [request({ source: "http://h/x", file: "a" }), "are for torrents"],
  [request({ source: "http://h/x", publicDht: true }), "are for torrents"],
  [request({ source: `magnet:?xt=urn:btih:${infohash}`, file: "a".repeat(5_000) }), "longer than"],
])("what cannot be imported is refused: %#", (wrong, message) => {
  expect(() => importSourceFrom(wrong)).toThrow(message);
});

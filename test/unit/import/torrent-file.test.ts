import { expect, test } from "vitest";
import { checkShape, wantedFile } from "../../../seeder/import/torrent-file.ts";

const files = [
  { path: "debian/README", name: "README", length: 5 },
  { path: "debian/amd64/disk.qcow2", name: "disk.qcow2", length: 900 },
  { path: "debian/arm64/disk.qcow2", name: "disk.qcow2", length: 800 },
  { path: "debian/empty", name: "empty", length: 0 },
];

test("without a wish the largest file is taken", () => {
  expect(wantedFile(files, "")).toBe(1);
});

test.each([
  ["debian/arm64/disk.qcow2", 2],
  ["arm64/disk.qcow2", 2],
  ["README", 0],
])("a file is found by %s", (wish, index) => {
  expect(wantedFile(files, wish)).toBe(index);
});

test("a name that several files have is refused, with their paths", () => {
  expect(() => wantedFile(files, "disk.qcow2")).toThrow(/amd64.*arm64/);
});

test("a file that is not there is refused, with what there is", () => {
  expect(() => wantedFile(files, "disk.raw")).toThrow(/no file "disk.raw"; it has "debian\/README"/);
});

test("an empty file, and a torrent of empty files only, are refused", () => {
  expect(() => wantedFile(files, "empty")).toThrow("is empty");
  expect(() => wantedFile(files.slice(3), "")).toThrow("only empty files");
});

test.each([
  [{ pieceLength: 0, pieces: [] }, files],
  [{ pieceLength: 2 ** 40, pieces: [1] }, files],
  [{ pieceLength: 16, pieces: [1] }, files],
  [{ pieceLength: 16, pieces: [] }, []],
  [{ pieceLength: 16, pieces: [1] }, [{ path: "a", name: "a", length: -1 }]],
  [{ pieceLength: 16, pieces: [1] }, [{ path: "a", name: "a", length: 1.5 }]],
])("a torrent whose numbers do not fit is refused: %#", (torrent, named) => {
  expect(() => checkShape(torrent, named)).toThrow();
});

test("a torrent whose numbers fit is taken", () => {
  checkShape({ pieceLength: 1_000, pieces: [1, 2] }, files);
});

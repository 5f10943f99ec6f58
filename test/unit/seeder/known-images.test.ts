import { expect, test } from "vitest";
import type { Image } from "../../../seeder/catalog/image.ts";
import { KnownImages } from "../../../seeder/catalog/known-images.ts";

const image = (digest: string, ...names: string[]) => ({ digest, names }) as Image;

test("an image is found by its digest and by each of its names", () => {
  const known = new KnownImages([image("a", "debian", "debian-12"), image("b", "alpine")]);
  expect(known.find({ digest: "a" })?.names).toEqual(["debian", "debian-12"]);
  expect(known.find({ name: "debian-12" })?.digest).toBe("a");
  expect(known.find({ name: "fedora" })).toBeUndefined();
  expect([...known].map(({ digest }) => digest)).toEqual(["a", "b"]);
});

test("a name that an image has no more finds nothing, one that it gained finds it", () => {
  const known = new KnownImages([image("a", "debian", "stable")]);
  known.set(image("a", "debian", "oldstable"));
  expect(known.find({ name: "stable" })).toBeUndefined();
  expect(known.find({ name: "oldstable" })?.digest).toBe("a");
});

test("a name that went from one image to another finds the other, whichever change is heard of first", () => {
  const known = new KnownImages([image("a", "debian", "stable"), image("b", "trixie")]);
  known.set(image("b", "trixie", "stable"));
  known.set(image("a", "debian"));
  expect(known.find({ name: "stable" })?.digest).toBe("b");
  known.delete("a");
  expect(known.find({ name: "debian" })).toBeUndefined();
  expect(known.find({ name: "stable" })?.digest).toBe("b");
});

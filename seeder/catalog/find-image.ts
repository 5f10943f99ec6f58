import { Problem } from "../../daemon/problem.ts";
import type { CatalogStore } from "../store/store.ts";
import type { Image } from "./image.ts";
import { type ImageRef, textOf } from "./names.ts";

/** @throws Problem "not-found". */
export async function findImage(store: CatalogStore, ref: ImageRef): Promise<Image> {
  const image = "digest" in ref ? await store.imageByDigest(ref.digest) : await store.imageByName(ref.name);
  if (!image) throw new Problem("not-found", `there is no image ${textOf(ref)} in the catalog`);
  return image;
}

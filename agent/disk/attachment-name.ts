import { Problem } from "../../daemon/problem.ts";
import { attachmentNamePattern } from "./attachment-records.ts";

/** Longest part of a disk's name that is made of its image's: the id comes after it. */
const imagePartCharactersMax = 32;

/** @throws Problem "invalid" for what cannot be the name of a disk, a file and an NBD export at once. */
export function checkAttachmentName(name: string): void {
  if (attachmentNamePattern.test(name)) return;
  throw new Problem(
    "invalid",
    `${JSON.stringify(name.slice(0, 80))} is no name for a disk: it has at most 64 of A-Z a-z 0-9 . _ - and begins with a letter or a digit`,
  );
}

/** A name for a disk that was given none: the image's, as far as it can be one, and the disk's id. */
export function attachmentNameOf(imageName: string, id: string): string {
  const part = imageName.replaceAll(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "");
  return part === "" ? `disk-${id}` : `${part.slice(0, imagePartCharactersMax)}-${id}`;
}

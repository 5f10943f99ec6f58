/** What images may be called, and how a caller's word for one is read. */
import { Problem } from "../../daemon/problem.ts";

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const digestPattern = /^[0-9a-fA-F]{64}$/;

/** Names of one image: each is in every answer that speaks of it. */
export const namesPerImageMax = 1_000;
/** How much of a bad name is repeated in an error. */
const shownCharactersMax = 80;

/**
 * A name to publish under: 1 to 128 letters, digits, dots, underscores and hyphens, the first a letter or digit. It can
 * be no path, no digest, and no `.torrent` (which `/images/NAME.torrent` is for).
 *
 * @throws Problem "invalid".
 */
export function checkedName(text: string): string {
  if (!namePattern.test(text)) {
    throw new Problem(
      "invalid",
      `"${shown(text)}" cannot be an image's name; use 1 to 128 of A-Z a-z 0-9 . _ - and begin with a letter or digit`,
    );
  }
  if (digestPattern.test(text)) {
    throw new Problem("invalid", `"${text}" looks like a sha256 and cannot be an image's name`);
  }
  if (text.toLowerCase().endsWith(".torrent")) {
    throw new Problem("invalid", `"${shown(text)}" cannot be an image's name, because it ends in .torrent`);
  }
  return text;
}

/** The name of the boot image of an image: there is one, and this is how it is found. */
export function bootNameOf(digest: string): string {
  return `${digest}.boot`;
}

/** The digest of the image whose boot image has this name; undefined for the names of others. */
export function imageOfBootName(name: string): string | undefined {
  return /^([0-9a-f]{64})\.boot$/.exec(name)?.[1];
}

/**
 * A sha256 as given by a caller, in lower case.
 *
 * @throws Problem "invalid".
 */
export function checkedDigest(text: string): string {
  if (!digestPattern.test(text)) {
    throw new Problem("invalid", `"${shown(text)}" is no sha256; write its 64 hex digits`);
  }
  return text.toLowerCase();
}

/** A caller's word for an image. */
export type ImageRef = { digest: string } | { name: string };

/**
 * Reads an image's name or sha256.
 *
 * @throws Problem "invalid" for what can be neither.
 */
export function imageRefFrom(text: string): ImageRef {
  return digestPattern.test(text) ? { digest: text.toLowerCase() } : { name: checkedName(text) };
}

/** A name or digest as people should see it. */
export function textOf(ref: ImageRef): string {
  return "digest" in ref ? ref.digest : ref.name;
}

function shown(text: string): string {
  return text.length > shownCharactersMax ? `${text.slice(0, shownCharactersMax)}...` : text;
}

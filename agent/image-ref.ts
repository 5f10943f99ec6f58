import { Problem } from "../daemon/problem.ts";

/** How a caller names an image: by digest or by name. */
export type ImageRef = { digest: string; name?: undefined } | { name: string; digest?: undefined };

/** Longest name asked of the catalog; no catalog has longer ones. */
export const nameCharactersMax = 255;

const digestPattern = /^(?:sha256:)?([0-9a-f]{64})$/i;

/** Whether the text is a digest as this program writes it: 64 lower-case hex digits. */
export function isDigest(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/**
 * Reads an image's name or sha256.
 *
 * @throws Problem "invalid" for what can be neither: empty, too long, or with characters that no name has.
 */
export function imageRefFrom(text: string): ImageRef {
  const digest = digestPattern.exec(text)?.[1];
  if (digest !== undefined) return { digest: digest.toLowerCase() };
  if (text === "") throw new Problem("invalid", "no image was named; give a name or a sha256");
  if (text.length > nameCharactersMax) {
    throw new Problem("invalid", `the image's name is longer than ${nameCharactersMax} characters`);
  }
  if (text === "." || text === ".." || /[/\\\s\p{Cc}]/u.test(text)) {
    throw new Problem(
      "invalid",
      `${JSON.stringify(text)} is no image name: names have no slashes, spaces or control characters, and are not "." or ".."`,
    );
  }
  return { name: text };
}

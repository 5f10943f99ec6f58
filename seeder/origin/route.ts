/** The paths of image bytes. */

/** Longest path that is taken apart; names have 128 characters. */
const pathCharactersMax = 1_024;

export interface ImageRoute {
  /** What a reader means by the path; "none" if there can be nothing to read at it. */
  kind: "image" | "data" | "torrent" | "none";
  /** A name or digest as the caller wrote it, not yet checked. */
  image: string;
  /** All of the path below /images/: what an upload means as the name, not yet checked. */
  uploadName: string;
  query: URLSearchParams;
}

/** Reads a path at or below /images, as in `/images/X`, `/images/X/data` or `/images/X.torrent`; undefined for others. */
export function imageRouteFrom(url: string): ImageRoute | undefined {
  const [path, search] = splitOnce(url, "?");
  if (path !== "/images" && !path.startsWith("/images/")) return undefined;
  const below = path.slice("/images/".length);
  const query = new URLSearchParams(search);
  if (path.length > pathCharactersMax) {
    return { kind: "none", image: "", uploadName: below.slice(0, pathCharactersMax), query };
  }
  const uploadName = decoded(below) ?? below;
  const [first, ...others] = below.split("/") as [string, ...string[]];
  const image = decoded(first);
  if (image === undefined || image === "") return { kind: "none", image: "", uploadName, query };
  if (others.length === 1 && others[0] === "data") return { kind: "data", image, uploadName, query };
  if (others.length > 0) return { kind: "none", image, uploadName, query };
  if (!image.endsWith(".torrent")) return { kind: "image", image, uploadName, query };
  return { kind: "torrent", image: image.slice(0, -".torrent".length), uploadName, query };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function splitOnce(text: string, separator: string): [string, string] {
  const index = text.indexOf(separator);
  return index < 0 ? [text, ""] : [text.slice(0, index), text.slice(index + 1)];
}

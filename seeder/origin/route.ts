/** The paths of image bytes. */

/** Longest path looked at; names have 128 characters. */
const pathCharactersMax = 1_024;

export interface ImageRoute {
  kind: "image" | "data" | "torrent";
  /** A name or digest as the caller wrote it, not yet checked. */
  image: string;
  query: URLSearchParams;
}

/** Reads `/images/X`, `/images/X/data` or `/images/X.torrent`; undefined for any other path. */
export function imageRouteFrom(url: string): ImageRoute | undefined {
  const [path, search] = splitOnce(url, "?");
  if (path.length > pathCharactersMax || !path.startsWith("/images/")) return undefined;
  const [last, ...others] = path.slice("/images/".length).split("/") as [string, ...string[]];
  const image = decoded(last);
  if (image === undefined || image === "") return undefined;
  const query = new URLSearchParams(search);
  if (others.length === 1 && others[0] === "data") return { kind: "data", image, query };
  if (others.length > 0) return undefined;
  if (image.endsWith(".torrent")) return { kind: "torrent", image: image.slice(0, -".torrent".length), query };
  return { kind: "image", image, query };
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

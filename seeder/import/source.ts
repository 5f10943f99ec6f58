import { Problem } from "../../daemon/problem.ts";
import type { ImportRequest } from "../catalog/importer.ts";
import { filePathLengthMax, sourceLengthMax, torrentFileBytesMax } from "./limits.ts";

/** What an import reads from. */
export type ImportSource =
  | { kind: "http"; url: string }
  | { kind: "magnet"; uri: string }
  | { kind: "torrent-url"; url: string }
  | { kind: "torrent-file"; bytes: Uint8Array };

/**
 * Reads what is asked for, without touching the network.
 *
 * @throws Problem "invalid" if it is nothing that can be imported.
 */
export function importSourceFrom(request: ImportRequest): ImportSource {
  if (request.sha256 !== "" && !/^[0-9a-f]{64}$/i.test(request.sha256)) {
    throw new Problem("invalid", `"${request.sha256.slice(0, 80)}" is no sha256; it has 64 hex digits`);
  }
  if (request.file.length > filePathLengthMax) {
    throw new Problem("invalid", `the path of the wanted file is longer than ${filePathLengthMax} characters`);
  }
  const source = sourceFrom(request);
  if (source.kind === "http" && (request.file !== "" || request.publicDht)) {
    throw new Problem("invalid", "a wanted file and the public DHT are for torrents; the source is a plain URL");
  }
  return source;
}

/** The source as shown to people. */
export function shownSource(request: ImportRequest): string {
  return request.torrentFile.length > 0 ? "(torrent file)" : request.source;
}

function sourceFrom({ source, torrentFile }: ImportRequest): ImportSource {
  if (torrentFile.length > 0) {
    if (source !== "") throw new Problem("invalid", "give a source or a torrent file, not both");
    if (torrentFile.length > torrentFileBytesMax) {
      throw new Problem(
        "invalid",
        `a torrent file of ${torrentFile.length} bytes is larger than ${torrentFileBytesMax}`,
      );
    }
    return { kind: "torrent-file", bytes: torrentFile };
  }
  if (source.length > sourceLengthMax) {
    throw new Problem("invalid", `the source is longer than ${sourceLengthMax} characters`);
  }
  if (source.startsWith("magnet:")) return { kind: "magnet", uri: checkedMagnet(source) };
  const url = URL.canParse(source) ? new URL(source) : undefined;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw new Problem(
      "invalid",
      `"${source.slice(0, 200)}" cannot be imported; give an http or https URL, a magnet link, or a .torrent file`,
    );
  }
  return { kind: url.pathname.endsWith(".torrent") ? "torrent-url" : "http", url: url.href };
}

function checkedMagnet(uri: string): string {
  // BEP 9: the infohash is 40 hex digits or, in old links, 32 of base32.
  if (/[?&]xt(?:\.\d+)?=urn:btih:(?:[0-9a-f]{40}|[2-7a-z]{32})(?:&|$)/i.test(uri)) return uri;
  if (uri.includes("urn:btmh:")) {
    throw new Problem(
      "invalid",
      "the magnet link is of BitTorrent v2 alone; ask its publisher for a v1 or hybrid torrent",
    );
  }
  throw new Problem("invalid", "the magnet link names no torrent; it needs xt=urn:btih: with 40 hex digits");
}

/**
 * An image's torrent. Its info dictionary follows from the bytes and the piece length (the name in it is the digest), and
 * the piece length from the size: the same image has the same infohash whenever and under whatever name it is published,
 * and all who hold it meet in one swarm. Only an upload that does not announce its size gets a piece length of its own.
 */
import bencode from "bencode";
import createTorrent from "create-torrent";
import { infoBytesOf, magnetUriOf, pieceLengthFor, torrentInfoFromInfoBytes } from "../../swarm/metainfo.ts";
import type { Endpoint, TorrentInfo } from "../../swarm/types.ts";
import type { Image } from "./image.ts";

/** The torrent of an image whose pieces were hashed while it arrived. */
export function torrentFromHashes(fields: {
  digest: string;
  sizeBytes: number;
  pieceLengthBytes: number;
  pieceHashes: Uint8Array;
}): TorrentInfo {
  return torrentInfoFromInfoBytes(
    infoBytesOf({
      name: fields.digest,
      lengthBytes: fields.sizeBytes,
      pieceLengthBytes: fields.pieceLengthBytes,
      pieceHashes: fields.pieceHashes,
    }),
  );
}

/** The torrent of an image that is on disk, by reading all of it. */
export async function torrentFromFile(digest: string, path: string, sizeBytes: number): Promise<TorrentInfo> {
  const options = { name: digest, pieceLength: pieceLengthFor(sizeBytes), announceList: [] };
  const metainfo = await new Promise<Uint8Array>((resolve, reject) => {
    createTorrent(path, options, (error, torrent) => (error ? reject(error) : resolve(torrent)));
  });
  const { info } = bencode.decode(metainfo) as { info: Parameters<typeof bencode.encode>[0] };
  return torrentInfoFromInfoBytes(bencode.encode(info));
}

/** The magnet link of an image that has a torrent, with `peers` that are known to have it. */
export function magnetUriOfImage(image: Image, peers: readonly Endpoint[]): string {
  if (!image.torrent) return "";
  return magnetUriOf({ infohash: image.torrent.infohash, name: image.digest, lengthBytes: image.sizeBytes }, peers);
}

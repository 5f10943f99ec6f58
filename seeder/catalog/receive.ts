/** From a stream to an image that is whole, checked and on disk, but not yet in the catalog. */
import { Problem } from "../../daemon/problem.ts";
import { pieceLengthFor } from "../../swarm/metainfo.ts";
import type { TorrentInfo } from "../../swarm/types.ts";
import type { Hasher } from "./hasher.ts";
import type { Image } from "./image.ts";
import type { IncomingImage } from "./image-files.ts";
import { checkNameFits, imageFormatOf } from "./image-format.ts";
import type { ImageShelf } from "./image-shelf.ts";
import { type Intake, takeIn } from "./intake.ts";
import type { PublishRequest } from "./publish.ts";
import { torrentFromHashes } from "./torrent.ts";

export interface Received {
  /** To be placed or discarded. */
  incoming: IncomingImage;
  /** The image under the name asked for, without its torrent. */
  image: Image;
  info: TorrentInfo | undefined;
}

export interface ReceiveParts {
  shelf: ImageShelf;
  hasher: Hasher;
  /** Milliseconds since 1970. */
  nowMs: () => number;
}

/**
 * Takes in a publication that has been admitted. Leaves nothing behind where it throws.
 *
 * @throws Problem, as `Publisher.publish`; the stream's own error.
 */
export async function receive(
  parts: ReceiveParts,
  bytes: AsyncIterable<Uint8Array>,
  request: PublishRequest,
  signal: AbortSignal,
): Promise<Received> {
  const pieceLengthBytes = request.torrent ? pieceLengthFor(request.sizeBytes) : 0;
  const incoming = await parts.shelf.begin();
  const hashing = parts.hasher.start(pieceLengthBytes);
  try {
    const { sizeBytes } = request;
    // A size that was announced already tells whether the file is cut off.
    const checkHead = (head: Uint8Array) => {
      checkNameFits(request.name, imageFormatOf(head, sizeBytes ?? Number.POSITIVE_INFINITY).bootOf);
    };
    const intake = await takeIn(bytes, incoming.file, hashing, { sizeBytes, checkHead, signal });
    const image = checkedImage(intake, request, parts.nowMs());
    const info = request.torrent ? torrentOf(intake, pieceLengthBytes) : undefined;
    // Most of the time that a sync takes should pass here, not where other changes wait for it.
    await incoming.file.datasync();
    return { incoming, image, info };
  } catch (error) {
    await incoming.discard();
    throw error;
  } finally {
    hashing.abandon();
  }
}

function torrentOf({ hashes, sizeBytes }: Intake, pieceLengthBytes: number): TorrentInfo {
  return torrentFromHashes({ digest: hashes.sha256, sizeBytes, pieceLengthBytes, pieceHashes: hashes.pieceHashes });
}

/** What came in as an image, if it is what was asked for. */
function checkedImage(intake: Intake, request: PublishRequest, nowMs: number): Image {
  const { sha256: digest } = intake.hashes;
  if (intake.sizeBytes === 0) throw new Problem("invalid", "the image is empty; send its bytes as the body");
  const wanted = request.sha256?.toLowerCase();
  if (wanted !== undefined && wanted !== digest) {
    throw new Problem("data-loss", `the bytes that came have sha256 ${digest}, not ${wanted}; nothing was published`);
  }
  const { bootOf, ...format } = imageFormatOf(intake.head, intake.sizeBytes);
  checkNameFits(request.name, bootOf);
  return {
    digest,
    names: [request.name],
    sizeBytes: intake.sizeBytes,
    ...format,
    ...(bootOf !== undefined && { boot: { of: bootOf, sources: [] } }),
    torrent: undefined,
    createdAtMs: nowMs,
  };
}

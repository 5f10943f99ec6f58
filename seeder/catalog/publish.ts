/** The one way in for an image's bytes, whether they come by upload or by import. */
import type { Image } from "./image.ts";

export interface PublishRequest {
  /** The name to publish under. */
  name: string;
  /** How many bytes will come, where that is known beforehand. A stream of another length is refused. */
  sizeBytes?: number | undefined;
  /** The sha256 that the bytes must have, 64 hex digits. */
  sha256?: string | undefined;
  /** Whether to make the torrent and seed the image. */
  torrent: boolean;
  /** Ends the publication; nothing of it stays. */
  signal?: AbortSignal | undefined;
}

export interface Published {
  image: Image;
  /** False if exactly these bytes were already published under exactly this name. */
  changed: boolean;
}

export interface Publisher {
  /**
   * Refuses what can be refused before any byte is read: a bad name, a name that is taken by another digest, a size for
   * which there is no room.
   *
   * @throws Problem "invalid", "already-exists" or "exhausted".
   */
  admit(request: PublishRequest): Promise<void>;
  /**
   * Takes the bytes in, to disk and through the hashes at once, and publishes the image. An error of the stream, or an
   * end before `sizeBytes`, leaves nothing behind; a stream of unknown length must therefore fail, not end, when it is cut.
   *
   * @throws Problem: as `admit`, and "data-loss" for another sha256 or size than given; or the stream's own error.
   */
  publish(bytes: AsyncIterable<Uint8Array>, request: PublishRequest): Promise<Published>;
}

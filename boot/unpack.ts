/** The content of a boot image's frames. */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { zstdDecompress } from "node:zlib";
import type { Frame } from "./boot-image.ts";
import { BootFormatError } from "./byte-reader.ts";

const decompress = promisify(zstdDecompress);

/**
 * A frame's content, made of its stored bytes by the thread pool.
 *
 * @throws BootFormatError if the bytes are not those that were stored.
 */
export async function unpackFrame(stored: Uint8Array, frame: Frame, contentBytes: number): Promise<Uint8Array> {
  if (!createHash("sha256").update(stored).digest().equals(frame.sha256)) {
    throw new BootFormatError("a frame's checksum is wrong");
  }
  if (frame.plain) return stored;
  const content = await decompress(stored, { maxOutputLength: contentBytes, chunkSize: contentBytes }).catch(
    (error: unknown) => {
      throw new BootFormatError("a frame cannot be decompressed", { cause: error });
    },
  );
  if (content.length !== contentBytes) throw new BootFormatError("a frame has not the length of its content");
  return content;
}

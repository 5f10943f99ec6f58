/** A boot image's file: its head, and its frames by one sequential read. */
import type { FileHandle } from "node:fs/promises";
import {
  type BootImageHead,
  bootImageStart,
  decodeHead,
  frameContentBytes,
  framesBytes,
  startBytes,
} from "./boot-image.ts";
import { BootFormatError } from "./byte-reader.ts";
import { unpackFrame } from "./unpack.ts";

/** Frames on their way at once: read, checked and decompressed while others are taken up. */
const framesAhead = 4;

/**
 * Reads a boot image's head.
 *
 * @throws BootFormatError for what is no boot image, or has another length than it says.
 */
export async function readHead(file: FileHandle): Promise<{ head: BootImageHead; headBytes: number }> {
  const start = bootImageStart(await readAt(file, 0, startBytes));
  if (!start) throw new BootFormatError("it is no boot image");
  const { size } = await file.stat();
  // Before memory is taken for it.
  if (start.headBytes > size) throw new BootFormatError("it is cut off");
  const head = decodeHead(await readAt(file, 0, start.headBytes));
  if (size !== start.headBytes + framesBytes(head))
    throw new BootFormatError("it has not the length that its head says");
  return { head, headBytes: start.headBytes };
}

/**
 * The content of all frames, in order.
 *
 * @throws BootFormatError if one is not as it was stored.
 */
export async function* readFrames(
  file: FileHandle,
  head: BootImageHead,
  headBytes: number,
): AsyncGenerator<Uint8Array> {
  const underWay: Promise<Uint8Array>[] = [];
  let offset = headBytes;
  try {
    for (const [index, frame] of head.frames.entries()) {
      const at = offset;
      offset += frame.storedBytes;
      const content = readAt(file, at, frame.storedBytes).then((stored) =>
        unpackFrame(stored, frame, frameContentBytes(head, index)),
      );
      // Whoever takes it in its turn is told.
      content.catch(() => {});
      underWay.push(content);
      if (underWay.length >= framesAhead) yield await (underWay.shift() as Promise<Uint8Array>);
    }
    while (underWay.length > 0) yield await (underWay.shift() as Promise<Uint8Array>);
  } finally {
    await Promise.allSettled(underWay);
  }
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(length);
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled);
    if (bytesRead === 0) throw new BootFormatError("it is cut off");
    filled += bytesRead;
  }
  return bytes;
}

/**
 * Whether a boot image has the bytes of its image: every page is compared before it is published, since a node believes what
 * the catalog has, and a virtual machine what the node gives it. One frame is in memory at a time.
 */
import { type FileHandle, open } from "node:fs/promises";
import type { BootImageHead, Segment } from "../../boot/boot-image.ts";
import { BootFormatError } from "../../boot/byte-reader.ts";
import { frameBytes, pageBytes } from "../../boot/limits.ts";
import { readFrames, readHead } from "../../boot/read-file.ts";
import { messageOf, Problem } from "../../daemon/problem.ts";

const pagesPerFrame = frameBytes / pageBytes;
const zeros = Buffer.alloc(frameBytes);

export interface BootCheck {
  path: string;
  /** The image that it must fit, and its bytes. */
  image: { digest: string; sizeBytes: number; path: string };
  /** Where a source's bytes are, and of which image it is a boot image. @throws Problem if it is none of the catalog's. */
  sourcePath: (digest: string) => Promise<string>;
}

/**
 * Compares a boot image with its image.
 *
 * @returns its head
 * @throws Problem "invalid" if it does not fit.
 */
export async function checkBootImage({ path, image, sourcePath }: BootCheck): Promise<BootImageHead> {
  try {
    await using file = await open(path);
    const { head, headBytes } = await readHead(file);
    const { imageDigest, imageBytes } = head.profile;
    if (imageDigest !== image.digest) throw new BootFormatError(`it is of image ${imageDigest}, not ${image.digest}`);
    if (imageBytes !== image.sizeBytes) {
      throw new BootFormatError(`it is of an image of ${imageBytes} bytes, and this one has ${image.sizeBytes}`);
    }
    await using data = await open(image.path);
    await compareZeros(head, data, image.sizeBytes);
    const compared = { data, imageBytes };
    await compareContent(
      readFrames(file, head, headBytes),
      head.segments.filter(({ from }) => from === "own"),
      compared,
    );
    for (const [index, source] of head.sources.entries()) {
      await using sourceFile = await open(await sourcePath(source.digest));
      const there = await readHead(sourceFile);
      if (there.head.contentPages !== source.contentPages)
        throw new BootFormatError(`its source ${source.digest} is another`);
      const frames = readFrames(sourceFile, there.head, there.headBytes);
      await compareContent(
        frames,
        head.segments.filter(({ from }) => from === index),
        compared,
      );
    }
    return head;
  } catch (error) {
    if (!(error instanceof BootFormatError)) throw error;
    throw new Problem("invalid", `this boot image cannot be used: ${messageOf(error)}; record it again`, {
      cause: error,
    });
  }
}

/** What is compared with: the image's file. */
interface Compared {
  data: FileHandle;
  imageBytes: number;
}

async function compareZeros(head: BootImageHead, data: FileHandle, imageBytes: number): Promise<void> {
  for (const { page, pages, from } of head.segments) {
    if (from !== "zero") continue;
    for (let done = 0; done < pages; done += pagesPerFrame) {
      await comparePages(page + done, zeros.subarray(0, Math.min(pages - done, pagesPerFrame) * pageBytes), {
        data,
        imageBytes,
      });
    }
  }
}

/** Compares content, frame by frame, with the image's pages that are said to be in it. */
async function compareContent(
  frames: AsyncIterable<Uint8Array>,
  segments: readonly Segment[],
  compared: Compared,
): Promise<void> {
  const byFrame = new Map<number, Segment[]>();
  for (const segment of segments) {
    const last = Math.floor((segment.at + segment.pages - 1) / pagesPerFrame);
    for (let frame = Math.floor(segment.at / pagesPerFrame); frame <= last; frame++) {
      byFrame.set(frame, [...(byFrame.get(frame) ?? []), segment]);
    }
  }
  let frame = 0;
  for await (const content of frames) {
    const firstPage = frame * pagesPerFrame;
    for (const { page, pages, at } of byFrame.get(frame) ?? []) {
      const from = Math.max(at, firstPage);
      const to = Math.min(at + pages, firstPage + pagesPerFrame);
      const bytes = content.subarray((from - firstPage) * pageBytes, (to - firstPage) * pageBytes);
      await comparePages(page + from - at, bytes, compared);
    }
    frame += 1;
  }
}

/** @throws BootFormatError if the image has other bytes from that page on. */
async function comparePages(page: number, bytes: Uint8Array, { data, imageBytes }: Compared): Promise<void> {
  const offset = page * pageBytes;
  const length = Math.min(bytes.length, imageBytes - offset);
  const there = Buffer.allocUnsafe(length);
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await data.read(there, filled, length - filled, offset + filled);
    if (bytesRead === 0)
      throw new Problem("data-loss", "the image's file on the seeder is cut; publish the image again");
    filled += bytesRead;
  }
  if (!there.equals(bytes.subarray(0, length)))
    throw new BootFormatError(`its bytes from ${offset} on are not the image's`);
}

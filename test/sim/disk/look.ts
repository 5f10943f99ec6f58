/** What a disk says of an image, seen from outside any process. */
import { imagePaths, stateLayout } from "../../../agent/cache/layout.ts";
import type { ImageRecord } from "../../../agent/cache/records.ts";
import { Bitfield } from "../../../swarm/bitfield.ts";
import { contentFrom } from "../../../swarm/have-file.ts";
import { stateDirectory } from "./agent.ts";
import type { SimDisk } from "./disk.ts";
import { pieceBytes, type SimImage } from "./images.ts";

export function pathsOf({ facts }: SimImage) {
  return imagePaths(stateLayout(stateDirectory), facts.digest);
}

/** The image's record; undefined if it cannot be read. */
export function recordOf(disk: SimDisk, image: SimImage): ImageRecord | undefined {
  try {
    return JSON.parse(disk.peek(pathsOf(image).record)?.toString() ?? "") as ImageRecord;
  } catch {
    return undefined;
  }
}

/** The pieces that the agent's next start would believe without a look. */
export function believedPieces(disk: SimDisk, image: SimImage): Bitfield {
  const { infohash, pieceCount } = image.info as NonNullable<SimImage["info"]>;
  const paths = pathsOf(image);
  const { slots } = contentFrom(disk.peek(paths.have) ?? Buffer.alloc(0), { infohash, pieceCount });
  const whole = slots.filter((slot) => slot !== undefined).sort((a, b) => b.generation - a.generation);
  const size = disk.peek(paths.data)?.length ?? 0;
  const believed = new Bitfield(pieceCount);
  for (let index = 0; index < pieceCount; index++) {
    const end = Math.min((index + 1) * pieceBytes, image.bytes.length);
    if (whole[0]?.have.has(index) && end <= size) believed.add(index);
  }
  return believed;
}

/** What the disk claims of an image that is not so. */
export function falseClaims(disk: SimDisk, image: SimImage): string[] {
  const data = disk.peek(pathsOf(image).data) ?? Buffer.alloc(0);
  const wrong: string[] = [];
  const isComplete = recordOf(disk, image)?.completedAt != null;
  if (isComplete && !data.equals(image.bytes))
    wrong.push(`${image.facts.names[0]} is complete, and its bytes are wrong`);
  if (!image.info) return wrong;
  const believed = believedPieces(disk, image);
  for (let index = 0; index < image.info.pieceCount; index++) {
    const [begin, end] = [index * pieceBytes, (index + 1) * pieceBytes];
    if (!believed.has(index) || data.subarray(begin, end).equals(image.bytes.subarray(begin, end))) continue;
    wrong.push(`${image.facts.names[0]} has a have-bit for piece ${index}, whose bytes are wrong`);
  }
  return wrong;
}

/**
 * What an image's directory says of it beside its bytes (`image.json`): all that the catalog knows, so that a catalog whose
 * database was lost knows it again.
 */
import { z } from "zod";
import type { Image } from "./image.ts";
import { checkedName, namesPerImageMax } from "./names.ts";

/** All names that an image may have, each of the longest kind, and some. */
export const cardBytesMax = 1024 * 1024;

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const cardSchema = z.object({
  version: z.literal(1),
  digest,
  names: z
    .array(z.string().refine(isName))
    .min(1)
    .max(namesPerImageMax)
    .refine((names) => new Set(names).size === names.length),
  sizeBytes: z.int().min(0),
  format: z.enum(["raw", "qcow2", "boot"]),
  virtualSizeBytes: z.int().min(0),
  createdAtMs: z.number(),
  torrent: z.object({ infohash: z.string().regex(/^[0-9a-f]{40}$/), pieceLengthBytes: z.int().min(1) }).nullable(),
  boot: z.object({ of: digest, sources: z.array(digest) }).nullable(),
});

export function cardTextOf(image: Image): string {
  const { names, sizeBytes, format, virtualSizeBytes, createdAtMs, torrent = null, boot = null } = image;
  const facts = { digest: image.digest, names, sizeBytes, format, virtualSizeBytes, createdAtMs, torrent, boot };
  return `${JSON.stringify({ version: 1, ...facts } satisfies z.input<typeof cardSchema>, null, 2)}\n`;
}

/** The image of that digest; undefined where the text cannot be its card. */
export function imageFromCard(text: string, digest: string): Image | undefined {
  try {
    const { version: _version, torrent, boot, ...facts } = cardSchema.parse(JSON.parse(text));
    if (facts.digest !== digest || (facts.format === "boot") !== (boot !== null)) return undefined;
    return { ...facts, torrent: torrent ?? undefined, ...(boot && { boot }) };
  } catch {
    return undefined;
  }
}

function isName(text: string): boolean {
  try {
    return checkedName(text) === text;
  } catch {
    return false;
  }
}

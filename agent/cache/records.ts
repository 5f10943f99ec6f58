/** What the cache writes about an image, and the bounds on reading it back: a damaged file must not harm the agent. */
import { z } from "zod";
import { nameCharactersMax } from "../image-ref.ts";

/** Names of one image that are kept; a catalog has no reason for more. */
export const namesMax = 1_000;
/** Longest magnet link kept: its peers are the only part that grows. */
export const magnetCharactersMax = 16 * 1024;
/** Largest image, 256 TiB: far beyond any disk image, far below where numbers lose precision. */
export const imageBytesMax = 2 ** 48;
/** Longest account of what is wrong with an image. */
export const damageCharactersMax = 500;
/** Largest image.json and used.json: all bounds above together are below it. */
export const recordBytesMax = 1024 * 1024;

export const imageFormats = ["unknown", "raw", "qcow2", "boot"] as const;
export const fetchPriorities = ["prefetch", "ensure", "demand"] as const;
export type FetchPriority = (typeof fetchPriorities)[number];

const sizeBytes = z.int().min(0).max(imageBytesMax);
const moment = z.iso.datetime();

/** On what terms the seeder has an image brought ahead of need. */
export const aheadTermsSchema = z.object({
  /** The prefetch that an operator has started; empty if it is because of the image's popularity. */
  prefetchId: z.string().max(64),
  /** Launches that the seeder expects here within the half-life of popularity. */
  expectedUses: z.number().min(0),
  /** 0 is no limit but the node's own. */
  bytesPerSecondMax: z.int().min(0),
});

export type AheadTerms = z.infer<typeof aheadTermsSchema>;

export const imageFactsSchema = z.object({
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  names: z.array(z.string().min(1).max(nameCharactersMax)).max(namesMax),
  sizeBytes,
  format: z.enum(imageFormats),
  /** The image that a boot image is of; absent for others. */
  bootOf: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  virtualSizeBytes: z.int().min(0),
  /** Empty while the image has no torrent. */
  magnetUri: z.string().max(magnetCharactersMax),
  /** 40 lower-case hex digits; empty while the image has no torrent. */
  infohash: z.union([z.literal(""), z.string().regex(/^[0-9a-f]{40}$/)]),
  /** Relative to the seeder's URL: never a URL of its own, so that a catalog cannot send a node elsewhere. */
  dataPath: z.union([
    z.literal(""),
    z
      .string()
      .max(2_048)
      .regex(/^\/(?![/\\])/),
  ]),
});

/** What the catalog says of an image. */
export type ImageFacts = z.infer<typeof imageFactsSchema>;

const wantedRecordSchema = z.object({
  /** As asked for; empty if by digest. */
  name: z.string().max(nameCharactersMax),
  priority: z.enum(fetchPriorities),
  requestedAt: moment,
  /** What the seeder said, of one that it has had brought ahead of need. */
  ahead: aheadTermsSchema.optional(),
});

/** A fetch that has not ended. */
export type WantedRecord = z.infer<typeof wantedRecordSchema>;

/** image.json */
export const imageRecordSchema = imageFactsSchema.extend({
  version: z.literal(1),
  /** The fetch that is to bring it, resumed at start; null once it has ended. */
  wanted: wantedRecordSchema.nullable(),
  /** Written only after the whole file's sha256 was found right and its bytes were flushed: the mark of a ready image. */
  completedAt: moment.nullable(),
  /** What was found wrong with the bytes of an image that was ready, until it is ready again. */
  damage: z.string().min(1).max(damageCharactersMax).optional(),
});

export type ImageRecord = z.infer<typeof imageRecordSchema>;

/** The facts that a record was made of. */
export function factsOf(record: Readonly<ImageRecord>): ImageFacts {
  const { version: _version, wanted: _wanted, completedAt: _completedAt, damage: _damage, ...facts } = record;
  return facts;
}

/** used.json */
export const usedRecordSchema = z.object({
  version: z.literal(1),
  lastUsedAt: moment,
  pinned: z.boolean(),
  /** Uses, those of long ago counting less, and the level of eviction, both as of the last use; see eviction.ts. */
  uses: z.number().min(0).default(0),
  level: z.number().min(0).default(0),
  /** Brought ahead of need, and not asked for since. */
  prefetched: z.boolean().default(false),
  /** Of such a one: uses that were expected of it when it was brought. */
  expectedUses: z.number().min(0).default(0),
});

export type UsedRecord = z.infer<typeof usedRecordSchema>;

/** The record of an image that nobody has used yet. */
export function unusedRecord(now: Date, pinned = false): UsedRecord {
  return { version: 1, lastUsedAt: now.toISOString(), pinned, uses: 0, level: 0, prefetched: false, expectedUses: 0 };
}

/** Leases of one image: far more than a node has VMs. */
export const leasesPerImageMax = 1_000;
export const holderCharactersMax = 128;

export const leaseRecordSchema = z.object({
  id: z.string().regex(/^[0-9a-z-]{1,64}$/),
  /** For people; may be empty. */
  holder: z.string().max(holderCharactersMax),
  acquiredAt: moment,
  /** Null while an open call keeps it. */
  expiresAt: moment.nullable(),
});

export type LeaseRecord = z.infer<typeof leaseRecordSchema>;

/** leases.json */
export const leasesRecordSchema = z.object({
  version: z.literal(1),
  leases: z.array(leaseRecordSchema).max(leasesPerImageMax),
});

/** Reads JSON against a schema; throws an Error that says what does not fit. */
export function parseRecord<Schema extends z.ZodType>(schema: Schema, text: string): z.output<Schema> {
  const result = schema.safeParse(JSON.parse(text));
  if (result.success) return result.data;
  throw new Error(result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; "));
}

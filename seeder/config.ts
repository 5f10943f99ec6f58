import { z } from "zod";
import { logLevels } from "../daemon/log.ts";
import { isZone, zoneRule } from "../swarm/zone.ts";
import { importConfigSchema } from "./import/config.ts";
import { placementConfigSchema } from "./placement/config.ts";
import { prefetchConfigSchema } from "./prefetch/config.ts";
import { isPostgresUrl } from "./store/postgres-address.ts";

/** HOST:PORT or [IPV6]:PORT. */
const endpointPattern = /^(\[[0-9a-fA-F:.]+\]|[^:\s[\]]+):\d{1,5}$/;
const portNumber = z.int().min(0).max(65_535);

/** Everything an operator can set of a seeder, with the values it has otherwise. */
export const seederConfigSchema = z.strictObject({
  listen: z
    .string()
    .default("127.0.0.1:7400")
    .describe(
      "Where the API and image bytes are served: HOST:PORT, [IPV6]:PORT or unix:/PATH. Port 0 lets the kernel choose.",
    ),
  dataDirectory: z
    .string()
    .min(1)
    .default("/var/lib/bootswarm/seeder")
    .describe("Directory of the images and the database; made if it does not exist."),
  store: z
    .strictObject({
      url: z
        .string()
        .refine((url) => url === "" || isPostgresUrl(url), "write postgres://USER@HOST/DATABASE")
        .default("")
        .describe(
          "PostgreSQL database that several seeders share: postgres://USER@HOST/DATABASE. Empty: seeder.sqlite in the data directory.",
        ),
      passwordFile: z
        .string()
        .default("")
        .describe("File with the database's password. Empty: PGPASSWORD, PGPASSFILE or ~/.pgpass."),
    })
    .prefault({}),
  advertiseUrl: z
    .union([z.literal(""), z.url({ protocol: /^https?$/, error: "must be an http or https URL, or empty" })])
    .default("")
    .describe(
      "URL of this seeder's API as nodes and other seeders reach it, where several share a store. Empty: made of `listen`.",
    ),
  replica: z
    .strictObject({
      concurrency: z
        .int()
        .min(1)
        .max(64)
        .default(2)
        .describe("Images that are copied at once from the other seeders that share the store."),
      freeFloorBytes: z
        .union([z.literal("auto"), z.int().min(0)], { error: 'must be a number of bytes, or "auto"' })
        .default("auto")
        .describe("Bytes of the filesystem that such copies leave free. auto: 5 % of it, and 10 GiB at most."),
    })
    .prefault({}),
  zone: z
    .string()
    .refine((name) => name === "" || isZone(name), zoneRule)
    .default("")
    .describe("Where the seeder is, as a rack, room or site: peers of the same zone are preferred. Empty: nowhere."),
  upload: z
    .strictObject({
      concurrency: z
        .int()
        .min(1)
        .max(256)
        .default(16)
        .describe("Most images that are published at once, imports included; more are refused."),
      idleTimeoutMs: z
        .int()
        .min(100)
        .default(60_000)
        .describe("How long a client may send nothing before its upload is dropped, in milliseconds."),
    })
    .prefault({}),
  download: z
    .strictObject({
      idleTimeoutMs: z
        .int()
        .min(100)
        .default(60_000)
        .describe("How long a client may take nothing before its download is dropped, in milliseconds."),
    })
    .prefault({}),
  origin: z
    .strictObject({
      fallbackSlots: z
        .int()
        .min(1)
        .max(10_000)
        .default(16)
        .describe(
          "Most downloads at once, over all nodes, of images that have a magnet link; others are told when to ask again.",
        ),
      fallbackBytesPerSecond: z
        .int()
        .min(0)
        .default(0)
        .describe("Bytes per second sent by such downloads, over all nodes; 0 is no limit."),
    })
    .prefault({}),
  swarm: z
    .strictObject({
      host: z.string().min(1).default("127.0.0.1").describe("Address on which peers and the DHT are served."),
      port: portNumber.default(7401).describe("TCP port on which peers are served. 0 lets the kernel choose."),
      advertiseHost: z
        .string()
        .max(253)
        .default("")
        .describe(
          "Host name or address by which nodes reach this seeder's swarm ports; magnet links then name it. Empty: the host by which an agent reached the API.",
        ),
      connectionsMax: z.int().min(1).max(100_000).default(1_000).describe("Most peer connections over all images."),
      uploadBytesPerSecondMax: z
        .int()
        .min(0)
        .default(0)
        .describe("Bytes per second sent to all peers; 0 is no limit. HTTP is not counted."),
    })
    .prefault({}),
  dht: z
    .strictObject({
      port: portNumber.default(7401).describe("UDP port of the DHT that nodes join by. 0 lets the kernel choose."),
      bootstrap: z
        .array(z.string().regex(endpointPattern, "write HOST:PORT or [IPV6]:PORT"))
        .max(64)
        .default([])
        .describe("DHT nodes to join by, as HOST:PORT: other seeders of the same site. The public DHT is never asked."),
    })
    .prefault({}),
  import: importConfigSchema.prefault({}),
  placement: placementConfigSchema.prefault({}),
  prefetch: prefetchConfigSchema.prefault({}),
  log: z
    .strictObject({
      level: z.enum(logLevels).default("info").describe("Least important level that is logged."),
    })
    .prefault({}),
});

export type SeederConfig = z.output<typeof seederConfigSchema>;

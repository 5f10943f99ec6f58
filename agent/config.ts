import { z } from "zod";
import { logLevels } from "../daemon/log.ts";
import { isZone, zoneRule } from "../swarm/zone.ts";
import { bootPrefetchModes } from "./boot/boot-images.ts";
import { recordModes } from "./boot/recorder.ts";
import { fallbackModes } from "./fetch/source-policy.ts";
import { isSeederUrl, seedersMax, seederUrlsFrom } from "./seeders/seeder-urls.ts";

/** HOST:PORT or [IPV6]:PORT. */
const endpointPattern = /^(\[[0-9a-fA-F:.]+\]|[^:\s[\]]+):\d{1,5}$/;
const portNumber = z.int().min(0).max(65_535);
const byteRate = z.int().min(0);

/** Everything an operator can set of an agent, with the values it has otherwise. */
export const agentConfigSchema = z.strictObject({
  listen: z
    .string()
    .default("127.0.0.1:7410")
    .describe("Where the API listens: HOST:PORT, [IPV6]:PORT or unix:/PATH. Port 0 lets the kernel choose."),
  stateDirectory: z
    .string()
    .min(1)
    .default("/var/lib/bootswarm/agent")
    .describe("Directory of the cache and the node's identity; made if it does not exist."),
  name: z.string().max(253).default("").describe("The node's name for people. Empty: the host name."),
  zone: z
    .string()
    .refine((name) => name === "" || isZone(name), zoneRule)
    .default("")
    .describe("Where the node is, as a rack, room or site: peers of the same zone are preferred. Empty: nowhere."),
  advertiseUrl: z
    .union([z.literal(""), z.url({ protocol: /^https?$/, error: "must be an http or https URL, or empty" })])
    .default("")
    .describe(
      "URL of this agent's API as other machines reach it, for the inventory. Empty: made of `listen`, unless that is loopback or a Unix socket.",
    ),
  seeder: z
    .strictObject({
      url: z
        .union([z.string(), z.array(z.string())], { error: "must be a URL, or a list of URLs" })
        .transform(checkedSeederUrls)
        .prefault("http://127.0.0.1:7400")
        .describe(
          "URL of the seeder; of several that share a catalog, a list, or with commas between. Each node asks one of them, and another when that does not answer.",
        ),
    })
    .prefault({}),
  swarm: z
    .strictObject({
      host: z.string().min(1).default("127.0.0.1").describe("Address on which peers and the DHT are served."),
      port: portNumber.default(7411).describe("TCP port on which peers are served. 0 lets the kernel choose."),
      connectionsMax: z.int().min(1).max(10_000).default(200).describe("Most peer connections over all images."),
      uploadBytesPerSecondMax: byteRate.default(0).describe("Bytes per second sent to all peers; 0 is no limit."),
      downloadBytesPerSecondMax: byteRate
        .default(0)
        .describe(
          "Bytes per second taken from all peers; 0 is no limit. What reads of disks wait for counts, and is never held back. HTTP is not counted.",
        ),
    })
    .prefault({}),
  dht: z
    .strictObject({
      port: portNumber.default(7411).describe("UDP port of the node's DHT. 0 lets the kernel choose."),
      bootstrap: z
        .array(z.string().regex(endpointPattern, "write HOST:PORT or [IPV6]:PORT"))
        .max(64)
        .default([])
        .describe("DHT nodes to join by, as HOST:PORT. The seeder tells its own; these are for when it is away."),
    })
    .prefault({}),
  cache: z
    .strictObject({
      quotaBytes: z
        .int()
        .min(0)
        .default(0)
        .describe("Most bytes of images on disk, as allocated: holes do not count. 0 is no limit but the disk's."),
      freeFloorBytes: z
        .union([z.literal("auto"), z.int().min(0)], { error: 'must be a number of bytes, or "auto"' })
        .default("auto")
        .describe("Bytes of the filesystem left free for others. auto: 5 % of it, and 10 GiB at most."),
      whenFull: z
        .enum(["refuse", "wait"])
        .default("refuse")
        .describe("What becomes of a fetch that does not fit now, although everything was evicted that may be."),
      prefetchGraceMs: z
        .int()
        .min(0)
        .default(21_600_000)
        .describe(
          "How long an image that was brought ahead of need is not evicted, though nobody has asked for it yet.",
        ),
    })
    .prefault({}),
  scrub: z
    .strictObject({
      bytesPerSecond: byteRate
        .default(10_000_000)
        .describe("Bytes per second of cached images read to find what the disk has spoilt; 0 switches that off."),
      intervalHours: z
        .number()
        .positive()
        .max(100_000)
        .default(168)
        .describe("Time from one check of an image to the next."),
    })
    .prefault({}),
  fetch: z
    .strictObject({
      concurrency: z
        .int()
        .min(1)
        .max(64)
        .default(3)
        .describe("Most fetches that are active at once, besides those of attached disks."),
      prefetch: z
        .boolean()
        .default(true)
        .describe(
          "Whether the node fetches images ahead of need because they are popular, where the seeder plans that (prefetch.mode). What operators ask for by `bootswarm prefetch` is fetched in any case.",
        ),
      prefetchShare: z
        .number()
        .min(0)
        .max(1)
        .default(0.25)
        .describe(
          "Most of the cache for images that were brought because they are popular and that nobody has asked for yet, as a share of it.",
        ),
      prefetchBytesPerSecondMax: byteRate
        .default(0)
        .describe(
          "Bytes per second of all fetches ahead of need together, while nothing that is asked for is being fetched; 0 is no limit. Otherwise they are left 128 KiB/s.",
        ),
      queueMax: z.int().min(1).max(100_000).default(1_000).describe("Most fetches that wait; more are refused."),
      swarmPatienceMs: z
        .int()
        .min(0)
        .default(5_000)
        .describe("How long to look for peers of an image with a magnet link before HTTP is used."),
      stallMs: z
        .int()
        .min(100)
        .default(10_000)
        .describe("How long known peers may deliver next to nothing before HTTP joins in."),
      giveUpMs: z
        .int()
        .min(1_000)
        .default(600_000)
        .describe("How long a fetch may receive nothing at all before it fails. What has arrived is kept."),
      fallback: z
        .enum(fallbackModes, {
          error: 'write off, budgeted or always; what was false is now "off", and what was true is "budgeted"',
        })
        .default("budgeted")
        .describe(
          "Whether HTTP may be used for an image that has a magnet link, where peers do not deliver: not at all, within the seeder's budget (origin.fallbackSlots), or outside it. Images without one always use HTTP.",
        ),
    })
    .prefault({}),
  disk: z
    .strictObject({
      socketDirectory: z
        .string()
        .max(107)
        .refine((path) => path === "" || path.startsWith("/"), "must be an absolute path, or empty")
        .default("")
        .describe("Directory of the Unix sockets at which disks are served. Empty: nbd in the state directory."),
      socketGroup: z
        .union([z.string().max(64), z.int().min(0)])
        .default("")
        .describe(
          "Group whose members may open these sockets, by name or number: the one that QEMU runs as. Empty: the agent's own user only.",
        ),
      readTimeoutMs: z
        .int()
        .min(100)
        .max(86_400_000)
        .default(120_000)
        .describe("How long a VM's read may wait for bytes that are not here before it fails with an I/O error."),
      httpPatienceMs: z
        .int()
        .min(0)
        .max(86_400_000)
        .default(1_000)
        .describe(
          "How long a VM's read waits for peers before the seeder's HTTP is asked for its piece, where fetch.fallback allows that.",
        ),
      listen: z
        .string()
        .refine((text) => text === "" || endpointPattern.test(text), "write HOST:PORT or [IPV6]:PORT, or nothing")
        .default("")
        .describe("Where disks are served over TCP besides their Unix sockets: HOST:PORT. Empty: nowhere."),
      tls: z
        .strictObject({
          certPath: z.string().default("").describe("Certificate of disks over TCP, PEM. Empty: no TLS."),
          keyPath: z.string().default("").describe("Its private key, PEM."),
          caPath: z
            .string()
            .default("")
            .describe("Authority whose certificate clients must show, PEM. Empty: any client may read."),
        })
        .prefault({}),
    })
    .prefault({}),
  boot: z
    .strictObject({
      record: z
        .enum(recordModes)
        .default("auto")
        .describe("Whether the first boot of an image that has no boot image yet is recorded, by one node of all."),
      quietMs: z
        .int()
        .min(1_000)
        .max(600_000)
        .default(30_000)
        .describe("How long a guest reads nothing new before its boot is taken to be over."),
      prefetch: z
        .enum(bootPrefetchModes)
        .default("all")
        .describe(
          "Which boot images are fetched ahead of need: all of the catalog's, those of images that are used on this node, or none.",
        ),
      memoryBytes: z
        .int()
        .min(0)
        .default(536_870_912)
        .describe(
          "Most bytes of memory for boot images; those read longest ago go first. 0: boot images are not used.",
        ),
    })
    .prefault({}),
  report: z
    .strictObject({
      intervalMs: z
        .int()
        .min(100)
        .max(3_600_000)
        .default(10_000)
        .describe("Time between reports to the inventory when nothing changes; a node silent for three is lost."),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(logLevels).default("info").describe("Least important level that is logged."),
    })
    .prefault({}),
});

/** The URLs of a list, or of text with commas between. */
function checkedSeederUrls(given: string | string[], context: z.RefinementCtx): string[] {
  const urls = seederUrlsFrom(given);
  if (urls.length > seedersMax) context.addIssue(`at most ${seedersMax} seeders, not ${urls.length}`);
  if (urls.length === 0 || !urls.every(isSeederUrl)) {
    context.addIssue("must be an http or https URL, as in http://seeder.example:7400, or several");
  }
  return urls;
}

export type AgentConfig = z.output<typeof agentConfigSchema>;

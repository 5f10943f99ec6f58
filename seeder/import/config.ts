import { z } from "zod";

/** The seeder's configuration under `import`. */
export const importConfigSchema = z.strictObject({
  concurrency: z.int().min(1).max(16).default(2).describe("Imports that run at once; more wait in a queue"),
  timeoutMs: z
    .int()
    .min(1_000)
    .max(30 * 24 * 3_600_000)
    .default(12 * 3_600_000)
    .describe("Longest that one import may take, in milliseconds"),
  idleTimeoutMs: z
    .int()
    .min(100)
    .max(24 * 3_600_000)
    .default(180_000)
    .describe("An import that receives no byte for this long fails, in milliseconds"),
  memoryMiB: z
    .int()
    .min(128)
    .max(65_536)
    .default(512)
    .describe("Memory that an import's process may use, in MiB; it is killed beyond"),
  publicDhtBootstrap: z
    .array(z.string())
    .default(["router.bittorrent.com:6881", "router.utorrent.com:6881", "dht.transmissionbt.com:6881"])
    .describe("Nodes by which the public DHT is entered, asked only for imports with --public-dht"),
});

export type ImportConfig = z.output<typeof importConfigSchema>;

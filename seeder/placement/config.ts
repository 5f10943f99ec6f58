import { z } from "zod";

/** What an operator can set of placement. A request may ask for other weights. */
export const placementConfigSchema = z.strictObject({
  cacheMultiplier: z
    .number()
    .min(0)
    .max(1_000)
    .default(1)
    .describe("What an image that is there counts for placement, against one that is not."),
  spreadMultiplier: z
    .number()
    .min(0)
    .max(1_000)
    .default(2)
    .describe("What a host at rest counts for placement, against a hot one; 0: only the image counts."),
  hotLaunches: z
    .number()
    .min(0.1)
    .max(10_000)
    .default(3)
    .describe("Launches of late that take half of what a host at rest counts."),
  launchHalfLifeMs: z
    .int()
    .min(1_000)
    .max(24 * 60 * 60 * 1_000)
    .default(60_000)
    .describe("Time after which a launch heats its host half as much, in milliseconds."),
  inFlightHalfSeconds: z
    .number()
    .min(1)
    .max(86_400)
    .default(30)
    .describe("Seconds until an image is ready that halve what it counts while it is on its way."),
  bootImageWorth: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe("How far from absent (0) to cached (1) a node is that has the image's boot image."),
});

export type PlacementConfig = z.output<typeof placementConfigSchema>;

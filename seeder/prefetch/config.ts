import { z } from "zod";

/** What is done about the plan that popularity makes. */
export const planModes = ["off", "advise", "on"] as const;
export type PlanMode = (typeof planModes)[number];

/** What an operator can set of prefetching. */
export const prefetchConfigSchema = z.strictObject({
  mode: z
    .enum(planModes)
    .default("advise")
    .describe(
      "What is done about the plan that popularity makes: nothing is planned (off), it is made and shown (advise, `bootswarm plan`), or nodes fetch by it (on). What operators ask for is fetched in any case.",
    ),
  halfLifeMs: z
    .int()
    .min(1_000)
    .max(366 * 86_400_000)
    .default(3 * 86_400_000)
    .describe("Time after which a launch counts half for popularity, in milliseconds."),
  planIntervalMs: z
    .int()
    .min(100)
    .max(86_400_000)
    .default(30_000)
    .describe("Time from one plan to the next, in milliseconds."),
  budgetShare: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe("Share of what each node allows (fetch.prefetchShare of its cache) that plans use."),
  choiceShare: z
    .number()
    .min(0.001)
    .max(1)
    .default(0.25)
    .describe(
      "Share of a zone's nodes that a launch can choose among: with less, plans have more copies. 0.001 for a scheduler that does not know what is cached where.",
    ),
  missesAvertedMin: z
    .number()
    .min(0.001)
    .max(1_000_000)
    .default(0.5)
    .describe("Launches within a half-life that a copy must spare their wait to be worth its bytes."),
  copiesMin: z
    .int()
    .min(0)
    .max(100_000)
    .default(1)
    .describe("Copies in a zone that an image has at least, if it is launched there that often."),
  copiesMax: z
    .int()
    .min(0)
    .max(100_000)
    .default(0)
    .describe("Copies in a zone beyond which none are planned; 0 is as many as nodes."),
  zoneBytesPerSecondMax: z
    .int()
    .min(0)
    .default(125_000_000)
    .describe("Bytes per second that nodes of one zone fetch by plans, all together; 0 is no limit."),
});

export type PrefetchConfig = z.output<typeof prefetchConfigSchema>;

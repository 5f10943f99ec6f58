import { createRequire } from "node:module";
import pino from "pino";
import type pretty from "pino-pretty";

export type Log = pino.Logger;

/** Log levels, least to most talkative. */
export const logLevels = ["silent", "error", "warn", "info", "debug"] as const;

/** A logger on standard error: JSON lines in a service, readable lines on a terminal. */
export function createLog(options: { level: (typeof logLevels)[number]; name: string }): Log {
  const settings: pino.LoggerOptions = {
    level: options.level,
    base: { service: options.name },
    formatters: { level: (label) => ({ level: label }) },
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  return pino(settings, process.stderr.isTTY ? terminalStream() : pino.destination({ dest: 2, sync: true }));
}

function terminalStream(): pino.DestinationStream {
  // Loaded only where somebody looks on: a service has no use for it.
  const load = createRequire(import.meta.url)("pino-pretty") as typeof pretty;
  return load({ destination: 2, sync: true, ignore: "service", translateTime: "SYS:HH:MM:ss.l" });
}

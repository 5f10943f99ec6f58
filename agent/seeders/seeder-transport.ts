/** Calls to whichever of the seeders is asked now. */
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { problemFromSeeder } from "../catalog/catalog.ts";
import type { Seeders } from "./seeders.ts";

/** What a seeder says that is at work: nobody else would say anything else. */
const answers = new Set([
  Code.NotFound,
  Code.AlreadyExists,
  Code.FailedPrecondition,
  Code.InvalidArgument,
  Code.ResourceExhausted,
  Code.OutOfRange,
  Code.DataLoss,
  Code.PermissionDenied,
  Code.Unauthenticated,
]);

export interface SeederTransportOptions {
  seeders: Seeders;
  /** The transport to one of them. */
  transportTo: (url: string) => Transport;
  /**
   * Whether a call goes to another seeder at once if one does not answer: for what somebody waits for. Otherwise it fails,
   * and the next call goes to another; callers then spread.
   */
  isEager: boolean;
  nowMs: () => number;
}

/** A transport whose errors have a Problem as their `cause` (`problemFromSeeder`). Streams are never begun anew. */
export function seederTransport({ seeders, transportTo, isEager, nowMs }: SeederTransportOptions): Transport {
  /** Takes note of an error, and explains it. */
  const explained = (error: unknown, url: string, signal: AbortSignal | undefined): unknown => {
    if (signal?.aborted) return error;
    const known = ConnectError.from(error);
    const problem = problemFromSeeder(error, url);
    if (answers.has(known.code)) seeders.answered(url);
    else seeders.failed(url, problem);
    return new ConnectError(known.rawMessage, known.code, known.metadata, undefined, problem);
  };
  async function* watched<T>(messages: AsyncIterable<T>, url: string, signal: AbortSignal | undefined) {
    try {
      for await (const message of messages) {
        seeders.answered(url);
        yield message;
      }
    } catch (error) {
      throw explained(error, url, signal);
    }
  }
  return {
    unary: async (method, signal, timeoutMs, ...rest) => {
      const asked = new Set<string>();
      const endMs = nowMs() + (timeoutMs ?? Number.POSITIVE_INFINITY);
      for (;;) {
        const { url } = seeders;
        asked.add(url);
        const leftMs = timeoutMs === undefined ? undefined : Math.max(1, endMs - nowMs());
        // One that hangs must leave time for the next.
        const others = isEager && seeders.list().some((each) => !asked.has(each.url));
        const limitMs = leftMs !== undefined && others ? leftMs / 2 : leftMs;
        try {
          const response = await transportTo(url).unary(method, signal, limitMs && Math.ceil(limitMs), ...rest);
          seeders.answered(url);
          return response;
        } catch (error) {
          const known = explained(error, url, signal);
          if (signal?.aborted || !isEager || asked.has(seeders.url) || nowMs() >= endMs) throw known;
          if (answers.has(ConnectError.from(error).code)) throw known;
        }
      }
    },
    stream: async (method, signal, ...rest) => {
      const { url } = seeders;
      try {
        const response = await transportTo(url).stream(method, signal, ...rest);
        return { ...response, message: watched(response.message, url, signal) };
      } catch (error) {
        throw explained(error, url, signal);
      }
    },
  };
}

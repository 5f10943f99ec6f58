import { Agent, type Dispatcher, request } from "undici";
import { messageOf, Problem } from "../../daemon/problem.ts";
import { infoBytesMax } from "../../swarm/limits.ts";
import { infoBytesFromMetainfo } from "../../swarm/metainfo.ts";
import type { ImageFacts } from "../cache/records.ts";
import type { Seeders } from "../seeders/seeders.ts";
import { checkRangeAnswer, type OriginAnswer, refusal } from "./range-answer.ts";
import type { FallbackMode } from "./source-policy.ts";

/** Connections to the origin: every active fetch may have a few, and the origin many nodes. */
const connectionsMax = 16;
const connectTimeoutMs = 10_000;
/** The origin's first byte, and any later one, must come within this time. */
const headersTimeoutMs = 30_000;
/** A .torrent file: the info dictionary and a few bytes around it. */
const metainfoBytesMax = infoBytesMax + 1_024;
const bodyIdleTimeoutMs = 30_000;

/** How an agent asks for what peers have too. */
export interface OriginIdentity {
  nodeId: string;
  /** What its operator has set: the seeder serves within its budget, unless it says "always". */
  fallback: FallbackMode;
}

/** A seeder without the bytes sends us to one that has them, and none of them sends us on. One more, for a proxy's. */
const redirectsMax = 2;

/** Bytes of images from the HTTP side of whichever seeder is asked. */
export class HttpOrigin {
  readonly #seeders: Pick<Seeders, "url" | "failed">;
  readonly #identity: OriginIdentity;
  readonly #dispatcher: Dispatcher;
  #receivedBytes = 0;

  constructor(seeders: Pick<Seeders, "url" | "failed">, identity: OriginIdentity) {
    this.#identity = identity;
    this.#seeders = seeders;
    this.#dispatcher = new Agent({
      connections: connectionsMax,
      connect: { timeout: connectTimeoutMs },
      headersTimeout: headersTimeoutMs,
      bodyTimeout: bodyIdleTimeoutMs,
    });
  }

  /** Bytes of images received since the start. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Where the bytes are asked for now. */
  urlOf(facts: ImageFacts): string {
    return this.#seeders.url + dataPathOf(facts);
  }

  /**
   * Opens the image's bytes from `offset` to its end, or to `offset + lengthBytes`.
   *
   * @returns `offset`, which is 0 if the server takes no ranges, and the chunks, of which there may be too few or many
   * @throws Problem "unavailable" if it is worth trying again (an OriginBusy says when), "not-found" if the origin has no
   * such image, "data-loss" if what it offers is not what the catalog promised.
   */
  async open(
    facts: ImageFacts,
    offset: number,
    lengthBytes: number | undefined,
    signal: AbortSignal,
  ): Promise<{ offset: number; chunks: AsyncGenerator<Buffer> }> {
    const whole = offset === 0 && lengthBytes === undefined;
    const last = lengthBytes === undefined ? "" : offset + lengthBytes - 1;
    const headers = this.#headersFor(facts);
    if (!whole) headers.range = `bytes=${offset}-${last}`;
    const response = await this.#request(dataPathOf(facts), headers, facts, signal);
    try {
      const answer: OriginAnswer = { status: response.statusCode, header: (name) => headerOf(response, name) };
      const start = checkRangeAnswer(answer, facts, { offset, lengthBytes });
      return { offset: start, chunks: this.#chunks(response, facts, signal) };
    } catch (error) {
      response.body.on("error", () => {}).destroy();
      throw error;
    }
  }

  /**
   * Reads exactly `lengthBytes` at `offset`.
   *
   * @throws Problem as `open` does, and "unavailable" if the body was cut.
   */
  async read(facts: ImageFacts, offset: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    const opened = await this.open(facts, offset, lengthBytes, signal);
    const bytes = Buffer.allocUnsafe(lengthBytes);
    let filled = 0;
    for await (const chunk of opened.chunks) {
      if (filled + chunk.length > lengthBytes) {
        throw new Problem("data-loss", `${this.urlOf(facts)} sent more bytes than were asked for`);
      }
      filled += chunk.copy(bytes, filled);
    }
    if (filled < lengthBytes)
      throw new Problem("unavailable", `${this.urlOf(facts)} sent fewer bytes than it announced`);
    return bytes;
  }

  /**
   * The info dictionary of the image's torrent, not yet compared with its infohash.
   *
   * @throws Problem "unavailable" if it is worth trying again (an OriginBusy says when), "not-found" if there is none,
   * "data-loss" if what comes is none.
   */
  async torrent(facts: ImageFacts, signal: AbortSignal): Promise<Uint8Array> {
    const path = `/images/${facts.digest}.torrent`;
    const response = await this.#request(path, this.#headersFor(facts), facts, signal);
    const parts: Buffer[] = [];
    let bytes = 0;
    try {
      if (response.statusCode !== 200) {
        throw refusal({ status: response.statusCode, header: (name) => headerOf(response, name) }, facts);
      }
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > metainfoBytesMax) throw new Problem("data-loss", `${path} is larger than any torrent`);
        parts.push(chunk);
      }
    } catch (error) {
      response.body.on("error", () => {}).destroy();
      throw error instanceof Problem ? error : this.#networkProblem(error, facts, signal);
    }
    try {
      return infoBytesFromMetainfo(Buffer.concat(parts));
    } catch (error) {
      throw new Problem("data-loss", `${path} is no torrent`, { cause: error });
    }
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }

  #headersFor(facts: ImageFacts): Record<string, string> {
    const headers: Record<string, string> = { "accept-encoding": "identity" };
    if (facts.infohash === "") return headers;
    return { ...headers, "bootswarm-fallback": this.#identity.fallback, "bootswarm-node": this.#identity.nodeId };
  }

  /** Asks the seeder in use, and goes where it sends us. One that does not answer is not asked again soon. */
  async #request(path: string, headers: Record<string, string>, facts: ImageFacts, signal: AbortSignal) {
    let seeder = this.#seeders.url;
    let url = seeder + path;
    for (let redirects = 0; ; redirects++) {
      let response: Dispatcher.ResponseData;
      try {
        response = await request(url, { dispatcher: this.#dispatcher, headers, signal });
      } catch (error) {
        const problem = this.#networkProblem(error, facts, signal, url);
        if (!signal.aborted) this.#seeders.failed(seeder, problem);
        throw problem;
      }
      const next = redirectOf(response, url);
      if (!next) return response;
      await response.body.dump();
      if (redirects === redirectsMax) throw new Problem("unavailable", `${seeder} sends us from one to the next`);
      seeder = next.origin;
      url = next.href;
    }
  }

  async *#chunks(response: Dispatcher.ResponseData, facts: ImageFacts, signal: AbortSignal): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        this.#receivedBytes += chunk.length;
        yield chunk;
      }
    } catch (error) {
      throw this.#networkProblem(error, facts, signal);
    }
  }

  #networkProblem(error: unknown, facts: ImageFacts, signal: AbortSignal, url?: string): unknown {
    if (signal.aborted) return signal.reason;
    const message = `the seeder does not answer: ${messageOf(error)} (${url ?? this.urlOf(facts)})`;
    return new Problem("unavailable", message, { cause: error });
  }
}

function dataPathOf(facts: ImageFacts): string {
  return facts.dataPath || `/images/${facts.digest}/data`;
}

/** Where a seeder sends us instead (RFC 9110, 15.4.8); undefined if it does not. */
function redirectOf(response: Dispatcher.ResponseData, from: string): URL | undefined {
  const location = response.statusCode === 307 ? headerOf(response, "location") : undefined;
  if (location === undefined || !URL.canParse(location, from)) return undefined;
  const url = new URL(location, from);
  return url.protocol === "http:" || url.protocol === "https:" ? url : undefined;
}

function headerOf(response: Dispatcher.ResponseData, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

import { Agent, type Dispatcher, request } from "undici";
import { messageOf, Problem } from "../../daemon/problem.ts";
import type { ImageFacts } from "../cache/records.ts";
import { checkRangeAnswer, type OriginAnswer } from "./range-answer.ts";

/** Connections to the origin: every active fetch may have a few, and the origin many nodes. */
const connectionsMax = 16;
const connectTimeoutMs = 10_000;
/** The origin's first byte, and any later one, must come within this time. */
const headersTimeoutMs = 30_000;
const bodyIdleTimeoutMs = 30_000;

/** Bytes of images from the seeder's HTTP side. */
export class HttpOrigin {
  readonly #baseUrl: string;
  readonly #dispatcher: Dispatcher;
  #receivedBytes = 0;

  /** @param seederUrl http or https */
  constructor(seederUrl: string) {
    this.#baseUrl = seederUrl.replace(/\/+$/, "");
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

  urlOf(facts: ImageFacts): string {
    return this.#baseUrl + (facts.dataPath || `/images/${facts.digest}/data`);
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
    const headers: Record<string, string> = { "accept-encoding": "identity" };
    if (!whole) headers.range = `bytes=${offset}-${last}`;
    let response: Dispatcher.ResponseData;
    try {
      response = await request(this.urlOf(facts), { dispatcher: this.#dispatcher, headers, signal });
    } catch (error) {
      throw this.#networkProblem(error, facts, signal);
    }
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

  async close(): Promise<void> {
    await this.#dispatcher.destroy();
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

  #networkProblem(error: unknown, facts: ImageFacts, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    const message = `the seeder does not answer: ${messageOf(error)} (${this.urlOf(facts)})`;
    return new Problem("unavailable", message, { cause: error });
  }
}

function headerOf(response: Dispatcher.ResponseData, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

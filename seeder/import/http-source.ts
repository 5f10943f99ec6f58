import { setTimeout as delay } from "node:timers/promises";
import { type Dispatcher, request } from "undici";
import { messageOf, Problem, systemCodeOf } from "../../daemon/problem.ts";
import type { ByteSource } from "./child-protocol.ts";
import { absencesMax, httpRetriesMax, redirectsMax } from "./limits.ts";

export interface HttpOptions {
  signal: AbortSignal;
  /** A connection that says nothing for this long is given up and made anew. */
  stallTimeoutMs?: number;
  /** Pause before the first reconnection; it doubles up to thirty times as long. */
  retryDelayMs?: number;
  /** Told why, before every new try. */
  onRetry?: (error: unknown) => void;
}

const stallTimeoutMsDefault = 30_000;
const retryDelayMsDefault = 1_000;
/** How the system says that nobody is at an address. */
const absenceCodes = new Set(["ECONNREFUSED", "ENOTFOUND"]);

/** What a response says about the whole file. */
interface FileFacts {
  sizeBytes: number | undefined;
  /** A validator for If-Range: a strong ETag, or Last-Modified (RFC 9110, 13.1.5). */
  validator: string | undefined;
}

interface OpenFile extends FileFacts {
  body: Dispatcher.ResponseData["body"];
}

/**
 * Opens a file by HTTP. The bytes are asked for again from where they broke off, as long as the file is the same one.
 *
 * @throws Problem "not-found", "invalid" or "unavailable" when the server will not give it; reading the bytes throws the
 * same, and "data-loss" if the file changed meanwhile.
 */
export async function openHttpSource(url: string, options: HttpOptions): Promise<ByteSource> {
  const retry = new RetryBudget(options);
  const first = await openFirst(url, retry, options);
  return { sizeBytes: first.sizeBytes, bytes: resumedBytes(url, first, retry, options) };
}

/**
 * Reads a small file by HTTP.
 *
 * @throws Problem as openHttpSource does, and "invalid" if it has more than `bytesMax`.
 */
export async function readHttp(url: string, bytesMax: number, options: HttpOptions): Promise<Uint8Array> {
  const source = await openHttpSource(url, options);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of source.bytes) {
    length += chunk.length;
    if (length > bytesMax) throw new Problem("invalid", `${url} is larger than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function* resumedBytes(url: string, first: OpenFile, retry: RetryBudget, options: HttpOptions) {
  let open = first;
  let offset = 0;
  for (;;) {
    try {
      for await (const chunk of open.body as AsyncIterable<Uint8Array>) {
        offset += chunk.length;
        retry.reset();
        if (first.sizeBytes !== undefined && offset > first.sizeBytes) {
          throw new Problem("data-loss", `${url} sent more than the ${first.sizeBytes} bytes it announced`);
        }
        yield chunk;
      }
      if (first.sizeBytes === undefined || offset === first.sizeBytes) return;
      await retry.pause(new Error(`the connection ended after ${offset} of ${first.sizeBytes} bytes`), options.signal);
    } catch (error) {
      if (error instanceof Problem) throw error;
      options.signal.throwIfAborted();
      await retry.pause(error, options.signal);
    }
    open = await persistently(() => openRest(url, first, offset, options), retry, options.signal);
  }
}

/** As `openWhole`, with patience; with little where nobody is: before the first byte that is most likely a wrong URL. */
function openFirst(url: string, retry: RetryBudget, options: HttpOptions): Promise<OpenFile> {
  let absences = 0;
  const attempt = async () => {
    try {
      return await openWhole(url, options);
    } catch (error) {
      if (!absenceCodes.has(systemCodeOf(error) ?? "")) throw error;
      absences++;
      if (absences < absencesMax) throw error;
      throw new Problem("unavailable", `nobody answers at ${url} (${messageOf(error)}); check the URL`, {
        cause: error,
      });
    }
  };
  return persistently(attempt, retry, options.signal);
}

async function openWhole(url: string, options: HttpOptions): Promise<OpenFile> {
  const response = await get(url, {}, options);
  if (response.statusCode !== 200) throw refusal(url, response);
  return { ...factsOf(response), body: response.body };
}

/** Opens the file from `offset` on; asks for the same version of it, and checks that it is what came. */
async function openRest(url: string, known: FileFacts, offset: number, options: HttpOptions): Promise<OpenFile> {
  if (known.validator === undefined) {
    throw new Problem(
      "unavailable",
      `the connection to ${url} broke after ${offset} bytes, and the server gives no ETag or Last-Modified to resume by; import again`,
    );
  }
  const response = await get(url, { range: `bytes=${offset}-`, "if-range": known.validator }, options);
  const facts = factsOf(response);
  if (response.statusCode === 206) {
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headerOf(response, "content-range") ?? "");
    const sameSize = range?.[2] === "*" || known.sizeBytes === undefined || Number(range?.[2]) === known.sizeBytes;
    if (Number(range?.[1]) === offset && sameSize) return { ...known, body: response.body };
    discard(response);
    throw new Problem("data-loss", `${url} answered another range than the one asked for; import again`);
  }
  if (response.statusCode !== 200) throw refusal(url, response);
  if (facts.validator !== known.validator) {
    discard(response);
    throw new Problem("data-loss", `${url} changed while it was being imported; import again`);
  }
  // The server knows no ranges: the same file from its beginning, less what is here already.
  return { ...known, body: skipping(response.body, offset) as Dispatcher.ResponseData["body"] };
}

async function* skipping(body: AsyncIterable<Uint8Array>, count: number): AsyncIterable<Uint8Array> {
  let left = count;
  for await (const chunk of body) {
    if (left < chunk.length) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}

async function get(
  url: string,
  headers: Record<string, string>,
  options: HttpOptions,
): Promise<Dispatcher.ResponseData> {
  let target = new URL(url);
  for (let redirects = 0; redirects <= redirectsMax; redirects++) {
    const stallTimeoutMs = options.stallTimeoutMs ?? stallTimeoutMsDefault;
    const response = await request(target.href, {
      // A compressed response could not be resumed, nor its length checked.
      headers: { ...headers, "accept-encoding": "identity", "user-agent": "bootswarm" },
      headersTimeout: stallTimeoutMs,
      bodyTimeout: stallTimeoutMs,
      signal: options.signal,
    });
    const location = headerOf(response, "location");
    if (![301, 302, 303, 307, 308].includes(response.statusCode) || location === undefined) return response;
    discard(response);
    const next = URL.canParse(location, target.href) ? new URL(location, target) : undefined;
    if (next?.protocol !== "http:" && next?.protocol !== "https:") {
      throw new Problem("invalid", `${target} redirects to "${location.slice(0, 200)}", which is no http or https URL`);
    }
    target = next;
  }
  throw new Problem("invalid", `${url} redirects more than ${redirectsMax} times; give the file's own URL`);
}

function factsOf(response: Dispatcher.ResponseData): FileFacts {
  const etag = headerOf(response, "etag");
  const length = headerOf(response, "content-length");
  const encoding = headerOf(response, "content-encoding");
  if (encoding !== undefined && encoding !== "identity") {
    discard(response);
    throw new Problem(
      "invalid",
      `the server sends the file ${encoding}-encoded although asked not to; use another URL`,
    );
  }
  return {
    sizeBytes: length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined,
    validator: etag !== undefined && !etag.startsWith("W/") ? etag : headerOf(response, "last-modified"),
  };
}

/** Ends a response whose body is of no use; its error is only that it was ended. */
function discard(response: Dispatcher.ResponseData): void {
  response.body.on("error", () => {}).destroy();
}

function headerOf(response: Dispatcher.ResponseData, name: string): string | undefined {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** A refusal that another try may overcome; anything else is a Problem at once. */
class TemporaryRefusal extends Error {}

function refusal(url: string, response: Dispatcher.ResponseData): Error {
  discard(response);
  const status = response.statusCode;
  const message = `${url} answers ${status}`;
  if (status >= 500 || status === 408 || status === 429) return new TemporaryRefusal(message);
  if (status === 404 || status === 410) return new Problem("not-found", `${message}: nothing is there; check the URL`);
  if (status === 401 || status === 403) {
    return new Problem("invalid", `${message}: it wants credentials, which an import cannot give; use another URL`);
  }
  return new Problem("unavailable", `${message}, which is no file; check the URL`);
}

async function persistently<T>(attempt: () => Promise<T>, retry: RetryBudget, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof Problem) throw error;
      signal.throwIfAborted();
      await retry.pause(error, signal);
    }
  }
}

/** Counts tries in a row that brought nothing, and waits longer before each. */
class RetryBudget {
  private failures = 0;
  private readonly delayMs: number;
  private readonly onRetry: (error: unknown) => void;

  constructor(options: HttpOptions) {
    this.delayMs = options.retryDelayMs ?? retryDelayMsDefault;
    this.onRetry = options.onRetry ?? (() => {});
  }

  reset(): void {
    this.failures = 0;
  }

  async pause(error: unknown, signal: AbortSignal): Promise<void> {
    this.failures++;
    if (this.failures > httpRetriesMax) {
      throw new Problem("unavailable", `gave up after ${httpRetriesMax} tries: ${messageOf(error)}`, { cause: error });
    }
    this.onRetry(error);
    await delay(this.delayMs * Math.min(30, 2 ** (this.failures - 1)), undefined, { signal });
  }
}

/** `PUT /images/NAME`: the body goes straight into the publish pipeline. */
import { nearest } from "../../daemon/config.ts";
import type { Request, Response } from "../../daemon/listener.ts";
import type { Log } from "../../daemon/log.ts";
import { messageOf, Problem } from "../../daemon/problem.ts";
import type { Image } from "../catalog/image.ts";
import type { Published, Publisher } from "../catalog/publish.ts";
import { sendError, sendJson } from "./answers.ts";
import { bodyOf } from "./body.ts";
import type { ImageRoute } from "./route.ts";
import { sendOn, wasSentOn } from "./send-on.ts";

/** After a refusal the rest of the body is thrown away for so long, so that the client gets to read the answer. */
const lingerMs = 5_000;

/** What an upload's query may say. Anything else is refused: a misspelt sha256 would drop the check without a word. */
const parameters = ["sha256", "torrent", "replicas", "replicasTimeoutMs", "redirected"];
const parameterCharactersShownMax = 80;

export type UploadResult = "published" | "unchanged" | "refused" | "cut" | "failed";

export interface UploadParts {
  publisher: Publisher;
  /** The JSON text of a published image. */
  toJson: (published: Published) => string;
  /** URL of another seeder that has what an upload of that name is compared with, where this one has not. */
  takenElsewhere: (name: string) => Promise<string | undefined>;
  /** Refuses a number of seeders that cannot be. @throws Problem. */
  checkReplicas: (wanted: number) => void;
  /** Resolves when so many seeders hold an image. @throws Problem, also when the time is over. */
  awaitReplicas: (image: Image, wanted: number, timeoutMs: number, signal: AbortSignal) => Promise<void>;
  upload: {
    /** A client that sends nothing for so long is dropped. */
    idleTimeoutMs: number;
    onEnd: (result: UploadResult, receivedBytes: number) => void;
  };
  log: Log;
}

/** Answers an upload: 201, or 200 if nothing had to change; the image in JSON. Never rejects. */
export async function answerUpload(
  parts: UploadParts,
  route: ImageRoute,
  request: Request,
  response: Response,
): Promise<number> {
  const counted = { receivedBytes: 0 };
  try {
    checkParameters(route.query);
    const replicas = wholeFrom(route.query, "replicas");
    const timeoutMs = wholeFrom(route.query, "replicasTimeoutMs");
    parts.checkReplicas(replicas);
    const elsewhere = wasSentOn(route) ? undefined : await parts.takenElsewhere(route.uploadName);
    if (elsewhere !== undefined) {
      const status = sendOn(response, `${elsewhere}/images/${route.uploadName}?${route.query}`);
      discardRest(request);
      return status;
    }
    const body = count(bodyOf(request, parts.upload.idleTimeoutMs), counted);
    const published = await parts.publisher.publish(body, {
      name: route.uploadName,
      torrent: torrentWanted(route.query),
      sha256: route.query.get("sha256") ?? undefined,
      sizeBytes: contentLengthOf(request),
    });
    const status = published.changed ? 201 : 200;
    parts.upload.onEnd(published.changed ? "published" : "unchanged", counted.receivedBytes);
    if (replicas > 1) {
      const shortfall = await shortfallOf(parts, published, { replicas, timeoutMs }, response);
      if (shortfall !== undefined) return sendError(response, shortfall);
    }
    sendJson(response, status, parts.toJson(published));
    return status;
  } catch (error) {
    const result = resultOf(error, request, counted.receivedBytes);
    parts.upload.onEnd(result, counted.receivedBytes);
    const fields = { name: route.uploadName, receivedBytes: counted.receivedBytes, result, error: messageOf(error) };
    if (result === "failed") parts.log.error(fields, "an upload failed");
    else parts.log.info(fields, "an upload was not taken");
    const status = sendError(response, error);
    discardRest(request);
    return status;
  }
}

/** Waits for other seeders to hold what was published; why they do not, if they do not in time. */
async function shortfallOf(
  parts: UploadParts,
  { image }: Published,
  { replicas, timeoutMs }: { replicas: number; timeoutMs: number },
  response: Response,
): Promise<unknown> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  try {
    await parts.awaitReplicas(image, replicas, timeoutMs, gone.signal);
    return undefined;
  } catch (error) {
    parts.log.warn({ digest: image.digest, error: messageOf(error) }, "published, but too few seeders hold it yet");
    return error;
  }
}

function wholeFrom(query: URLSearchParams, name: string): number {
  const text = query.get(name) ?? "0";
  if (!/^\d{1,9}$/.test(text)) throw new Problem("invalid", `${name}=${text.slice(0, 80)}: write a whole number`);
  return Number(text);
}

async function* count(bytes: AsyncIterable<Uint8Array>, counted: { receivedBytes: number }): AsyncIterable<Uint8Array> {
  for await (const chunk of bytes) {
    counted.receivedBytes += chunk.length;
    yield chunk;
  }
}

function checkParameters(query: URLSearchParams): void {
  for (const key of query.keys()) {
    const shown = key.slice(0, parameterCharactersShownMax);
    if (!parameters.includes(key)) {
      throw new Problem("invalid", `there is no parameter "${shown}"; the nearest is "${nearest(shown, parameters)}"`);
    }
    if (query.getAll(key).length > 1) throw new Problem("invalid", `the parameter "${shown}" is given twice`);
  }
}

function torrentWanted(query: URLSearchParams): boolean {
  const text = query.get("torrent") ?? "true";
  if (text !== "true" && text !== "false") throw new Problem("invalid", `torrent=${text}: write true or false`);
  return text === "true";
}

function contentLengthOf(request: Request): number | undefined {
  const text = request.headers["content-length"];
  if (text === undefined) return undefined;
  const length = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(length)) {
    throw new Problem("invalid", "the Content-Length cannot be read");
  }
  return length;
}

function resultOf(error: unknown, request: Request, receivedBytes: number): UploadResult {
  if (error instanceof Problem) {
    // An image that cannot fit is turned away like any other; a disk that fills up on the way is the seeder's failure.
    const failed = error.kind === "internal" || (error.kind === "exhausted" && receivedBytes > 0);
    return failed ? "failed" : "refused";
  }
  return request.destroyed || request.errored ? "cut" : "failed";
}

function discardRest(request: Request): void {
  if (request.readableEnded || request.destroyed) return;
  request.on("error", () => {});
  request.resume();
  const timer = setTimeout(() => request.destroy(), lingerMs);
  request.once("close", () => clearTimeout(timer));
  request.once("end", () => clearTimeout(timer));
}

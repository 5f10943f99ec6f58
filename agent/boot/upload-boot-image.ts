/** Sends a boot image to the seeder, as an image is published: by HTTP, under the name that is kept for it. */
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { request } from "undici";
import { messageOf, Problem, type ProblemKind } from "../../daemon/problem.ts";
import { seedersMax } from "../seeders/seeder-urls.ts";
import type { Seeders } from "../seeders/seeders.ts";
import { bootNameOf } from "./boot-names.ts";
import type { MadeBootImage } from "./make-boot-image.ts";

/** The seeder compares every page before it answers. */
const answerTimeoutMs = 120_000;
const answerBytesMax = 256 * 1024;

/**
 * Publishes a boot image, at whichever seeder answers.
 *
 * @throws Problem: in the seeder's words where it refuses, "unavailable" if none answers.
 */
export async function uploadBootImage(
  seeders: Pick<Seeders, "url" | "failed">,
  imageDigest: string,
  made: MadeBootImage,
  signal: AbortSignal,
): Promise<void> {
  const away = new Set<string>();
  for (;;) {
    const { url } = seeders;
    try {
      return await uploadTo(url, imageDigest, made, signal);
    } catch (error) {
      if (signal.aborted || !(error instanceof SeederAway)) throw error;
      seeders.failed(error.seederUrl, error);
      // The one asked may send us to another yet, unless it knows of none.
      if (away.has(error.seederUrl) || away.size >= seedersMax) throw error;
      away.add(error.seederUrl);
      if (away.has(seeders.url)) throw error;
    }
  }
}

/** A seeder did not answer. */
class SeederAway extends Problem {
  readonly seederUrl: string;

  constructor(seederUrl: string, message: string, options: ErrorOptions) {
    super("unavailable", message, options);
    this.seederUrl = seederUrl;
  }
}

async function uploadTo(seederUrl: string, imageDigest: string, made: MadeBootImage, signal: AbortSignal) {
  const answer = await put(seederUrl, `${seederUrl}/images/${bootNameOf(imageDigest)}`, made, signal);
  // It has not the image to compare it with, and knows a seeder that has.
  const elsewhere = answer.statusCode === 307 && answer.location !== undefined && URL.canParse(answer.location);
  const location = elsewhere ? (answer.location as string) : "";
  const last = elsewhere ? await put(new URL(location).origin, location, made, signal) : answer;
  if (last.statusCode >= 300) throw refusal(last.statusCode, last.text);
}

interface Answer {
  statusCode: number;
  location: string | undefined;
  text: string;
}

async function put(seederUrl: string, url: string, made: MadeBootImage, signal: AbortSignal): Promise<Answer> {
  try {
    const { statusCode, headers, body } = await request(url, {
      method: "PUT",
      headers: { "content-type": "application/octet-stream", "content-length": String(made.sizeBytes) },
      body: Readable.from(bytesOf(made), { objectMode: false }),
      headersTimeout: answerTimeoutMs,
      signal,
    });
    const location = typeof headers.location === "string" ? headers.location : undefined;
    return { statusCode, location, text: await boundedText(body) };
  } catch (error) {
    signal.throwIfAborted();
    const message = `the seeder does not take the boot image: ${messageOf(error)} (${url})`;
    throw new SeederAway(seederUrl, message, { cause: error });
  }
}

async function* bytesOf({ packed, framesPath }: MadeBootImage): AsyncGenerator<Buffer> {
  yield packed.headBytes;
  yield* createReadStream(framesPath) as AsyncIterable<Buffer>;
}

async function boundedText(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > answerBytesMax) throw new Error("the answer is longer than any of a seeder");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

const kinds: Record<number, ProblemKind> = {
  400: "invalid",
  404: "not-found",
  409: "already-exists",
  507: "exhausted",
};

/** The seeder's errors are {"code", "message"}. */
function refusal(status: number, text: string): Problem {
  const kind = kinds[status] ?? "unavailable";
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === "string" && message !== "") return new Problem(kind, message);
  } catch {
    // Not JSON, so not the seeder's own words.
  }
  return new Problem(
    kind,
    `the seeder answers the boot image with HTTP status ${status}: ${text.trim().slice(0, 200)}`,
  );
}

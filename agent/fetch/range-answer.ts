import { Problem } from "../../daemon/problem.ts";
import type { ImageFacts } from "../cache/records.ts";

/** The head of an HTTP answer. */
export interface OriginAnswer {
  status: number;
  /** By lower-case name. */
  header: (name: string) => string | undefined;
}

/** Longest that a server's Retry-After is heeded; beyond, the fetch asks again all the same. */
const retryAfterMsMax = 300_000;

/** The origin has no place for us now. */
export class OriginBusy extends Problem {
  /** How long it asks us to wait. */
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs: number) {
    super("unavailable", message);
    this.retryAfterMs = retryAfterMs;
  }
}

/**
 * Checks that an answer is what was asked for: the bytes of this image and no other, of the size that the catalog says,
 * at the place asked for (RFC 9110, 14 and 15.3.7).
 *
 * @returns the offset of the body's first byte: the one asked for, or 0 where the server takes no ranges
 * @throws Problem; see HttpOrigin.open
 */
export function checkRangeAnswer(
  answer: OriginAnswer,
  facts: ImageFacts,
  asked: { offset: number; lengthBytes: number | undefined },
): number {
  if (answer.status === 416) throw lie(facts, answer.header("content-range")?.split("/")[1]);
  if (answer.status !== 200 && answer.status !== 206) throw refusal(answer, facts);
  checkEntity(answer, facts);
  if (answer.status === 200) {
    if (asked.lengthBytes !== undefined) {
      throw new Problem("unavailable", "the origin ignores the range asked for; it cannot be a source of pieces");
    }
    const length = answer.header("content-length");
    if (length !== undefined && Number(length) !== facts.sizeBytes) throw lie(facts, length);
    return 0;
  }
  const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(answer.header("content-range") ?? "");
  if (!range) throw new Problem("unavailable", "the origin answers a range without saying which (Content-Range)");
  const [first, last, size] = [Number(range[1]), Number(range[2]), Number(range[3])];
  if (size !== facts.sizeBytes) throw lie(facts, range[3]);
  const lastAsked = asked.lengthBytes === undefined ? size - 1 : asked.offset + asked.lengthBytes - 1;
  if (first !== asked.offset || last !== lastAsked) {
    throw new Problem("unavailable", `the origin was asked for bytes ${asked.offset}-${lastAsked}, sends ${range[0]}`);
  }
  return first;
}

/** The ETag is the digest: a file that has been replaced behind the same URL is noticed before a byte is taken. */
function checkEntity(answer: OriginAnswer, facts: ImageFacts): void {
  const encoding = answer.header("content-encoding");
  if (encoding !== undefined && encoding !== "identity") {
    throw new Problem("unavailable", `the origin sends the image encoded (${encoding}), though asked not to`);
  }
  const etag = answer.header("etag")?.replace(/^W\//, "");
  if (etag === `"${facts.digest}"`) return;
  throw new Problem(
    "data-loss",
    `the origin serves ${etag ? `something else (ETag ${etag})` : "it without saying what it is (no ETag)"} where image ${facts.digest} should be; is something between the agent and the seeder?`,
  );
}

function lie(facts: ImageFacts, offered: string | undefined): Problem {
  return new Problem(
    "data-loss",
    `the catalog says that image ${facts.digest} has ${facts.sizeBytes} bytes, but the origin has ${offered ?? "another number"}; publish the image again`,
  );
}

/** What an answer without bytes means. */
export function refusal(answer: OriginAnswer, facts: ImageFacts): Problem {
  if (answer.status === 404 || answer.status === 410) {
    return new Problem("not-found", `the seeder no longer has image ${facts.digest}; it may have been retired`);
  }
  if (answer.status === 429 || answer.status === 503) {
    return new OriginBusy(`the seeder is busy (HTTP ${answer.status})`, retryAfterMsOf(answer));
  }
  return new Problem("unavailable", `the seeder answers HTTP ${answer.status}`);
}

/** How long to wait: our own seeder says it in milliseconds, too. */
function retryAfterMsOf(answer: OriginAnswer): number {
  const exact = answer.header("bootswarm-retry-after-ms");
  const waitMs = exact === undefined ? Number(answer.header("retry-after") ?? "0") * 1_000 : Number(exact);
  return Number.isFinite(waitMs) ? Math.min(Math.max(waitMs, 0), retryAfterMsMax) : 0;
}

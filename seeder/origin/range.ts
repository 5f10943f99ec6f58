/** Ranges and preconditions of a download (RFC 9110, sections 13 and 14), as far as an immutable file needs them. */

export interface RangeHeaders {
  range: string | undefined;
  ifRange: string | undefined;
  ifNoneMatch: string | undefined;
  ifMatch: string | undefined;
}

/** What to answer: the whole, a part (`end` is exclusive), or a status without bytes. */
export type RangeAnswer =
  | { status: 200 | 206; start: number; end: number }
  | { status: 304 }
  | { status: 412 }
  | { status: 416 };

/**
 * Decides how a download is answered. A header of several ranges, or one that cannot be read, is passed over and the whole
 * is sent, which the RFC allows and every client must understand.
 *
 * @param etag the image's entity tag with its quotes; it is strong.
 */
export function rangeAnswerFor(headers: RangeHeaders, sizeBytes: number, etag: string): RangeAnswer {
  if (headers.ifMatch !== undefined && !namesTag(headers.ifMatch, etag)) return { status: 412 };
  if (headers.ifNoneMatch !== undefined && namesTag(headers.ifNoneMatch.replaceAll("W/", ""), etag)) {
    return { status: 304 };
  }
  const whole = { status: 200, start: 0, end: sizeBytes } as const;
  // If-Range with a date never holds: images have no dates that mean anything.
  if (headers.range === undefined || (headers.ifRange !== undefined && headers.ifRange.trim() !== etag)) return whole;
  const match = /^bytes=\s*(\d{0,16})-(\d{0,16})\s*$/i.exec(headers.range);
  if (!match) return whole;
  const [, first, last] = match as unknown as [string, string, string];
  if (first === "" && last === "") return whole;
  if (first === "") {
    const suffixBytes = Number(last);
    if (suffixBytes === 0) return { status: 416 };
    return { status: 206, start: Math.max(0, sizeBytes - suffixBytes), end: sizeBytes };
  }
  const start = Number(first);
  if (last !== "" && Number(last) < start) return whole;
  if (start >= sizeBytes) return { status: 416 };
  return { status: 206, start, end: last === "" ? sizeBytes : Math.min(Number(last) + 1, sizeBytes) };
}

function namesTag(list: string, etag: string): boolean {
  return list.trim() === "*" || list.split(",").some((tag) => tag.trim() === etag);
}

/** Pages of long answers: where the next begins travels as a token, which clients give back as it is. */
import { Problem } from "../../daemon/problem.ts";
import { idCharactersMax, nodeNameCharactersMax, nodesPerPageMax } from "../inventory/limits.ts";

/** A name and an id, both escaped and in base64. */
const tokenCharactersMax = 8 * (idCharactersMax + nodeNameCharactersMax);

export function pageSizeFrom(asked: number): number {
  return asked === 0 ? nodesPerPageMax : Math.min(asked, nodesPerPageMax);
}

export function tokenAfterNode({ name, id }: { name: string; id: string }): string {
  return tokenOf([name, id]);
}

/** @throws Problem "invalid" for what is no token of ours. */
export function nodeAfter(token: string): { name: string; id: string } {
  const [name, id] = read(token);
  if (typeof name !== "string" || typeof id !== "string") throw noToken();
  return { name, id };
}

export function tokenAtOffset(offset: number): string {
  return tokenOf([offset]);
}

/** @throws Problem "invalid" for what is no token of ours. */
export function offsetFrom(token: string): number {
  const [offset] = read(token);
  if (typeof offset !== "number" || !Number.isSafeInteger(offset) || offset < 0) throw noToken();
  return offset;
}

function tokenOf(place: (string | number)[]): string {
  return Buffer.from(JSON.stringify(place)).toString("base64url");
}

function read(token: string): unknown[] {
  if (token.length > tokenCharactersMax) throw noToken();
  try {
    const place: unknown = JSON.parse(Buffer.from(token, "base64url").toString());
    if (Array.isArray(place)) return place;
  } catch {
    // Said below.
  }
  throw noToken();
}

function noToken(): Problem {
  return new Problem("invalid", "page_token: give back next_page_token of the answer before, or leave it empty");
}

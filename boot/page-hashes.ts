/** Pages that are the same, by their hash: 128 bits of SHA-256, so that nobody can make two that look alike. */
import { hash } from "node:crypto";
import { pageBytes } from "./limits.ts";

/** A page's hash, as a key of a Map. */
export function pageHashOf(page: Uint8Array): string {
  return hash("sha256", page, "binary").slice(0, 16);
}

const zeros = Buffer.alloc(pageBytes);

export function isZeroPage(page: Uint8Array): boolean {
  return zeros.equals(page);
}

/** URLs of seeders, as an operator or a seeder gives them. */
import { isLoopback } from "../../swarm/endpoint.ts";

/** More seeders than any site runs; each may be asked when all others fail. */
export const seedersMax = 16;
const urlCharactersMax = 2_048;

/** Reads a list, or text with commas between. */
export function seederUrlsFrom(given: string | readonly string[]): string[] {
  const urls = typeof given === "string" ? given.split(",") : given;
  return [...new Set(urls.map((url) => url.trim().replace(/\/+$/, "")))];
}

export function isSeederUrl(url: string): boolean {
  if (url.length > urlCharactersMax || !URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return (protocol === "http:" || protocol === "https:") && hostname !== "";
}

/** The host of a URL, an IPv6 address without its brackets. */
export function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, "");
}

/** Whether a URL leads to this machine, whichever that is. */
export function isLoopbackUrl(url: string): boolean {
  const host = hostOf(url);
  return host === "localhost" || isLoopback(host);
}

/** Addresses as BEP 11 and BEP 32 pack them: 4 bytes (IPv4) or 16 (IPv6), then the port in 2, big-endian. */
import { isIPv4, isIPv6 } from "node:net";
import type { Endpoint } from "./types.ts";

export type AddressFamily = "ipv4" | "ipv6";

const compactBytes = { ipv4: 6, ipv6: 18 } as const;

/** undefined for what is no address, such as a host name. */
export function familyOf({ host }: Endpoint): AddressFamily | undefined {
  if (isIPv4(host)) return "ipv4";
  return isIPv6(host) && !host.includes("%") ? "ipv6" : undefined;
}

/** @param endpoints all of the family */
export function packEndpoints(endpoints: readonly Endpoint[], family: AddressFamily): Buffer {
  const width = compactBytes[family];
  const packed = Buffer.alloc(endpoints.length * width);
  endpoints.forEach(({ host, port }, number) => {
    const words = family === "ipv4" ? host.split(".").map(Number) : ipv6Bytes(host);
    packed.set(words, number * width);
    packed.writeUInt16BE(port, (number + 1) * width - 2);
  });
  return packed;
}

/** The first `countMax` of them. @throws Error if the length does not fit. */
export function unpackEndpoints(packed: Uint8Array, family: AddressFamily, countMax: number): Endpoint[] {
  const width = compactBytes[family];
  if (packed.length % width !== 0) throw new Error(`${packed.length} bytes are no ${family} addresses`);
  const view = Buffer.from(packed.buffer, packed.byteOffset, packed.length);
  const endpoints: Endpoint[] = [];
  for (let at = 0; at < Math.min(view.length, countMax * width); at += width) {
    const host = family === "ipv4" ? view.subarray(at, at + 4).join(".") : ipv6Text(view.subarray(at, at + 16));
    endpoints.push({ host, port: view.readUInt16BE(at + width - 2) });
  }
  return endpoints;
}

/** As the URL standard and Node's sockets write it: lower case, shortest. */
function ipv6Text(bytes: Buffer): string {
  const words = Array.from({ length: 8 }, (_, word) => bytes.readUInt16BE(2 * word).toString(16));
  return canonical(words.join(":"));
}

function ipv6Bytes(host: string): Buffer {
  const [head = "", tail] = canonical(host).split("::");
  const wordsOf = (text: string) => text.split(":").filter((word) => word !== "");
  const [front, back] = [wordsOf(head), wordsOf(tail ?? "")];
  const words = [...front, ...Array<string>(8 - front.length - back.length).fill("0"), ...back];
  return Buffer.from(words.map((word) => word.padStart(4, "0")).join(""), "hex");
}

function canonical(host: string): string {
  return new URL(`http://[${host}]`).hostname.slice(1, -1);
}

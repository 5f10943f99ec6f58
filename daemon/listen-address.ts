import { isIP } from "node:net";
import { Problem } from "./problem.ts";

/** Linux' sockaddr_un has room for this much and a zero byte. */
const socketPathBytesMax = 107;

/** Where a daemon's API listens: TCP, or a Unix socket. */
export type ListenAddress = { host: string; port: number } | { path: string };

/**
 * Reads "HOST:PORT", "[IPV6]:PORT" or "unix:/PATH". Port 0 lets the kernel choose.
 *
 * @throws Problem "invalid" for anything else.
 */
export function listenAddressFrom(text: string): ListenAddress {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    if (!path.startsWith("/")) {
      const example = "unix:/run/bootswarm/agent.sock";
      throw new Problem("invalid", `"${text}": a Unix socket's path must be absolute, as in ${example}`);
    }
    if (Buffer.byteLength(path) > socketPathBytesMax) {
      throw new Problem(
        "invalid",
        `${path} is longer than the ${socketPathBytesMax} bytes that a Unix socket's path may have`,
      );
    }
    return { path };
  }
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) {
    throw new Problem("invalid", `"${text}" is no address to listen on; write HOST:PORT, [IPV6]:PORT or unix:/PATH`);
  }
  return { host: match[1] ?? (match[2] as string), port };
}

/** The URL of a TCP address, with brackets where IPv6 needs them. */
export function httpUrlOf(host: string, port: number): string {
  return `http://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

/** Whether only this machine can reach the address. */
export function isLoopback(address: ListenAddress): boolean {
  return "path" in address || address.host === "localhost" || address.host === "::1" || address.host.startsWith("127.");
}

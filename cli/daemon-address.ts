import { usageError } from "./cli-error.ts";

/** The two daemons there are to talk to. */
export type DaemonKind = "seeder" | "agent";

/** Where a daemon's API is. */
export interface DaemonAddress {
  kind: DaemonKind;
  /** As given by the user, for messages. */
  url: string;
  /** Where requests go, without a slash at the end. */
  baseUrl: string;
  /** Path of the Unix socket, where it is one. */
  socketPath: string | undefined;
}

/**
 * Reads "http://HOST:PORT", "https://..." or "unix:/PATH".
 *
 * @throws CliError, usage, for anything else.
 */
export function daemonAddressFrom(kind: DaemonKind, url: string): DaemonAddress {
  if (url.startsWith("unix:")) {
    const path = url.slice("unix:".length);
    if (!path.startsWith("/")) throw wrong(kind, url);
    return { kind, url, baseUrl: "http://localhost", socketPath: path };
  }
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || (parsed.protocol !== "http:" && parsed.protocol !== "https:")) throw wrong(kind, url);
  return { kind, url, baseUrl: url.replace(/\/+$/, ""), socketPath: undefined };
}

/** Most daemons that one command is pointed to. */
const addressesMax = 16;

/**
 * Reads one address, or several with commas between.
 *
 * @throws CliError, usage.
 */
export function daemonAddressesFrom(kind: DaemonKind, urls: string): DaemonAddress[] {
  const each = urls.split(",").map((url) => url.trim());
  if (each.length > addressesMax) throw usageError(`--${kind}: ${each.length} addresses are more than ${addressesMax}`);
  return each.map((url) => daemonAddressFrom(kind, url));
}

function wrong(kind: DaemonKind, url: string) {
  return usageError(`--${kind} "${url}" is no address; write http://HOST:PORT, or unix:/PATH for a Unix socket`);
}

/** The command that starts a daemon. */
export function startCommandOf(kind: DaemonKind): string {
  return kind === "seeder" ? "bootswarm seeder --data DIR" : "bootswarm agent --seeder URL --state DIR";
}

/** What to say when a daemon does not answer: where it was looked for, and the ways out. */
export function unreachableMessage(address: DaemonAddress, reason: string): string {
  const variable = `BOOTSWARM_${address.kind.toUpperCase()}`;
  return (
    `no ${address.kind} answers at ${address.url} (${reason}). Start one with \`${startCommandOf(address.kind)}\`, ` +
    `or point to another with --${address.kind} URL or ${variable}.`
  );
}

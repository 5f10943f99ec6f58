/** Where a PostgreSQL database is, and its password, which is never to be seen. */
import { readFileSync } from "node:fs";
import { messageOf, Problem } from "../../daemon/problem.ts";

/** A password is a line; a file larger than this is something else. */
const passwordBytesMax = 4_096;

export interface PostgresAddress {
  /** As the driver takes it; without a password in it, the driver looks in PGPASSWORD, and PGPASSFILE or ~/.pgpass. */
  url: string;
  /** For people: without password. */
  shown: string;
}

/** Whether a setting is a URL of PostgreSQL. */
export function isPostgresUrl(text: string): boolean {
  return parsed(text) !== undefined;
}

/**
 * Reads the address of a database.
 *
 * @param passwordFile a file with the password as its only line; empty for none
 * @throws Problem "invalid" if the file cannot be read, or the URL is none.
 */
export function postgresAddressFrom(url: string, passwordFile: string): PostgresAddress {
  const parts = parsed(url);
  // The text itself may have a password in it.
  if (!parts) throw new Problem("invalid", "store.url is no URL of PostgreSQL: write postgres://USER@HOST/DATABASE");
  return { url: passwordFile === "" ? url : withPassword(url, passwordIn(passwordFile)), shown: shown(parts) };
}

/** URL's own parser wants a host where a database on a Unix socket has none. */
function parsed(url: string): URL | undefined {
  if (!/^postgres(ql)?:\/\//.test(url)) return undefined;
  const match = /^(postgres(?:ql)?:\/\/(?:[^@/]*@)?)(\/.*)?$/.exec(url);
  return URL.parse(match ? `${match[1]}localhost${match[2] ?? ""}` : url) ?? undefined;
}

function shown(parts: URL): string {
  const socket = parts.searchParams.get("host");
  const port = parts.searchParams.get("port") ?? parts.port;
  const user = parts.searchParams.get("user") ?? decodeURIComponent(parts.username);
  const host = socket === null ? `${parts.hostname}${port === "" ? "" : `:${port}`}` : "";
  return `postgres://${user === "" ? "" : `${user}@`}${host}${parts.pathname}${socket === null ? "" : `?host=${socket}`}`;
}

/** The driver takes a password among the parameters before any other. */
function withPassword(url: string, password: string): string {
  return `${url}${url.includes("?") ? "&" : "?"}password=${encodeURIComponent(password)}`;
}

function passwordIn(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Problem("invalid", `cannot read store.passwordFile (${messageOf(error)})`, { cause: error });
  }
  const password = text.replace(/\r?\n$/, "");
  if (password === "" || password.length > passwordBytesMax || /[\r\n]/.test(password)) {
    throw new Problem("invalid", `${path} (store.passwordFile) must hold the password as its only line`);
  }
  return password;
}

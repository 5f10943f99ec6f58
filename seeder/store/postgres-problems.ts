/** What PostgreSQL and its driver say, as an operator needs to hear it. */
import { messageOf, Problem, systemCodeOf } from "../../daemon/problem.ts";

/** https://www.postgresql.org/docs/current/errcodes-appendix.html, and errors of the system under a connection. */
const awayCodes = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENOENT",
  "EPIPE",
  "ETIMEDOUT",
  "EAI_AGAIN",
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P03", // cannot_connect_now
  "08000",
  "08001",
  "08003",
  "08004",
  "08006",
  "25P03", // idle_in_transaction_session_timeout
]);

/** What the driver says without a code when a connection has gone, or does not come about. */
const awayTexts =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Client was closed)/;

/**
 * The problem behind a failed statement or connection; anything else as it is.
 *
 * @param shown the database's address without password
 */
export function postgresProblem(error: unknown, shown: string): unknown {
  if (error instanceof Problem) return error;
  const code = systemCodeOf(error) ?? "";
  const problem = (kind: Problem["kind"], text: string) => new Problem(kind, text, { cause: error });
  if (awayCodes.has(code) || awayTexts.test(textOf(error))) {
    return problem("unavailable", `the database ${shown} does not answer; see that PostgreSQL runs and can be reached`);
  }
  switch (code) {
    case "ENOTFOUND":
      return problem("unavailable", `there is no host of the database ${shown}; correct store.url`);
    case "28P01": // invalid_password
    case "28000": // invalid_authorization_specification
      return problem(
        "invalid",
        `the database ${shown} refuses this user; give the right password in PGPASSWORD, ~/.pgpass or store.passwordFile, and see pg_hba.conf`,
      );
    case "3D000": // invalid_catalog_name
      return problem("invalid", `there is no database ${shown}; make it with createdb, or correct store.url`);
    case "42501": // insufficient_privilege
      return problem("invalid", `the user of the database ${shown} may not do what is needed; let it own the database`);
    case "53300": // too_many_connections
      return problem("unavailable", `the database ${shown} takes no more connections; raise its max_connections`);
    case "53100": // disk_full
      return problem("exhausted", `the disk of the database ${shown} is full; give it space`);
    case "25006": // read_only_sql_transaction
      return problem(
        "unavailable",
        `the database ${shown} is read-only, a standby perhaps; point store.url to the primary`,
      );
    case "57014": // query_canceled
    case "55P03": // lock_not_available
      return problem("unavailable", `the database ${shown} took too long; see what it is busy with`);
    default:
      return passwordMissing(error)
        ? problem(
            "invalid",
            `the database ${shown} asks for a password; give it in PGPASSWORD, ~/.pgpass or store.passwordFile`,
          )
        : error;
  }
}

/** An error of several connection attempts (one per address of a host) has its texts within. */
function textOf(error: unknown): string {
  return error instanceof AggregateError ? messageOf(error.errors[0]) : messageOf(error);
}

function passwordMissing(error: unknown): boolean {
  return /client password must be a string|no password|SASL.*password/i.test(messageOf(error));
}

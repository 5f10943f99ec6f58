/** What can go wrong in a way that a caller can do something about. */
export type ProblemKind =
  | "invalid" // the request makes no sense as it stands
  | "not-found"
  | "already-exists" // the name or thing is taken by something else
  | "conflict" // the state of things forbids it now
  | "exhausted" // a bound is reached: space, queue, rate
  | "unavailable" // something needed does not answer; try again
  | "data-loss" // bytes are not what they should be
  | "cancelled"
  | "unimplemented"
  | "internal";

/**
 * An error for the world's faults, as against our own bugs: its message says what is wrong and what to do, and is shown
 * to users as it stands. The API turns the kind into a Connect code and an HTTP status.
 */
export class Problem extends Error {
  readonly kind: ProblemKind;

  constructor(kind: ProblemKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "Problem";
    this.kind = kind;
  }
}

/** The message of anything thrown, with the messages of its causes. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : messageOf(error.cause);
  const own = error.message || (error as NodeJS.ErrnoException).code || error.name;
  return cause && !own.includes(cause) ? `${own}: ${cause}` : own;
}

/** The `code` of a system error (ENOSPC, EADDRINUSE), if it is one. */
export function systemCodeOf(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

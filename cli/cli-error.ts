/**
 * An error whose message is all that the user needs: what is wrong and what to do. Shown as one line, without a stack.
 * Anything else that reaches the top is our bug.
 */
export class CliError extends Error {
  /** The process's exit status: 1, or 2 where the command line itself is wrong. */
  readonly exitStatus: number;

  constructor(message: string, options?: ErrorOptions & { exitStatus?: number }) {
    super(message, options);
    this.name = "CliError";
    this.exitStatus = options?.exitStatus ?? 1;
  }
}

/** A command line that makes no sense. */
export function usageError(message: string): CliError {
  return new CliError(message, { exitStatus: 2 });
}

/** The first code of a system error (ECONNREFUSED, ENOENT) among an error and its causes. */
export function systemCodeIn(error: unknown): string | undefined {
  for (let each = error; each instanceof Error; each = each.cause) {
    const { code } = each as NodeJS.ErrnoException;
    if (typeof code === "string") return code;
  }
  return undefined;
}

import { Problem } from "./problem.ts";

/** A command line that makes no sense, whatever the configuration. */
export class UsageProblem extends Problem {
  constructor(message: string) {
    super("invalid", message);
  }
}

/** The process's exit status for an error: 1 for what went wrong, 2 for a command line that makes no sense. */
export function exitStatusOf(error: unknown): 1 | 2 {
  return error instanceof UsageProblem ? 2 : 1;
}

import { daemonAddressesFrom, daemonAddressFrom } from "./daemon-address.ts";
import { type Agent, agentAt, type Seeder, seederAt } from "./daemons.ts";
import { type Style, styleFor, type Terminal } from "./style.ts";

/** What a command has to work with: streams, time, an end, and the daemons it was pointed to. */
export interface Context {
  /** Results, for people and for programs. */
  out: Terminal;
  /** Progress and errors. */
  err: Terminal;
  env: Record<string, string | undefined>;
  now: () => number;
  /** Aborted by Ctrl-C. */
  signal: AbortSignal;
}

/** Options that every command takes. */
export interface GlobalOptions {
  seeder: string;
  agent: string;
  json?: boolean;
}

/** The seeder that a command was pointed to, or several of which any will do. */
export function seederOf(options: GlobalOptions): Seeder {
  return seederAt(...daemonAddressesFrom("seeder", options.seeder));
}

/** The agent that a command was pointed to. */
export function agentOf(options: GlobalOptions): Agent {
  return agentAt(daemonAddressFrom("agent", options.agent));
}

export function outStyle(context: Context): Style {
  return styleFor(context.out, context.env);
}

export function errStyle(context: Context): Style {
  return styleFor(context.err, context.env);
}

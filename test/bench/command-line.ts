/** The command line of a bench that has few options: read, checked, and explained by --help. */
import { parseArgs } from "node:util";

interface Option {
  /** What --help says of it. */
  readonly means: string;
  /** How --help calls its value: N if the default is a number. */
  readonly value?: string;
  /** A number if it must be one above zero; without a default it may be left out. */
  readonly default?: string | number;
}

type Values<Options extends Record<string, Option>> = {
  [Key in keyof Options]: Options[Key] extends { default: number }
    ? number
    : Options[Key] extends { default: string }
      ? string
      : string | undefined;
};

/**
 * The values of `options` in this process's arguments. With --help it prints what there is and ends the process; so it does,
 * with status 2, for what makes no sense.
 *
 * @param name as in package.json's scripts
 * @param about what is measured, and how
 */
export function commandLine<const Options extends Record<string, Option>>(
  name: string,
  about: string,
  options: Options,
): Values<Options> {
  try {
    const { help, ...given } = argumentsOf(options);
    if (help !== true) return valuesOf(options, given);
    process.stdout.write(usageOf(name, about, options));
    process.exit(0);
  } catch (error) {
    console.error(`${name}: ${(error as Error).message}`);
    process.exit(2);
  }
}

function argumentsOf(options: Record<string, Option>): Record<string, unknown> {
  const texts = Object.keys(options).map((key) => [key, { type: "string" }] as const);
  return parseArgs({ options: { ...Object.fromEntries(texts), help: { type: "boolean", short: "h" } } }).values;
}

function valuesOf<Options extends Record<string, Option>>(options: Options, given: object): Values<Options> {
  const values = Object.entries(options).map(([key, option]) => {
    const text = (given as Record<string, string | undefined>)[key];
    return [key, typeof option.default === "number" ? numberFrom(key, text, option.default) : (text ?? option.default)];
  });
  return Object.fromEntries(values) as Values<Options>;
}

function numberFrom(key: string, text: string | undefined, usual: number): number {
  const value = text === undefined ? usual : Number(text);
  if (!(value > 0)) throw new Error(`--${key} ${text}: write a number above 0`);
  return value;
}

function usageOf(name: string, about: string, options: Record<string, Option>): string {
  const rows = Object.entries(options).map(([key, { means, value, default: usual }]) => {
    const head = `--${key} ${value ?? (typeof usual === "number" ? "N" : "TEXT")}`;
    return { head, text: usual === undefined || usual === "" ? means : `${means} (${usual})` };
  });
  const width = Math.max(...rows.map(({ head }) => head.length));
  const lines = rows.map(({ head, text }) => `  ${head.padEnd(width)}  ${text}\n`);
  return `npm run ${name} [-- OPTIONS]: ${about}\n\n${lines.join("")}`;
}

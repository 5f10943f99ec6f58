/** What the command line needs of an output stream; process.stdout and process.stderr have it. */
export interface Terminal {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

type Paint = (text: string) => string;

/** How text is set off on one output stream. */
export interface Style {
  bold: Paint;
  dim: Paint;
  green: Paint;
  yellow: Paint;
  red: Paint;
  cyan: Paint;
  /** Whether block characters and ellipses can be shown. */
  unicode: boolean;
}

/** Colours only on a terminal that can, and not where NO_COLOR (no-color.org) is set. */
export function styleFor(terminal: Terminal, env: Record<string, string | undefined>): Style {
  const colours = terminal.isTTY === true && !env.NO_COLOR && env.TERM !== "dumb";
  const paint = (open: number, close: number): Paint =>
    colours ? (text) => (text === "" ? "" : `\x1b[${open}m${text}\x1b[${close}m`) : (text) => text;
  return {
    bold: paint(1, 22),
    dim: paint(2, 22),
    green: paint(32, 39),
    yellow: paint(33, 39),
    red: paint(31, 39),
    cyan: paint(36, 39),
    unicode: speaksUnicode(env),
  };
}

/** A locale that names no UTF-8 is taken at its word; one that is not set says nothing. */
function speaksUnicode(env: Record<string, string | undefined>): boolean {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || "";
  return locale === "" || /utf-?8/i.test(locale);
}

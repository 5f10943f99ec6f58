import type { Terminal } from "./style.ts";
import { truncated, visibleLength } from "./visible-text.ts";

/** What is to be seen at one moment, for a terminal and for a plain stream. */
export interface View {
  /** The lines on a terminal of this width, redrawn in place. */
  lines(width: number): string[];
  /** The same for a file or pipe, where each line stays; written every few seconds. */
  plain(): string[];
}

/** A few lines that change in place on a terminal, and that are repeated now and then elsewhere. */
export interface LiveRegion {
  /** Shows a view, unless one was shown just now. */
  draw(view: View): void;
  /** Shows the last view for good; what is written next comes below it. */
  finish(view: View): void;
  /** Takes the region off the terminal again and brings back the cursor. */
  clear(): void;
}

/** Faster redraws only flicker and cost CPU. */
const redrawMs = 100;
/** A log of progress wants a line now and then. */
const plainMs = 5_000;
const widthDefault = 80;
const rowsDefault = 24;

const hideCursor = "\x1b[?25l";
const showCursor = "\x1b[?25h";
const eraseLine = "\x1b[2K";
const eraseBelow = "\x1b[J";

/** A region at the cursor. Use `finish` or `clear` in every case, or the cursor stays hidden. */
export function createLiveRegion(terminal: Terminal, now: () => number): LiveRegion {
  return terminal.isTTY ? new TerminalRegion(terminal, now) : new PlainRegion(terminal, now);
}

class TerminalRegion implements LiveRegion {
  readonly #terminal: Terminal;
  readonly #now: () => number;
  #drawnLines = 0;
  #drawnAtMs = -Infinity;

  constructor(terminal: Terminal, now: () => number) {
    this.#terminal = terminal;
    this.#now = now;
  }

  draw(view: View): void {
    if (this.#now() - this.#drawnAtMs < redrawMs) return;
    this.#drawnAtMs = this.#now();
    const rows = this.#terminal.rows ?? rowsDefault;
    const lines = view.lines(this.#width());
    // A region taller than the screen could not be redrawn: its top has scrolled away.
    const fitting = lines.length < rows ? lines : [...lines.slice(0, rows - 2), `… ${lines.length - rows + 2} more`];
    this.#write(fitting, hideCursor);
    this.#drawnLines = fitting.length;
  }

  finish(view: View): void {
    this.#write(view.lines(this.#width()), "");
    this.#terminal.write(showCursor);
    this.#drawnLines = 0;
  }

  clear(): void {
    this.#write([], "");
    this.#terminal.write(showCursor);
    this.#drawnLines = 0;
  }

  #width(): number {
    // One column stays free: some terminals wrap as soon as the last one is written.
    return (this.#terminal.columns ?? widthDefault) - 1;
  }

  #write(lines: readonly string[], prefix: string): void {
    const width = this.#width();
    const up = this.#drawnLines > 0 ? `\x1b[${this.#drawnLines}A` : "";
    // A painted line that is too long is left to the terminal: cutting it could cut a colour's end.
    const body = lines.map((line) => (visibleLength(line) === line.length ? truncated(line, width) : line));
    this.#terminal.write(`${prefix}${up}\r${body.map((line) => `${eraseLine}${line}\n`).join("")}${eraseBelow}`);
  }
}

class PlainRegion implements LiveRegion {
  readonly #terminal: Terminal;
  readonly #now: () => number;
  #drawnAtMs: number;
  #last = "";

  constructor(terminal: Terminal, now: () => number) {
    this.#terminal = terminal;
    this.#now = now;
    this.#drawnAtMs = now();
  }

  draw(view: View): void {
    if (this.#now() - this.#drawnAtMs < plainMs) return;
    this.#write(view);
  }

  finish(view: View): void {
    this.#write(view);
  }

  clear(): void {}

  #write(view: View): void {
    this.#drawnAtMs = this.#now();
    const text = view
      .plain()
      .map((line) => `${line}\n`)
      .join("");
    if (text !== this.#last) this.#terminal.write(text);
    this.#last = text;
  }
}

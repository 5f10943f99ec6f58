import { stripVTControlCharacters } from "node:util";

/**
 * Text from a daemon, made safe for a terminal: whoever may name an image or a node, or word an error, could otherwise
 * move the cursor or paint the screen.
 */
export function printable(text: string): string {
  return text.replace(/\p{Cc}|[\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, "?");
}

/** The columns that text takes on a terminal, colours apart. */
export function visibleLength(text: string): number {
  return [...stripVTControlCharacters(text)].length;
}

/** At most `width` columns of plain text; what is cut is marked. */
export function truncated(text: string, width: number, mark = "…"): string {
  const characters = [...text];
  if (characters.length <= width) return text;
  return characters.slice(0, Math.max(0, width - 1)).join("") + (width > 0 ? mark : "");
}

/** Plain or painted text, filled with blanks to `width` columns. */
export function padded(text: string, width: number, align: "left" | "right" = "left"): string {
  const blanks = " ".repeat(Math.max(0, width - visibleLength(text)));
  return align === "left" ? text + blanks : blanks + text;
}

/** Prose in lines of at most `width` columns, broken between words, each with the indent. */
export function wrapped(text: string, width: number, indent = ""): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line !== "" && visibleLength(indent + longer) > width) {
      lines.push(indent + line);
      line = word;
    } else {
      line = longer;
    }
  }
  return [...lines, indent + line];
}

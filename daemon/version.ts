import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The program's version, from the nearest package.json above: the sources and the packed build lie at different depths. */
export function programVersion(): string {
  for (let directory = import.meta.dirname; directory !== dirname(directory); directory = dirname(directory)) {
    try {
      const { version } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as { version?: unknown };
      if (typeof version === "string") return version;
    } catch {
      // None here; look further up.
    }
  }
  return "unknown";
}

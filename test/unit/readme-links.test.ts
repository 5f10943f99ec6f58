import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");
/** Nothing in them is the project's own text. */
const skipped = new Set(["node_modules", "dist", ".git"]);

function filesIn(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (skipped.has(entry.name)) return [];
    const path = join(directory, entry.name);
    return entry.isDirectory() ? filesIn(path) : [relative(root, path)];
  });
}

const files = filesIn(root);
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: object };

describe.each(files.filter((path) => path.endsWith(".md")))("%s", (path) => {
  const text = readFileSync(join(root, path), "utf8");
  const all = (pattern: RegExp) => [...text.matchAll(pattern)].map(([, found]) => found as string);

  test("links to files that are there", () => {
    const targets = all(/\]\(([^)#\s]+)[^)]*\)/g).filter((target) => !/^[a-z]+:/.test(target));
    expect(targets.filter((target) => !existsSync(join(root, dirname(path), target)))).toEqual([]);
  });

  test("names npm scripts that are there", () => {
    expect(all(/npm run\s+([\w:-]+)/g).filter((script) => !(script in scripts))).toEqual([]);
  });

  test("names source files that are there", () => {
    const named = all(/([\w./-]+\.(?:ts|py|proto))\b/g);
    expect(named.filter((name) => !files.some((file) => file === name || file.endsWith(`/${name}`)))).toEqual([]);
  });
});

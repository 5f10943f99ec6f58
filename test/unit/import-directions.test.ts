import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";

/** What each top folder may import from; the picture is in README. */
const allowed: Record<string, string[]> = {
  proto: [],
  swarm: [],
  daemon: ["proto"],
  boot: [],
  figures: [],
  agent: ["swarm", "daemon", "boot", "proto"],
  seeder: ["swarm", "daemon", "boot", "figures", "proto"],
  cli: ["figures", "proto"],
};

const root = join(import.meta.dirname, "../..");

for (const [folder, others] of Object.entries(allowed)) {
  test(`${folder}/ imports nothing of ours but ${others.join(", ") || "itself"}`, () => {
    const wrong = globSync(`${folder}/**/*.ts`, { cwd: root }).flatMap((file) =>
      importsOf(file)
        .map((specifier) => relative(root, join(root, dirname(file), specifier)).split("/")[0] as string)
        .filter((target) => target !== folder && !others.includes(target))
        .map((target) => `${file} imports from ${target}/`),
    );
    expect(wrong).toEqual([]);
  });
}

function importsOf(file: string): string[] {
  const source = readFileSync(join(root, file), "utf8");
  const specifiers = source.matchAll(/(?:from|import|import\()\s*"(\.{1,2}\/[^"]+)"/g);
  return [...specifiers].map((match) => match[1] as string);
}

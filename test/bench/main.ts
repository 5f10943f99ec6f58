/** npm run bench: which benchmarks there are. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: Record<string, string> };
const benches = Object.entries(scripts).filter(([name]) => name.startsWith("bench:"));
const width = Math.max(...benches.map(([name]) => name.length));

console.log("npm run NAME -- --help tells what one measures and takes; results are in test/bench/results.\n");
for (const [name, command] of benches.toSorted(([one], [other]) => one.localeCompare(other))) {
  console.log(`  ${name.padEnd(width)}  ${aboutOf(command.split(" ").find((word) => word.endsWith(".ts")) as string)}`);
}

/** What the program's first comment says after its name, up to the end of the sentence. */
function aboutOf(path: string): string {
  const [, comment = ""] = /^\/\*\*(.*?)\*\//s.exec(readFileSync(join(root, path), "utf8")) ?? [];
  const [, about = ""] =
    /: (.*?)[.;:](\s|$)/.exec(comment.replace(/\s*\n \* ?/g, " ").replaceAll(/\[--.*?\]/g, "")) ?? [];
  return about;
}

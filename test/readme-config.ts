/**
 * README's tables of configuration keys, made from the schemas. `node test/readme-config.ts --write` puts them in;
 * without --write it says whether README is current.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { agentConfigSchema } from "../agent/config.ts";
import { configKeys } from "../daemon/config.ts";
import { seederConfigSchema } from "../seeder/config.ts";

const schemas: Record<string, z.ZodType> = { seeder: seederConfigSchema, agent: agentConfigSchema };

export const readmePath = join(import.meta.dirname, "../README.md");

/** README's text with each table between `<!-- config:NAME -->` and `<!-- /config -->` made anew. */
export function withConfigTables(readme: string): string {
  return Object.entries(schemas).reduce((text, [name, schema]) => {
    const start = `<!-- config:${name} -->\n`;
    const end = "<!-- /config -->";
    const from = text.indexOf(start);
    const to = text.indexOf(end, from);
    if (from < 0 || to < 0) throw new Error(`README.md has no ${start.trim()} ... ${end}`);
    return text.slice(0, from + start.length) + tableOf(schema) + text.slice(to);
  }, readme);
}

function tableOf(schema: z.ZodType): string {
  const rows = configKeys(schema).map(({ key, type, defaultValue, description }) => {
    const shown = defaultValue === undefined ? "(none)" : `\`${defaultValue}\``;
    return `| \`${key}\` | ${type} | ${shown} | ${description.replaceAll("|", "\\|")} |\n`;
  });
  return `| Key | Type | Default | Meaning |\n|---|---|---|---|\n${rows.join("")}`;
}

if (import.meta.main) {
  const readme = readFileSync(readmePath, "utf8");
  const current = withConfigTables(readme);
  if (process.argv.includes("--write")) {
    writeFileSync(readmePath, current);
  } else if (readme !== current) {
    console.error("README.md's configuration tables are out of date: node test/readme-config.ts --write");
    process.exitCode = 1;
  }
}

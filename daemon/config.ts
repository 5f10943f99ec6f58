/**
 * Configuration: a zod schema per daemon, filled from a YAML (or JSON) file and from settings of the command line, the
 * latter first. Keys are spoken of by their dotted path, as in "fetch.concurrency".
 */
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";
import { messageOf, Problem } from "./problem.ts";

/** Largest configuration file read, in bytes. */
const fileBytesMax = 1024 * 1024;

export interface ConfigSources {
  /** Path of a YAML or JSON file. */
  file?: string | undefined;
  /** Values by dotted key, which win over the file's. Strings are read as YAML, so "3" is a number. */
  settings?: Record<string, unknown>;
}

/**
 * Reads and checks a configuration.
 *
 * @throws Problem "invalid" naming every wrong key and value; an unknown key comes with the nearest known one.
 */
export function loadConfig<Schema extends z.ZodType>(schema: Schema, sources: ConfigSources): z.output<Schema> {
  const values = sources.file === undefined ? {} : readConfigFile(sources.file);
  for (const [key, value] of Object.entries(sources.settings ?? {})) {
    if (value !== undefined) setByPath(values, key.split("."), typeof value === "string" ? scalarFrom(value) : value);
  }
  const result = schema.safeParse(values);
  if (result.success) return result.data;
  const known = configKeys(schema).map((entry) => entry.key);
  const where = sources.file === undefined ? "configuration" : `configuration (${sources.file})`;
  const faults = result.error.issues.flatMap((issue) => describeIssue(issue, known));
  throw new Problem("invalid", `${where}: ${faults.join("; ")}`);
}

export interface ConfigKey {
  /** Dotted path. */
  key: string;
  type: string;
  /** As written in YAML; undefined where a value must be given. */
  defaultValue: string | undefined;
  description: string;
}

interface JsonSchema {
  type?: string;
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  enum?: unknown[];
  default?: unknown;
  description?: string;
}

/** Every key of a schema, in the schema's order: what README's table is checked against. */
export function configKeys(schema: z.ZodType): ConfigKey[] {
  return keysBelow(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema, "");
}

function keysBelow(schema: JsonSchema, prefix: string): ConfigKey[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]): ConfigKey[] => {
    const key = prefix + name;
    if (property.properties) return keysBelow(property, `${key}.`);
    const defaultValue = property.default === undefined ? undefined : JSON.stringify(property.default);
    return [{ key, type: typeOf(property), defaultValue, description: property.description ?? "" }];
  });
}

function typeOf(schema: JsonSchema): string {
  if (schema.enum) return schema.enum.join(" \\| ");
  if (schema.type === "array") return `list of ${schema.items?.type ?? "values"}s`;
  return schema.type ?? "value";
}

function readConfigFile(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new Problem("invalid", `cannot read the configuration file ${path}`, { cause: error });
  }
  if (text.length > fileBytesMax)
    throw new Problem("invalid", `${path} is larger than ${fileBytesMax} bytes; is it a configuration file?`);
  try {
    const values: unknown = parse(text) ?? {};
    if (typeof values === "object" && !Array.isArray(values)) return values as Record<string, unknown>;
  } catch (error) {
    throw new Problem("invalid", `${path} is not valid YAML: ${messageOf(error)}`, { cause: error });
  }
  throw new Problem("invalid", `${path} must hold keys and values, as in "fetch: {concurrency: 3}"`);
}

function setByPath(values: Record<string, unknown>, path: string[], value: unknown): void {
  const [head, ...rest] = path as [string, ...string[]];
  if (head === "__proto__") throw new Problem("invalid", "unknown key __proto__");
  if (rest.length === 0) {
    values[head] = value;
    return;
  }
  const below = values[head];
  const next =
    typeof below === "object" && below !== null && !Array.isArray(below) ? (below as Record<string, unknown>) : {};
  values[head] = next;
  setByPath(next, rest, value);
}

function scalarFrom(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return text;
  }
}

function describeIssue(issue: z.core.$ZodIssue, known: string[]): string[] {
  const path = issue.path.join(".");
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((name) => {
      const key = path === "" ? name : `${path}.${name}`;
      return `there is no key "${key}"; the nearest is "${nearest(key, known)}"`;
    });
  }
  return [path === "" ? issue.message : `${path}: ${issue.message}`];
}

/** The candidate with the fewest edits to `text`. */
export function nearest(text: string, candidates: readonly string[]): string {
  let best = candidates[0] ?? "";
  for (const candidate of candidates) if (editDistance(text, candidate) < editDistance(text, best)) best = candidate;
  return best;
}

/** Levenshtein's distance. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const substitution = row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[to.length]!;
}

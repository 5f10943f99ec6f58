/**
 * Configuration: a zod schema per daemon, filled from a YAML (or JSON) file and from settings of the command line, the
 * latter first. Keys are spoken of by their dotted path, as in "fetch.concurrency".
 */
import { closeSync, openSync, readSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";
import { messageOf, Problem } from "./problem.ts";

/** Largest configuration file read, in bytes. */
const fileBytesMax = 1024 * 1024;
/** Most faults named in one error, and most characters shown of a key or of what YAML says: an error is one line. */
const faultsMax = 8;
const shownCharactersMax = 120;

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
  const known = configKeys(schema).map((entry) => entry.key);
  const where = sources.file === undefined ? "configuration" : `configuration (${sources.file})`;
  for (const [key, value] of Object.entries(sources.settings ?? {})) {
    const path = key.split(".");
    // No key has such a part, and setting it would change every object.
    if (path.includes("__proto__")) throw new Problem("invalid", `${where}: ${unknownKey(key, known)}`);
    if (value !== undefined) setByPath(values, path, typeof value === "string" ? scalarFrom(value) : value);
  }
  const result = schema.safeParse(values);
  if (result.success) return result.data;
  const faults = result.error.issues.flatMap((issue) => describeIssue(issue, known));
  const more = faults.length > faultsMax ? `; and ${faults.length - faultsMax} more` : "";
  throw new Problem("invalid", `${where}: ${faults.slice(0, faultsMax).join("; ")}${more}`);
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
  anyOf?: JsonSchema[];
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
  if (schema.anyOf) return [...new Set(schema.anyOf.map(typeOf))].join(" or ");
  if (schema.type === "array") return `list of ${schema.items?.type ?? "values"}s`;
  return schema.type ?? "value";
}

function readConfigFile(path: string): Record<string, unknown> {
  const text = readText(path);
  try {
    const values: unknown = parse(text) ?? {};
    if (typeof values === "object" && !Array.isArray(values)) return values as Record<string, unknown>;
  } catch (error) {
    // Beyond the first line it repeats the file.
    const [reason = ""] = messageOf(error).split("\n");
    throw new Problem("invalid", `${path} is not valid YAML: ${shown(reason.replace(/:$/, ""))}`);
  }
  throw new Problem("invalid", `${path} must hold keys and values, as in "fetch: {concurrency: 3}"`);
}

function readText(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readUpTo(path, fileBytesMax + 1);
  } catch (error) {
    throw new Problem("invalid", `cannot read the configuration file ${path}`, { cause: error });
  }
  if (bytes.length > fileBytesMax)
    throw new Problem("invalid", `${path} is larger than ${fileBytesMax} bytes; is it a configuration file?`);
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (!/[^\P{Cc}\t\n\r\u0085]/u.test(text)) return text;
  } catch {
    // Not UTF-8: as little a text as one with control characters.
  }
  throw new Problem("invalid", `${path} is not a text file; a configuration is YAML or JSON, in UTF-8`);
}

/** The file's first bytes: also of one without end, such as a device. */
function readUpTo(path: string, bytesMax: number): Buffer {
  const bytes = Buffer.alloc(bytesMax);
  const file = openSync(path, "r");
  try {
    let filled = 0;
    for (let read = -1; read !== 0 && filled < bytesMax; filled += read) {
      read = readSync(file, bytes, filled, bytesMax - filled, null);
    }
    return bytes.subarray(0, filled);
  } finally {
    closeSync(file);
  }
}

/** Text from a file or command line, fit for a line on a terminal. */
function shown(text: string): string {
  const plain = text.replace(/\p{Cc}/gu, "?");
  return plain.length > shownCharactersMax ? `${plain.slice(0, shownCharactersMax)}…` : plain;
}

function setByPath(values: Record<string, unknown>, path: string[], value: unknown): void {
  const [head, ...rest] = path as [string, ...string[]];
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
    return issue.keys.map((name) => unknownKey(path === "" ? name : `${path}.${name}`, known));
  }
  return [path === "" ? issue.message : `${shown(path)}: ${shown(issue.message)}`];
}

function unknownKey(key: string, known: string[]): string {
  const text = shown(key);
  return `there is no key "${text}"; the nearest is "${nearest(text, known)}"`;
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

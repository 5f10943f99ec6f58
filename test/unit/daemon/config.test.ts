import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { configKeys, loadConfig, nearest } from "../../../daemon/config.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const schema = z.strictObject({
  listen: z.string().default("127.0.0.1:0").describe("Where."),
  fetch: z
    .strictObject({
      concurrency: z.int().min(1).default(3).describe("How many."),
      hosts: z.array(z.string()).default([]).describe("Which."),
    })
    .prefault({}),
});

async function fileWith(text: string): Promise<string> {
  const path = join(await temporaryDirectory(), "config.yaml");
  await writeFile(path, text);
  return path;
}

describe("loadConfig", () => {
  test("fills in defaults, then the file, then the settings", async () => {
    const file = await fileWith("fetch: {concurrency: 5, hosts: [a]}");
    expect(loadConfig(schema, {})).toEqual({ listen: "127.0.0.1:0", fetch: { concurrency: 3, hosts: [] } });
    expect(loadConfig(schema, { file, settings: { "fetch.concurrency": "7" } })).toEqual({
      listen: "127.0.0.1:0",
      fetch: { concurrency: 7, hosts: ["a"] },
    });
  });

  test("names an unknown key with the nearest known one, wherever it stands", async () => {
    expect(() => loadConfig(schema, { settings: { "fetch.concurency": 1 } })).toThrow(
      /there is no key "fetch.concurency"; the nearest is "fetch.concurrency"/,
    );
    const file = await fileWith("lisen: x");
    expect(() => loadConfig(schema, { file })).toThrow(/"lisen"; the nearest is "listen"/);
  });

  test("names the key of a wrong value", () => {
    expect(() => loadConfig(schema, { settings: { "fetch.concurrency": "many" } })).toThrow(/fetch.concurrency: /);
    expect(() => loadConfig(schema, { settings: { "fetch.concurrency": 0 } })).toThrow(/fetch.concurrency: /);
  });

  test("says which file cannot be read or is no YAML", async () => {
    expect(() => loadConfig(schema, { file: "/nonexistent/config.yaml" })).toThrow(/\/nonexistent\/config.yaml/);
    const file = await fileWith("a: [");
    expect(() => loadConfig(schema, { file })).toThrow(/not valid YAML/);
    const list = await fileWith("- a");
    expect(() => loadConfig(schema, { file: list })).toThrow(/keys and values/);
  });

  test("sets no prototype", () => {
    expect(() => loadConfig(schema, { settings: { "__proto__.polluted": 1 } })).toThrow(/__proto__/);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });
});

test("configKeys lists every key with its type, default and meaning", () => {
  expect(configKeys(schema)).toEqual([
    { key: "listen", type: "string", defaultValue: '"127.0.0.1:0"', description: "Where." },
    { key: "fetch.concurrency", type: "integer", defaultValue: "3", description: "How many." },
    { key: "fetch.hosts", type: "list of strings", defaultValue: "[]", description: "Which." },
  ]);
});

test("nearest finds the candidate with the fewest edits", () => {
  expect(nearest("swarm.prot", ["listen", "swarm.port", "dht.port"])).toBe("swarm.port");
});

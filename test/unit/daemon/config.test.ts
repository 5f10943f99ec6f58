import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { configKeys, loadConfig, nearest } from "../../../daemon/config.ts";
import { Problem } from "../../../daemon/problem.ts";
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

async function fileWith(text: string | Uint8Array): Promise<string> {
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

  test.each([
    ["a NUL", Buffer.from("listen: \0")],
    ["an escape sequence", Buffer.from("listen: [\u001b[31m")],
    ["bytes that are no UTF-8", Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0xff, 0xfe, 0x80])],
  ])("repeats nothing of a file with %s", async (_case, bytes) => {
    const file = await fileWith(bytes);
    expect(() => loadConfig(schema, { file })).toThrow(
      new Problem("invalid", `${file} is not a text file; a configuration is YAML or JSON, in UTF-8`),
    );
  });

  test("takes a file with a byte order mark, tabs and every kind of line end", async () => {
    const file = await fileWith("\ufefflisten: x\t# there\r\nfetch: {}\n");
    expect(loadConfig(schema, { file }).listen).toBe("x");
  });

  test("reads no further than a configuration file goes, be it without end", () => {
    expect(() => loadConfig(schema, { file: "/dev/zero" })).toThrow("/dev/zero is larger than 1048576 bytes");
  });

  test.each([
    ["a key as long as the file", `${"a".repeat(100_000)}: 1`],
    ["a key with escapes", '"\\e[31mred\\nx": 1'],
    ["a thousand unknown keys", Array.from({ length: 1_000 }, (_, index) => `key${index}: 1`).join("\n")],
    ["text that is no YAML", `a: [${"x".repeat(100_000)}\n}`],
  ])("says what is wrong with %s in one short, printable line", async (_case, text) => {
    const file = await fileWith(text);
    expect(() => loadConfig(schema, { file })).toThrow(
      expect.objectContaining({ message: expect.stringMatching(/^\P{Cc}{20,1000}$/u) }),
    );
  });

  test("sets no prototype, and says that there is no such key", async () => {
    const noKey = (key: string) => `there is no key "${key}"; the nearest is "`;
    for (const key of ["__proto__.x", "fetch.__proto__.x", "__proto__"]) {
      expect(() => loadConfig(schema, { settings: { [key]: "1" } })).toThrow(noKey(key));
    }
    const file = await fileWith("__proto__: {x: 1}");
    expect(() => loadConfig(schema, { file })).toThrow(noKey("__proto__"));
    expect(({} as { x?: number }).x).toBeUndefined();
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

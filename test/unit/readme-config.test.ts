import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readmePath, withConfigTables } from "../readme-config.ts";

test("README's tables of configuration keys are those of the schemas", () => {
  const readme = readFileSync(readmePath, "utf8");
  expect(readme, "bring them up to date: node test/readme-config.ts --write").toBe(withConfigTables(readme));
});

import { randomUUID } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Problem, systemCodeOf } from "../../daemon/problem.ts";

const idPattern = /^[0-9a-f-]{36}$/;

/**
 * The id of the seeder of a data directory, made at its first start.
 *
 * @throws Problem "data-loss" if the file is no id.
 */
export async function replicaIdOf(dataDirectory: string): Promise<string> {
  const path = join(dataDirectory, "replica-id");
  try {
    const id = (await readFile(path, "utf8")).trim();
    if (idPattern.test(id)) return id;
    throw new Problem("data-loss", `${path} does not hold a seeder's id; remove it, and a new one is made`);
  } catch (error) {
    if (systemCodeOf(error) !== "ENOENT") throw error;
  }
  const id = randomUUID();
  await writeFile(`${path}.new`, `${id}\n`, { flush: true });
  await rename(`${path}.new`, path);
  return id;
}

import { existsSync, readFileSync } from "node:fs";

/** The version in package.json, which is one folder further up where this runs compiled in dist/. */
export function packageVersion(): string {
  const paths = ["../package.json", "../../package.json"].map((path) => new URL(path, import.meta.url));
  const found = paths.find((path) => existsSync(path));
  if (!found) throw new Error("package.json is missing from the installation");
  return (JSON.parse(readFileSync(found, "utf8")) as { version: string }).version;
}

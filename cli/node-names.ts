import { usageError } from "./cli-error.ts";

/** Names of nodes from a command line: separated by commas, and over several options. */
export function namesOfNodes(text: string, earlier: string[] = []): string[] {
  const names = text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  if (names.length === 0) throw usageError("--nodes: name at least one node");
  return [...earlier, ...names];
}

/** Generates proto/gen into a temporary folder and compares: what is committed must be what the .proto files say. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folder = mkdtempSync(join(tmpdir(), "bootswarm-proto-"));
try {
  run("buf", ["generate", "--output", folder]);
  run("diff", ["--recursive", "--brief", join(folder, "proto/gen"), "proto/gen"]);
  console.log("proto/gen is current");
} finally {
  rmSync(folder, { recursive: true });
}

function run(command: string, args: string[]): void {
  const { status, error } = spawnSync(command, args, { stdio: "inherit" });
  if (error) throw error;
  if (status !== 0) {
    console.error(`${command} ${args.join(" ")} ended with ${status}. If proto/gen has drifted: npm run generate`);
    process.exitCode = 1;
  }
}

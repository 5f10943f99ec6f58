import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lockStateDirectory } from "../../../daemon/state-lock.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const lockFile = join(import.meta.dirname, "../../../daemon/state-lock.ts");

test("a directory is one process's at a time; SIGKILL frees it", async () => {
  const directory = await temporaryDirectory();
  const script = `
    const { lockStateDirectory } = await import(${JSON.stringify(lockFile)});
    lockStateDirectory(${JSON.stringify(directory)});
    // Whoever drops what it got must not lose the lock to the garbage collector.
    for (let round = 0; round < 3; round++) {
      globalThis.gc();
      await new Promise(setImmediate);
    }
    console.log("locked");
    setInterval(() => {}, 1_000);`;
  const holder = spawn(process.execPath, ["--expose-gc", "--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(holder, "exit");
  try {
    await once(holder.stdout, "data");
    expect(() => lockStateDirectory(directory)).toThrow(`in use by another process (pid ${holder.pid})`);
  } finally {
    holder.kill("SIGKILL");
    await ended;
  }
  lockStateDirectory(directory).close();
  lockStateDirectory(directory).close();
});

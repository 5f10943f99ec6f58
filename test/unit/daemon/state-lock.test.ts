import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { stat, writeFile } from "node:fs/promises";
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

test("a lock file that a damaged disk has filled with something is emptied and used", async () => {
  const directory = await temporaryDirectory();
  await writeFile(join(directory, "lock"), randomBytes(10_000));
  const lock = lockStateDirectory(directory);
  expect((await stat(join(directory, "lock"))).size).toBe(0);
  lock.close();
});

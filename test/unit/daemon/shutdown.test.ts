import { execFile } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const shutdown = join(import.meta.dirname, "../../../daemon/shutdown.ts");

/** A daemon that is told to end and, while it closes, a second time after `ms` of its clock: its status, and what it says. */
function endedTwice(ms: number): Promise<{ status: unknown; said: string }> {
  const script = `
    import { runUntilSignal } from ${JSON.stringify(shutdown)};
    let nowMs = 0;
    const log = { info: (_, message) => console.log(message), error: (_, message) => console.log(message) };
    const signal = () => process.kill(process.pid, "SIGTERM");
    const close = async () => {
      nowMs = ${ms};
      const came = new Promise((resolve) => process.once("SIGTERM", resolve));
      signal();
      await came;
    };
    setImmediate(signal);
    // A signal's handler alone keeps no process.
    setInterval(() => {}, 1_000);
    await runUntilSignal(log, async () => ({ close }), () => nowMs);`;
  return new Promise((resolve) =>
    execFile(process.execPath, ["--input-type=module", "-e", script], (error, stdout) =>
      resolve({ status: error ? error.code : 0, said: stdout.replaceAll("\n", " ").trim() }),
    ),
  );
}

test("a signal that comes by two ways ends a daemon in order", async () => {
  expect(await endedTwice(10)).toEqual({ status: 0, said: "stopping stopped" });
});

test("a second signal ends it at once", async () => {
  expect(await endedTwice(2_000)).toEqual({ status: 130, said: "stopping" });
});

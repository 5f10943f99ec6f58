import { expect, test } from "vitest";
import { ReadFailures } from "../../../agent/disk/read-failures.ts";
import { createLog } from "../../../daemon/log.ts";
import { ManualClock } from "../swarm/manual-clock.ts";

test("a read that failed is shown with its disk for ten minutes, and not after the disk is closed", async () => {
  const clock = new ManualClock();
  const failures = new ReadFailures({
    demand: { infoOf: () => undefined },
    fetches: { get: () => undefined },
    onTimeout: () => {},
    clock,
    log: createLog({ level: "silent", name: "test" }),
  });
  const fail = (id: string) =>
    failures.note(
      { kind: "read-failed", id, offset: 0, length: 4_096, error: "input/output error", isTimeout: false },
      { name: "vm-1", digest: "d".repeat(64) },
    );
  fail("a");
  fail("b");
  failures.forget("b");
  await clock.advance(599_000);
  expect([failures.of("a"), failures.of("b"), failures.of("c")]).toEqual(["a read failed: input/output error", "", ""]);
  await clock.advance(2_000);
  expect(failures.of("a")).toBe("");
});

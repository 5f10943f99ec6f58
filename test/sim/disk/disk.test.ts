import { expect, test } from "vitest";
import { type Disk, flushPath, writeAll } from "../../../swarm/disk.ts";
import { EventQueue } from "../event-queue.ts";
import { Random } from "../random.ts";
import { crashesOfARun, runCrashes } from "./crash-run.ts";
import { SimDisk } from "./disk.ts";

/** A disk, and a way to let simulated time pass while something is done to it. */
function newDisk(seed: number) {
  const queue = new EventQueue();
  const disk = new SimDisk(queue, new Random(seed));
  disk.makeDirectory("/d");
  const pass = async <T>(work: (disk: Disk) => Promise<T>): Promise<T> => {
    let isDone = false;
    const result = work(disk.disk).finally(() => {
      isDone = true;
    });
    await queue.run(() => isDone);
    return result;
  };
  return { disk, pass };
}

async function write(disk: Disk, path: string, content: string, sync: boolean): Promise<void> {
  const file = await disk.open(path, "w+");
  await writeAll(file, Buffer.from(content), 0);
  if (sync) await file.sync();
  await file.close();
}

/** What is in /d/file after a loss of power, over many seeds. */
async function outcomes(prepare: (disk: Disk) => Promise<void>): Promise<Set<string | undefined>> {
  const seen = new Set<string | undefined>();
  for (let seed = 1; seed <= 60; seed++) {
    const { disk, pass } = newDisk(seed);
    await pass(prepare);
    disk.losePower();
    seen.add(disk.peek("/d/file")?.toString());
  }
  return seen;
}

test("what was synced, and whose directory was flushed, is never lost with the power", async () => {
  const seen = await outcomes(async (disk) => {
    await write(disk, "/d/file", "synced", true);
    await flushPath(disk, "/d");
  });
  expect(seen).toEqual(new Set(["synced"]));
});

test("of what was not synced anything may be lost: the bytes, the size, the name", async () => {
  const seen = await outcomes((disk) => write(disk, "/d/file", "new", false));
  expect(seen).toEqual(new Set([undefined, "", "\0\0\0", "new"]));
});

test("a rename that was not flushed leaves the old file or the new one, whole", async () => {
  const seen = await outcomes(async (disk) => {
    await write(disk, "/d/file", "old", true);
    await flushPath(disk, "/d");
    await write(disk, "/d/aside", "new", true);
    await disk.rename("/d/aside", "/d/file");
  });
  expect(seen).toEqual(new Set(["old", "new"]));
});

test("the death of a process loses nothing that was done, and ends what it had asked for", async () => {
  const { disk, pass } = newDisk(1);
  const dead = disk.disk;
  await pass((alive) => write(alive, "/d/file", "written", false));
  disk.kill();
  expect(disk.peek("/d/file")?.toString()).toBe("written");
  let isAnswered = false;
  void dead.stat("/d/file").finally(() => {
    isAnswered = true;
  });
  await pass((alive) => alive.stat("/d/file"));
  expect(isAnswered).toBe(false);
});

test("a full disk takes what fits and then refuses; a failed sync may take back what was written", async () => {
  const { disk, pass } = newDisk(3);
  disk.capacityBytes = 8_192;
  const tooMuch = pass(async (each) => write(each, "/d/file", "x".repeat(20_000), true));
  await expect(tooMuch).rejects.toMatchObject({ code: "ENOSPC" });
  expect(disk.peek("/d/file")?.length).toBe(8_192);
  disk.faults = { ...disk.faults, syncError: 100 };
  await expect(pass((each) => flushPath(each, "/d/file"))).rejects.toMatchObject({ code: "EIO" });
  disk.faults = { ...disk.faults, syncError: 0 };
  await pass((each) => flushPath(each, "/d"));
  disk.losePower();
  expect(disk.peek("/d/file")?.length).not.toBe(20_000);
});

const seeds = Array.from({ length: 34 }, (_, at) => at + 1);

test("a fetch crashed at 204 points loses nothing recorded, fetches little twice, and ends with the image", async () => {
  let crashes = 0;
  for (const seed of seeds) {
    const report = await runCrashes(seed, crashesOfARun);
    crashes += report.kills + report.powerLosses;
    expect({ seed, violations: report.violations }).toEqual({ seed, violations: [] });
  }
  expect(crashes).toBe(204);
});

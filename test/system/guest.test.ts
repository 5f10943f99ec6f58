/** The guest that tests of disks run: that it reads what it is given, and is told of what cannot be read. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeRandomFile } from "../fixtures/disks.ts";
import { makeGuest, makeGuestParts, readLoopScript } from "../fixtures/guest.ts";
import { guestReadErrors, guestReads, mebibyteDigests, passRead, wrongReads } from "../fixtures/guest-reads.ts";
import { startMachine } from "../fixtures/machine.ts";
import { Qmp } from "../fixtures/qmp.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";

test("a guest reads its disk again and again, and tells by which bytes it was answered", async () => {
  const directory = await temporaryDirectory();
  const guest = await makeGuest(await makeGuestParts(directory), "reader", readLoopScript);
  const disk = await makeRandomFile(directory, "disk.raw", 4);
  const qmpPath = join(directory, "qmp");
  const blockdevs = [
    { driver: "file", "node-name": "file", filename: disk, "read-only": true },
    { driver: "raw", "node-name": "disk", file: "file", "read-only": true },
  ];
  const machine = await startMachine("guest", { guest, blockdevs, disks: ["disk"], qmpPath });
  await passRead(machine, 0);
  const digests = await mebibyteDigests(disk);
  expect(wrongReads(machine, digests)).toEqual([]);
  expect(guestReadErrors(machine)).toEqual([]);
  expect(guestReads(machine).slice(0, 4)).toEqual(digests.map((md5, index) => ({ pass: 0, index, md5 })));
  const qmp = await Qmp.connect(qmpPath);
  expect(await qmp.execute("query-status")).toMatchObject({ running: true });
});

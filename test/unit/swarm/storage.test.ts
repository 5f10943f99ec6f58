import { createHash, randomBytes } from "node:crypto";
import { open as openFile, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Disk, systemDisk } from "../../../swarm/disk.ts";
import { infoBytesOf, torrentInfoFromInfoBytes } from "../../../swarm/metainfo.ts";
import { Storage } from "../../../swarm/storage.ts";
import { systemClock } from "../../../swarm/system-clock.ts";
import { eventually } from "../../fixtures/processes.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const pieceBytes = 16 * 1024;
const pieceCount = 10;
const data = randomBytes(pieceCount * pieceBytes - 1_000);
const pieces = Array.from({ length: pieceCount }, (_, at) => data.subarray(at * pieceBytes, (at + 1) * pieceBytes));
const pieceHashes = Buffer.concat(pieces.map((piece) => createHash("sha1").update(piece).digest()));
const info = torrentInfoFromInfoBytes(
  infoBytesOf({ name: "image", lengthBytes: data.length, pieceLengthBytes: pieceBytes, pieceHashes }),
);
const other = { ...info, infohash: "ab".repeat(20) };

async function newPlace(disk: Disk = systemDisk) {
  const directory = await temporaryDirectory();
  const paths = { dataPath: join(directory, "data"), havePath: join(directory, "have") };
  const open = (of = info, on = disk) =>
    Storage.open({ info: of, ...paths, complete: false }, new AbortController().signal, {
      disk: on,
      clock: systemClock,
    });
  return { ...paths, open };
}

const indicesOf = ({ have }: Storage) => [...Array(pieceCount).keys()].filter((index) => have.has(index));

/** Flips a byte of a file. */
async function damage(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at]! ^= 0x10;
  await writeFile(path, bytes);
}

/** A place with these pieces recorded, one flush for each. */
async function placeWith(...indices: number[]) {
  const place = await newPlace();
  const storage = await place.open();
  for (const index of indices) {
    await storage.write(index, pieces[index]!);
    await storage.flush();
  }
  await storage.close();
  return place;
}

describe("pieces that are recorded", () => {
  test("are believed without a look, and nothing is repaired", async () => {
    const { open } = await placeWith(1, 5, 9);
    const storage = await open();
    expect(indicesOf(storage)).toEqual([1, 5, 9]);
    expect(storage.repair).toBeUndefined();
    await storage.close();
  });

  test("are hashed when the record is of another torrent", async () => {
    const { open } = await placeWith(1, 5);
    const storage = await open(other);
    expect(storage.repair).toEqual({ hashed: pieceCount, kept: 2, lost: 0 });
    await storage.close();
  });

  test("beyond the end of a file that was cut are lost, the others stay; so it is after one more crash", async () => {
    const { dataPath, open } = await placeWith(0, 3, 7, 9);
    await truncate(dataPath, 5 * pieceBytes);
    const storage = await open();
    expect(indicesOf(storage)).toEqual([0, 3]);
    expect(storage.repair).toEqual({ hashed: 0, kept: 0, lost: 2 });
    expect((await stat(dataPath)).size).toBe(data.length);
    // Not closed: it crashes.
    const again = await open();
    expect(indicesOf(again)).toEqual([0, 3]);
    await again.close();
    await storage.close();
  });

  test.each([0, 1])("are those of the slot that is whole when slot %i is torn", async (slot) => {
    const { havePath, open } = await placeWith(2, 4);
    await damage(havePath, slot * 4_096 + 28);
    const storage = await open();
    expect(indicesOf(storage)).toEqual([2, 4]);
    expect(storage.repair?.hashed ?? 0).toBeLessThanOrEqual(1);
    await storage.close();
  });

  test("are hashed, and kept where they are right, when both slots are torn or the record is gone", async () => {
    const { havePath, open } = await placeWith(2, 4);
    await writeFile(havePath, randomBytes(9_000));
    const storage = await open();
    expect(indicesOf(storage)).toEqual([2, 4]);
    expect(storage.repair).toEqual({ hashed: pieceCount, kept: 2, lost: 0 });
    await storage.close();
    expect((await open()).repair).toBeUndefined();
  });
});

describe("pieces that were written and not recorded", () => {
  test("are hashed after the process died, and nothing else is", async () => {
    const { havePath, dataPath, open } = await placeWith(2);
    const dying = await open();
    await dying.write(6, pieces[6]!);
    await dying.write(8, pieces[8]!);
    await eventually(async () => ((await readFile(havePath)).at(-2)! & 0x02) !== 0 || undefined, "piece 6 is noted");
    const file = await openFile(dataPath, "r+");
    await file.write(Buffer.from("wrong"), 0, 5, 8 * pieceBytes);
    await file.close();
    const storage = await open();
    expect(indicesOf(storage)).toEqual([2, 6]);
    expect(storage.repair).toMatchObject({ hashed: 2, kept: 1, lost: 0 });
    await storage.close();
    await dying.close();
  });

  test("are not believed after a sync has failed, though later ones succeed and their bytes can be read", async () => {
    let failing = false;
    const faulty: Disk = {
      ...systemDisk,
      open: async (path, flags) => {
        const file = await systemDisk.open(path, flags);
        if (!path.endsWith("data")) return file;
        return new Proxy(file, {
          get: (target, name) => {
            if (name === "datasync" && failing) {
              failing = false;
              return () => Promise.reject(Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" }));
            }
            const value = Reflect.get(target, name) as unknown;
            return typeof value === "function" ? value.bind(target) : value;
          },
        });
      },
    };
    const { open } = await newPlace(faulty);
    const storage = await open();
    await storage.write(1, pieces[1]!);
    await storage.flush();
    await storage.write(2, pieces[2]!);
    failing = true;
    await expect(storage.flush()).rejects.toThrow("EIO");
    await expect(storage.flush()).rejects.toThrow("EIO");
    await expect(storage.close()).rejects.toThrow("EIO");
    const again = await open();
    expect(indicesOf(again)).toEqual([1]);
    await again.close();
  });
});

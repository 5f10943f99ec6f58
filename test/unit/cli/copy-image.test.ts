import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { mkdir, open, readdir, readFile, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type CopyMethod, copyImage } from "../../../cli/files/copy-image.ts";
import { qemuCommand } from "../../../cli/files/overlay.ts";
import { makeFile, targetFileAt } from "../../../cli/files/target-file.ts";
import { temporaryDirectory } from "../../fixtures/temporary-directory.ts";

const MiB = 1024 * 1024;

/** A sparse image: data, a hole, data, and a hole at its end. */
async function image() {
  const directory = await temporaryDirectory();
  const source = join(directory, "data");
  const bytes = Buffer.alloc(8 * MiB + 100);
  randomBytes(MiB).copy(bytes, 0);
  randomBytes(64 * 1024).copy(bytes, 5 * MiB + 3);
  await writeFile(source, bytes.subarray(0, MiB));
  await truncate(source, bytes.length);
  await using file = await open(source, "r+");
  await file.write(bytes, 5 * MiB + 3, 64 * 1024, 5 * MiB + 3);
  return { directory, source, bytes };
}

interface Asked {
  method?: CopyMethod;
  force?: boolean;
  signal?: AbortSignal;
  onBytes?: (bytes: number) => void;
}

async function copyTo(path: string, source: string, sizeBytes: number, asked: Asked = {}): Promise<CopyMethod> {
  const { method, force = false, signal = new AbortController().signal, onBytes = () => {} } = asked;
  const target = await targetFileAt(path, force);
  return makeFile(target, (aside) => copyImage({ source, sizeBytes, method, onBytes, signal }, aside));
}

describe("a copy of an image's file", () => {
  test("keeps its holes, and tells how far it is", async () => {
    const { directory, source, bytes } = await image();
    const path = join(directory, "copy");
    const told: number[] = [];
    await copyTo(path, source, bytes.length, { method: "copy", onBytes: (done) => told.push(done) });
    expect((await readFile(path)).equals(bytes)).toBe(true);
    expect((await stat(path)).blocks * 512).toBeLessThan(2 * MiB);
    expect([told.length, told.at(-1)]).toEqual([9, bytes.length]);
    expect(await readdir(directory)).toEqual(["copy", "data"]);
  });

  test("is a reflink where the file system has them; where it has not, that is said, or a read-only link takes its place", async () => {
    const { directory, source, bytes } = await image();
    const path = join(directory, "made");
    const how = await copyTo(path, source, bytes.length);
    expect((await readFile(path)).equals(bytes)).toBe(true);
    if (how === "reflink") {
      expect((await stat(path)).ino).not.toBe((await stat(source)).ino);
      return;
    }
    expect(how).toBe("link");
    expect((await stat(path)).ino).toBe((await stat(source)).ino);
    expect((await stat(path)).mode & 0o222).toBe(0);
    const asked = copyTo(join(directory, "other"), source, bytes.length, { method: "reflink" });
    await expect(asked).rejects.toThrow(/reflink copy cannot be made there.*--copy link or --copy copy/);
    expect(await readdir(directory)).toEqual(["data", "made"]);
  });

  test("on another file system is a real copy, and a link there is refused with the reason", async () => {
    const { source, bytes } = await image();
    const elsewhere = join("/dev/shm", `bootswarm-copy-${process.pid}`);
    try {
      expect(await copyTo(elsewhere, source, bytes.length)).toBe("copy");
      expect((await readFile(elsewhere)).equals(bytes)).toBe(true);
      const again = copyTo(elsewhere, source, bytes.length, { method: "link", force: true });
      await expect(again).rejects.toThrow(/hard link cannot be made there \(EXDEV\).*--copy copy/);
    } finally {
      await rm(elsewhere, { force: true });
    }
  });

  test("never replaces a file, unless told to", async () => {
    const { directory, source, bytes } = await image();
    const path = join(directory, "there");
    await writeFile(path, "precious");
    await expect(copyTo(path, source, bytes.length)).rejects.toThrow(/exists already.*--force/);
    expect(await readFile(path, "utf8")).toBe("precious");
    await copyTo(path, source, bytes.length, { force: true });
    expect((await stat(path)).size).toBe(bytes.length);
  });

  test("never replaces a file that came while it was made", async () => {
    const { directory, source, bytes } = await image();
    const path = join(directory, "there");
    const onBytes = (done: number) => {
      if (done === bytes.length) writeFileSync(path, "precious");
    };
    const copying = copyTo(path, source, bytes.length, { method: "copy", onBytes });
    await expect(copying).rejects.toThrow(/exists already/);
    expect(await readFile(path, "utf8")).toBe("precious");
    expect(await readdir(directory)).toEqual(["data", "there"]);
  });

  test("leaves nothing behind when it is stopped", async () => {
    const { directory, source, bytes } = await image();
    const abort = new AbortController();
    const stopping = copyTo(join(directory, "copy"), source, bytes.length, {
      method: "copy",
      signal: abort.signal,
      onBytes: () => abort.abort(new Error("Ctrl-C")),
    });
    await expect(stopping).rejects.toThrow();
    expect(await readdir(directory)).toEqual(["data"]);
  });

  test.each([
    ["a directory", async (path: string) => void (await mkdir(path)), /is a directory; name the file/],
    ["a dangling link", (path: string) => symlink("/nowhere", path), /exists already/],
  ])("does not take the place of %s", async (_what, make, message) => {
    const { directory, source, bytes } = await image();
    const path = join(directory, "there");
    await make(path);
    await expect(copyTo(path, source, bytes.length)).rejects.toThrow(message);
  });

  test("says what to do where the directory is missing, or the image's file is another or out of reach", async () => {
    const { directory, source, bytes } = await image();
    await expect(copyTo(join(directory, "no", "copy"), source, 1)).rejects.toThrow(/ENOENT.*make it first/);
    await expect(copyTo(join(directory, "copy"), source, 1)).rejects.toThrow(/is it this agent's file/);
    await expect(copyTo(join(directory, "copy"), "/nowhere/data", bytes.length)).rejects.toThrow(
      /cannot be read here \(ENOENT\): is the agent on this machine/,
    );
  });
});

test("QEMU's command quotes what a shell and -drive would take apart", () => {
  expect(qemuCommand("/var/vm.qcow2")).toContain("-drive file=/var/vm.qcow2,format=qcow2,if=virtio");
  expect(qemuCommand("/my vms/a,b.qcow2")).toContain("-drive 'file=/my vms/a,,b.qcow2,format=qcow2,if=virtio'");
});

/** The disk that VMs boot from, in the forms that the cases need. Kept from one run of the benchmark to the next. */
import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, renameSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { makeDebianDisk } from "../../fixtures/debian-disk.ts";
import { requireTool, run } from "../../fixtures/tools.ts";

export interface BenchDisk {
  rawPath: string;
  /** The same as a compressed qcow2, as images are usually published. */
  qcow2Path: string;
  sizeBytes: number;
  /** Of the raw file: the rest are holes. */
  allocatedBytes: number;
  qcow2Bytes: number;
  sha256: string;
}

/** Makes the disk in a directory, unless it is there. */
export async function benchDisk(directory: string): Promise<BenchDisk> {
  mkdirSync(directory, { recursive: true });
  const rawPath = join(directory, "debian.raw");
  const qcow2Path = join(directory, "debian.qcow2");
  if (!existsSync(rawPath)) {
    console.log("making a Debian disk: a minute or more");
    await made(directory, rawPath, (inside) => makeDebianDisk(inside, "debian"));
  }
  if (!existsSync(qcow2Path)) {
    requireTool("qemu-img");
    await made(directory, qcow2Path, async (inside) => {
      const path = join(inside, "debian.qcow2");
      await run("qemu-img", ["convert", "-c", "-O", "qcow2", rawPath, path], { timeoutMs: 600_000 });
      return path;
    });
  }
  const { size, blocks } = statSync(rawPath);
  const hash = createHash("sha256");
  await pipeline(createReadStream(rawPath, { highWaterMark: 1024 * 1024 }), hash);
  return {
    rawPath,
    qcow2Path,
    sizeBytes: size,
    allocatedBytes: blocks * 512,
    qcow2Bytes: statSync(qcow2Path).size,
    sha256: hash.digest("hex"),
  };
}

/** Makes a file in a directory of its own: it appears under its name once it is whole. */
export async function made(directory: string, path: string, make: (inside: string) => Promise<string>): Promise<void> {
  const inside = await mkdtemp(join(directory, "making-"));
  try {
    renameSync(await make(inside), path);
  } finally {
    await rm(inside, { recursive: true, force: true });
  }
}

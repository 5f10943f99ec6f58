/** Debian variants with their recorded boots and boot images, kept from one run to the next. */
import { existsSync, mkdirSync, openSync, readFileSync, readSync, statSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type Packed, type PackSource, packBootImage } from "../../../boot/pack.ts";
import { profileOfReads } from "../../../boot/profile.ts";
import { makeDebianDisk } from "../../fixtures/debian-disk.ts";
import { sha256Of } from "../../fixtures/disks.ts";
import { made } from "../boot/disk.ts";
import type { Accelerator } from "../boot/vm.ts";
import { type BootTrace, recordBoot } from "./trace.ts";

/** Variants by name, with their packages beside the least that boots. */
export const variants: Record<string, string[]> = {
  debian: [],
  "debian-web": ["openssh-server", "nginx-light"],
  "debian-db": ["openssh-server", "postgresql"],
};

export interface BenchImage {
  name: string;
  rawPath: string;
  tracePath: string;
  trace: BootTrace;
}

/** Makes a variant and records its boot, unless both are there. */
export async function benchImage(directory: string, name: string, accel: Accelerator): Promise<BenchImage> {
  mkdirSync(directory, { recursive: true });
  const rawPath = join(directory, `${name}.raw`);
  if (!existsSync(rawPath)) {
    console.log(`making ${name}: a minute or more`);
    await made(directory, rawPath, (inside) => makeDebianDisk(inside, name, variants[name]));
  }
  const tracePath = join(directory, `${name}.trace.json`);
  if (!existsSync(tracePath)) {
    console.log(`recording a boot of ${name}`);
    writeFileSync(tracePath, JSON.stringify(await recordBoot(rawPath, directory, accel)));
  }
  return { name, rawPath, tracePath, trace: JSON.parse(readFileSync(tracePath, "utf8")) as BootTrace };
}

/** Makes an image's boot image as the agent does, of its recorded reads. */
export async function makeBootImage(
  { rawPath, trace }: Pick<BenchImage, "rawPath" | "trace">,
  path: string,
  sources: PackSource[] = [],
): Promise<Packed> {
  const profile = profileOfReads(
    { digest: await sha256Of(rawPath), sizeBytes: trace.imageBytes },
    trace.reads.map(([offset, length]) => [offset, length] as const),
  );
  const raw = openSync(rawPath, "r");
  const frames: Uint8Array[] = [];
  const packed = await packBootImage({
    profile,
    readImage: async (offset, length) => {
      const bytes = Buffer.alloc(length);
      readSync(raw, bytes, 0, length, offset);
      return bytes;
    },
    sources: async () => sources,
    write: async (bytes) => {
      frames.push(bytes);
    },
  });
  const file = openSync(path, "w");
  for (const bytes of [packed.headBytes, ...frames]) writeSync(file, bytes);
  return packed;
}

export function allocatedBytes(path: string): number {
  return statSync(path).blocks * 512;
}

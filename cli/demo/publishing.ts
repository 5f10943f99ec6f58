import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { formatBytes, formatSeconds } from "../../figures/units.ts";
import type { Image } from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import type { Seeder } from "../daemons.ts";
import { createLiveRegion } from "../live-region.ts";
import { renderTransfer } from "../progress.ts";
import { createRateMeter } from "../rate-meter.ts";
import type { Style, Terminal } from "../style.ts";
import { uploadImage } from "../upload.ts";
import { writeDiskImage } from "./disk-images.ts";

/** What publishing needs, and where it is shown. */
export interface Publishing {
  out: Terminal;
  style: Style;
  now: () => number;
  signal: AbortSignal;
  stage: { folder: string };
}

/** An image in the catalog. */
export interface Published {
  name: string;
  digest: string;
}

/** A catalog name for a file of the user's: what may not be in a name becomes a dash. */
export function nameFrom(path: string): string {
  const name = basename(path)
    .replace(/\.(qcow2|img|raw)$/i, "")
    .replace(/[^A-Za-z0-9._-]+/g, "-");
  return name.replace(/^[^A-Za-z0-9]+/, "").slice(0, 40) || "my-image";
}

/** Makes a disk image, publishes it, and removes the file again: the seeder has it. */
export async function publishMade(
  publishing: Publishing,
  seeder: Seeder,
  image: { name: string; sizeBytes: number; torrent: boolean },
): Promise<Published> {
  const path = join(publishing.stage.folder, `${image.name}.raw`);
  await writeDiskImage(path, image.name, image.sizeBytes);
  const published = await publishFile(publishing, seeder, { path, name: image.name, torrent: image.torrent });
  await rm(path);
  return published;
}

/** Publishes a file with a bar while it is sent, and a line when it is done. */
export async function publishFile(
  publishing: Publishing,
  seeder: Seeder,
  file: { path: string; name: string; torrent: boolean },
): Promise<Published> {
  const { out, style, now, signal } = publishing;
  const region = createLiveRegion(out, now);
  const startMs = now();
  const meter = createRateMeter(startMs);
  let image: Image;
  try {
    image = await uploadImage(seeder.address, {
      ...file,
      sha256: undefined,
      signal,
      onSent: (doneBytes, totalBytes) => {
        meter.note(doneBytes, now());
        const transfer = { label: file.name, doneBytes, totalBytes, bytesPerSecond: meter.rate(), notes: [] };
        region.draw({
          lines: (width) => [`  ${renderTransfer(transfer, { width: width - 2, style })}`],
          plain: () => [],
        });
      },
    });
  } finally {
    region.clear();
  }
  const seconds = formatSeconds((now() - startMs) / 1000);
  const link = image.magnetUri === "" ? "no magnet link" : `${image.magnetUri.slice(0, 40)}…`;
  const size = formatBytes(image.sizeBytes).padStart(8);
  out.write(`  ${file.name.padEnd(12)} ${size}  in ${seconds.padEnd(6)} ${style.dim(link)}\n`);
  return { name: file.name, digest: image.digest };
}

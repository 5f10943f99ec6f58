/** A real Debian disk comes through the swarm, and a machine boots from what came. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { ImageFormat } from "../../proto/gen/bootswarm/image/v1/image_pb.js";
import { ensure, publish, startAgent, startSeeder } from "../fixtures/daemons.ts";
import { makeDebianDisk } from "../fixtures/debian-disk.ts";
import { bytesNotZero, makeQcow2Disk, sha256Of } from "../fixtures/disks.ts";
import { bootToReady } from "../fixtures/qemu.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { run } from "../fixtures/tools.ts";

/** Two minutes on two idle cores; this is for a slow mirror and busy cores. */
const timeoutMs = 600_000;

test("a Debian disk arrives from the swarm byte for byte, as raw and as qcow2, and boots", {
  timeout: timeoutMs,
}, async () => {
  const directory = await temporaryDirectory();
  const raw = await makeDebianDisk(directory, "debian");
  const qcow2 = await makeQcow2Disk(raw);

  const seeder = await startSeeder(join(directory, "seeder"));
  const images = [await publish(seeder, raw, "debian-raw"), await publish(seeder, qcow2, "debian-qcow2")];
  expect(images.map((image) => image.format)).toEqual([ImageFormat.RAW, ImageFormat.QCOW2]);
  expect(images.map((image) => image.digest)).toEqual([await sha256Of(raw), await sha256Of(qcow2)]);

  const agent = await startAgent(seeder.url, join(directory, "node"));
  const paths: string[] = [];
  for (const [at, image] of images.entries()) {
    const { path, fetch } = await ensure(agent, image.names[0] as string);
    expect(fetch).toMatchObject({ httpBytes: 0n });
    expect(Number(fetch.swarmBytes)).toBeGreaterThanOrEqual(await bytesNotZero([raw, qcow2][at] as string));
    expect(await sha256Of(path)).toBe(image.digest);
    paths.push(path);
  }
  const [cachedRaw, cachedQcow2] = paths as [string, string];
  await run("qemu-img", ["compare", "-f", "raw", "-F", "qcow2", cachedRaw, cachedQcow2]);

  await bootToReady(cachedRaw, "raw", directory);
  expect(await sha256Of(cachedRaw)).toBe(images[0]?.digest);
});

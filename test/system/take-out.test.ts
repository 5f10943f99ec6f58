/** Files of cached images, made by the command line outside the cache. */
import { mkdir, open, readdir, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { ensure, publish, startAgent, startSeeder, type TestAgent } from "../fixtures/daemons.ts";
import { makeQcow2Disk, makeRandomFile, sha256Of } from "../fixtures/disks.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { requireTool, run } from "../fixtures/tools.ts";

const program = join(import.meta.dirname, "../../bin/bootswarm.js");
const MiB = 1024 * 1024;

/** Runs the command line against an agent; its output and error output. */
async function bootswarm(agent: TestAgent, ...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return run(process.execPath, [program, "--agent", agent.url, ...args]);
}

/** A raw disk of 32 MiB with 3 MiB of data in it. */
async function makeSparseDisk(directory: string): Promise<string> {
  const path = join(directory, "sparse.raw");
  const data = await makeRandomFile(directory, "bytes", 3);
  await writeFile(path, "");
  await truncate(path, 32 * MiB);
  await using from = await open(data, "r");
  await using to = await open(path, "r+");
  const { buffer } = await from.read(Buffer.alloc(3 * MiB), 0, 3 * MiB, 0);
  await to.write(buffer, 0, 2 * MiB, 4 * MiB);
  await to.write(buffer, 2 * MiB, MiB, 24 * MiB);
  return path;
}

async function allocatedBytes(path: string): Promise<number> {
  return (await stat(path)).blocks * 512;
}

async function nodeWith(source: string, directory: string) {
  const seeder = await startSeeder(join(directory, "seeder"));
  await publish(seeder, source, "disk");
  const agent = await startAgent(seeder.url, join(directory, "node"));
  const out = join(directory, "out");
  await mkdir(out);
  return { agent, out };
}

test("a sparse image takes as much of the node's disk as of its publisher's, and a copy of it too", async () => {
  const directory = await temporaryDirectory();
  const source = await makeSparseDisk(directory);
  const { agent, out } = await nodeWith(source, directory);
  const { path } = await ensure(agent, "disk");
  expect(await allocatedBytes(path)).toBe(await allocatedBytes(source));

  const copy = join(out, "copy.raw");
  const { stdout, stderr } = await bootswarm(agent, "fetch", "disk", "--to", copy, "--copy", "copy");
  expect([stdout.trim(), stderr]).toEqual([copy, expect.stringMatching(/a copy: it is yours to write to/)]);
  expect(await sha256Of(copy)).toBe(await sha256Of(source));
  expect(await allocatedBytes(copy)).toBe(await allocatedBytes(source));

  const cheapest = join(out, "cheapest.raw");
  const json = JSON.parse((await bootswarm(agent, "--json", "fetch", "disk", "--to", cheapest)).stdout);
  const isSameFile = (await stat(cheapest)).ino === (await stat(path)).ino;
  expect(json.copy).toEqual({ path: cheapest, method: isSameFile ? "link" : "reflink" });
  expect(await sha256Of(cheapest)).toBe(await sha256Of(source));

  await expect(bootswarm(agent, "fetch", "disk", "--to", copy)).rejects.toThrow(/exists already.*--force/);
  expect(await readdir(out)).toEqual(["cheapest.raw", "copy.raw"]);
});

test.each(["raw", "qcow2"])(
  "an overlay on a %s image reads as the image, takes next to nothing, and keeps the image pinned",
  async (format) => {
    requireTool("qemu-img");
    const directory = await temporaryDirectory();
    const raw = await makeSparseDisk(directory);
    const source = format === "raw" ? raw : await makeQcow2Disk(raw);
    const { agent, out } = await nodeWith(source, directory);
    const overlay = join(out, "vm.qcow2");
    const { stdout, stderr } = await bootswarm(agent, "fetch", "disk", "--overlay", overlay);
    expect(stdout.trim()).toBe(overlay);
    expect(stderr).toMatch(/qemu-system-x86_64 .*-drive file=.*vm\.qcow2,format=qcow2/);
    await run("qemu-img", ["compare", "-f", "qcow2", "-F", format, overlay, source]);
    expect(await allocatedBytes(overlay)).toBeLessThan(MiB);
    const { images } = await agent.service.listImages({});
    expect(images).toMatchObject([{ pinned: true }]);
    const info = JSON.parse((await run("qemu-img", ["info", "--output=json", overlay])).stdout);
    expect(info).toMatchObject({ "backing-filename": images[0]?.path, "backing-filename-format": format });
    await expect(bootswarm(agent, "fetch", "disk", "--overlay", overlay)).rejects.toThrow(/exists already/);
  },
);

test("an image is held while an overlay on it is made, and stays pinned for another if that fails", async () => {
  const real = (await run("sh", ["-c", "command -v qemu-img"])).stdout.trim();
  const directory = await temporaryDirectory();
  const { agent, out } = await nodeWith(await makeSparseDisk(directory), directory);
  await ensure(agent, "disk");
  await agent.service.pinImage({ image: "disk" });
  const [overlay, said] = [join(out, "vm.qcow2"), join(directory, "said")];
  // While it runs, somebody tries to remove the image, and an overlay comes to be in the same place.
  const script = `#!/bin/sh
bootswarm="${process.execPath} ${program} --agent ${agent.url}"
$bootswarm unpin disk
$bootswarm rm disk 2> ${said}
$bootswarm pin disk
echo another > ${overlay}
exec ${real} "$@"
`;
  await mkdir(join(directory, "bin"));
  await writeFile(join(directory, "bin/qemu-img"), script, { mode: 0o755 });
  const env = [`PATH=${join(directory, "bin")}:${dirname(process.execPath)}:/usr/bin:/bin`];
  const args = [program, "--agent", agent.url, "fetch", "disk", "--overlay", overlay];
  await expect(run("/usr/bin/env", [...env, process.execPath, ...args])).rejects.toThrow(/exists already/);
  expect(await readFile(said, "utf8")).toMatch(/in use: lease \w+ \(bootswarm fetch --overlay\)/);
  expect((await agent.service.listImages({})).images).toMatchObject([{ pinned: true }]);
  await expect.poll(async () => (await agent.service.listLeases({})).leases).toEqual([]);
});

test("without qemu-img an overlay names the package, and the image is not left pinned", async () => {
  const directory = await temporaryDirectory();
  const { agent, out } = await nodeWith(await makeSparseDisk(directory), directory);
  const args = [program, "--agent", agent.url, "fetch", "disk", "--overlay", join(out, "vm.qcow2")];
  const env = ["-i", `PATH=${dirname(process.execPath)}`];
  const failed = run("/usr/bin/env", [...env, process.execPath, ...args]);
  await expect(failed).rejects.toThrow(/qemu-img is not installed.*qemu-utils/);
  expect((await agent.service.listImages({})).images).toMatchObject([{ pinned: false }]);
  expect(await readdir(out)).toEqual([]);
});

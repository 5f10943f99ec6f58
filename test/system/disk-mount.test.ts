/** Images as plain files through FUSE: read, unmounted, busy, crashed, and under an agent that is restarted. */
import { createHash } from "node:crypto";
import { open, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bootswarm } from "../fixtures/attached-disk.ts";
import { publish, startAgent, startSeeder, type TestAgent } from "../fixtures/daemons.ts";
import { makeRandomFile, sha256Of } from "../fixtures/disks.ts";
import { eventually } from "../fixtures/processes.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { onTestFinished } from "../fixtures/test-hooks.ts";
import { requireTool, run } from "../fixtures/tools.ts";

const MiB = 1024 * 1024;

interface Node {
  agent: TestAgent;
  directory: string;
  /** The image's bytes, in a file of the publisher's. */
  source: string;
  /** Where it may be mounted. */
  path: string;
  seederUrl: string;
}

async function nodeWithImage(): Promise<Node> {
  for (const tool of ["nbdfuse", "nbdkit", "fusermount3"] as const) requireTool(tool);
  const directory = await temporaryDirectory();
  const source = await makeRandomFile(directory, "source", 8);
  const seeder = await startSeeder(join(directory, "seeder"));
  await publish(seeder, source, "disk");
  const agent = await startAgent(seeder.url, join(directory, "node"));
  const path = join(directory, "disk.raw");
  // A mount outlives the agent: without this, the directory could not be removed.
  onTestFinished(() =>
    run("fusermount3", ["-uz", path]).then(
      () => {},
      () => {},
    ),
  );
  return { agent, directory, source, path, seederUrl: seeder.url };
}

/** The process that serves a mount. */
async function mountServer(path: string): Promise<number> {
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
    if (words[0] === "nbdfuse" && words.includes(path)) return Number(pid);
  }
  throw new Error(`no nbdfuse serves ${path}`);
}

test("an image is a plain read-only file where nothing was, before any of it is here, and nothing is left of it unmounted", async () => {
  const { agent, path, source, directory } = await nodeWithImage();
  const mount = (image: string, path: string) => bootswarm(agent, "disk", "mount", image, path);
  await expect(mount("disk", source)).rejects.toThrow(/exists already/);
  await expect(mount("disk", directory)).rejects.toThrow(/exists already/);
  await expect(mount("disk", join(directory, "none/disk"))).rejects.toThrow(
    /directory of .* cannot be used \(ENOENT\)/,
  );
  await expect(mount("none", join(directory, "none"))).rejects.toThrow(/no image "none"|not found|none/);
  await writeFile(join(directory, "kept"), "kept");
  await expect(mount("disk", join(directory, "kept"))).rejects.toThrow(/exists already/);
  expect(await readFile(join(directory, "kept"), "utf8")).toBe("kept");
  expect((await agent.service.listDisks({})).disks).toEqual([]);
  const { stdout } = await bootswarm(agent, "disk", "mount", "disk", path);
  expect(stdout.trim()).toBe(path);
  expect((await stat(path)).size).toBe(8 * MiB);
  expect(await sha256Of(path)).toBe(await sha256Of(source));
  await expect(open(path, "r+")).rejects.toThrow(/EROFS|EACCES|EPERM/);
  await expect(bootswarm(agent, "disk", "mount", "disk", path)).rejects.toThrow(/mounted at .* already/);
  await expect(bootswarm(agent, "rm", "--force", "disk")).rejects.toThrow(/attached as disk disk; detach/);
  await bootswarm(agent, "disk", "unmount", path);
  await expect(stat(path)).rejects.toThrow(/ENOENT/);
  expect((await agent.service.listDisks({})).disks).toEqual([]);
  await expect(bootswarm(agent, "disk", "unmount", path)).rejects.toThrow(/no disk of this agent is mounted at/);
});

test("a mounted file that is open is not unmounted, and is said to be in use by whom", async () => {
  const { agent, path } = await nodeWithImage();
  await bootswarm(agent, "disk", "mount", "disk", path);
  const file = await open(path, "r");
  try {
    const busy = bootswarm(agent, "disk", "unmount", path);
    await expect(busy).rejects.toThrow(new RegExp(`is in use by .*\\(pid ${process.pid}\\)`));
    await bootswarm(agent, "disk", "unmount", "--lazy", path);
    await expect(stat(path)).rejects.toThrow(/ENOENT/);
    expect((await file.read(Buffer.alloc(4096), 0, 4096, 4 * MiB)).bytesRead).toBe(4096);
  } finally {
    await file.close();
  }
  await bootswarm(agent, "disk", "detach", "--force", "disk");
});

test("a mounted file is read on after the agent was killed and has come back", async () => {
  const { agent, path, source, directory, seederUrl } = await nodeWithImage();
  await bootswarm(agent, "disk", "mount", "disk", path);
  const hash = createHash("sha256");
  const file = await open(path, "r");
  try {
    const readHalf = async (offset: number) => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(4 * MiB), 0, 4 * MiB, offset);
      expect(bytesRead).toBe(4 * MiB);
      hash.update(buffer);
    };
    await readHalf(0);
    await agent.process.kill("SIGKILL");
    const second = readHalf(4 * MiB);
    const again = await startAgent(seederUrl, join(directory, "node"));
    await second;
    expect(hash.digest("hex")).toBe(await sha256Of(source));
    await file.close();
    await bootswarm(again, "disk", "unmount", path);
  } finally {
    await file.close().catch(() => {});
  }
});

test("a mount whose server was killed is mounted anew, or unmounted", async () => {
  const { agent, path, source } = await nodeWithImage();
  await bootswarm(agent, "disk", "mount", "disk", path);
  const kill = async () => {
    process.kill(await mountServer(path), "SIGKILL");
    await eventually(
      () =>
        stat(path).then(
          () => undefined,
          (error) => (error.code === "ENOTCONN" ? true : undefined),
        ),
      "dead",
    );
  };
  await kill();
  await bootswarm(agent, "disk", "mount", "disk", path);
  expect(await sha256Of(path)).toBe(await sha256Of(source));
  await kill();
  await bootswarm(agent, "disk", "unmount", path);
  await expect(stat(path)).rejects.toThrow(/ENOENT/);
  expect((await agent.service.listDisks({})).disks).toEqual([]);
});

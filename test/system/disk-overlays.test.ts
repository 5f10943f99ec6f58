/** Overlays on attached disks, as the command line makes them, and what it refuses. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { attachDisk, bootswarm } from "../fixtures/attached-disk.ts";
import { ensure, publish, startAgent, startSeeder, type TestAgent } from "../fixtures/daemons.ts";
import { makeQcow2Disk, makeRandomFile } from "../fixtures/disks.ts";
import { temporaryDirectory } from "../fixtures/temporary-directory.ts";
import { requireTool, run } from "../fixtures/tools.ts";

const program = join(import.meta.dirname, "../../bin/bootswarm.js");

interface Node {
  agent: TestAgent;
  /** The image as a raw file. */
  raw: string;
  /** A directory for what is made. */
  out: string;
}

async function nodeWith(format: "raw" | "qcow2"): Promise<Node> {
  requireTool("qemu-img");
  const directory = await temporaryDirectory();
  const raw = await makeRandomFile(directory, "source.raw", 4);
  const seeder = await startSeeder(join(directory, "seeder"));
  await publish(seeder, format === "raw" ? raw : await makeQcow2Disk(raw), "disk");
  const agent = await startAgent(seeder.url, join(directory, "node"));
  const out = join(directory, "out");
  await mkdir(out);
  return { agent, raw, out };
}

async function infoOf(overlay: string): Promise<Record<string, unknown>> {
  return JSON.parse((await run("qemu-img", ["info", "-U", "--output=json", overlay])).stdout);
}

test.each(["raw", "qcow2"] as const)(
  "an overlay on a %s image that is not here names the file that will be, and opens over it then",
  async (format) => {
    const { agent, raw, out } = await nodeWith(format);
    const overlay = join(out, "vm1.qcow2");
    const { stdout, stderr } = await bootswarm(agent, "disk", "attach", "disk", "--overlay", overlay, "--memory", "4G");
    const { disks } = await agent.service.listDisks({});
    const [disk] = disks;
    expect(disks).toMatchObject([{ name: "vm1", overlayPath: overlay }]);
    // The URI and nothing else, for scripts.
    expect(stdout).toBe(`${disk?.uri}\n`);
    expect(stderr).toMatch(/qemu-system-x86_64 -accel kvm -m 4G -blockdev '\{"driver":"nbd"/);
    expect(stderr).toMatch(new RegExp(`<source file='${overlay}'/>`));
    expect(stderr).toMatch(new RegExp(`<host transport='unix' socket='${disk?.socketPath}'/>`));
    expect(await infoOf(overlay)).toMatchObject({
      "backing-filename": disk?.imagePath,
      "backing-filename-format": format,
      "virtual-size": 4 * 1024 * 1024,
    });
    expect((await bootswarm(agent, "disk", "list")).stdout).toMatch(/^DISK .*\nvm1 +disk +(arriving|complete) +0 +0 B/);
    await ensure(agent, "disk");
    await run("qemu-img", ["compare", "-f", "qcow2", "-F", "raw", overlay, raw]);
    await bootswarm(agent, "disk", "detach", "vm1");
  },
);

test("what cannot be is said to be, what is in the way stays, and no disk is left attached", async () => {
  const { agent, out } = await nodeWith("raw");
  const attach = (...args: string[]) => bootswarm(agent, "disk", "attach", "disk", ...args);
  await expect(attach("--force")).rejects.toThrow(/--backing and --force go with --overlay/);
  await expect(attach("--qmp", "x")).rejects.toThrow(/--qmp goes with --overlay/);
  const overlay = join(out, "vm1.qcow2");
  const attachOver = (...args: string[]) => attach("--overlay", overlay, ...args);
  await expect(attachOver("--memory", "much")).rejects.toThrow(/--memory "much": write it as QEMU takes it/);
  await expect(attachOver("--name", "a/b")).rejects.toThrow(/"a\/b" is no name for a disk/);
  await expect(bootswarm(agent, "disk", "attach", "none")).rejects.toThrow(/there is no image none in the catalog/);
  await expect(bootswarm(agent, "disk", "detach", "none")).rejects.toThrow(/no disk "none" is attached/);
  const args = [program, "--agent", agent.url, "disk", "attach", "disk", "--overlay", overlay];
  const env = ["-i", `PATH=${dirname(process.execPath)}`];
  const failed = run("/usr/bin/env", [...env, process.execPath, ...args]);
  await expect(failed).rejects.toThrow(/qemu-img is not installed.*qemu-utils/);
  expect((await agent.service.listDisks({})).disks).toEqual([]);
  expect(await readdir(out)).toEqual([]);
  expect((await bootswarm(agent, "disk", "list")).stderr).toMatch(/no disks; bootswarm disk attach IMAGE makes one/);
  await writeFile(overlay, "another");
  await expect(attachOver()).rejects.toThrow(
    /vm1.qcow2 exists already; choose another path, or replace it with --force/,
  );
  expect(await readFile(overlay, "utf8")).toBe("another");
  expect((await agent.service.listDisks({})).disks).toEqual([]);
  await attachOver("--force");
  expect(await infoOf(overlay)).toMatchObject({ format: "qcow2" });
  await expect(attachOver("--force")).rejects.toThrow(/a disk "vm1" is attached already: disk; choose another name/);
});

test("QEMU starts by each of the lines that are printed, with a disk to write to", async () => {
  requireTool("qemu-system-x86_64");
  const { agent, out, raw } = await nodeWith("qcow2");
  const kinds: Record<string, string[]> = {
    none: ["--name", "none"],
    file: ["--overlay", join(out, "file.qcow2"), "--qmp", join(out, "qmp,1")],
    nbd: ["--overlay", join(out, "nbd, 'odd'.qcow2"), "--backing", "nbd", "--name", "nbd"],
  };
  for (const [kind, args] of Object.entries(kinds)) {
    const { qemuOptions } = await attachDisk(agent, "disk", ...args);
    const options = ["-accel", "tcg", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio", ...qemuOptions];
    const commands = ["qmp_capabilities", "query-block", "query-named-block-nodes", "quit"];
    const input = commands.map((execute) => `${JSON.stringify({ execute })}\n`).join("");
    const { stdout } = await run("qemu-system-x86_64", options, { input });
    const answers = stdout.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
    const [, blocks, nodes] = answers.filter((answer) => answer.return !== undefined);
    // A disk to write to.
    expect([kind, blocks.return]).toMatchObject([kind, [{ inserted: { ro: false } }]]);
    const client = nodes.return.find((node: { drv: string }) => node.drv === "nbd");
    expect([kind, client.file]).toEqual([kind, expect.stringMatching(/^nbd\+unix:\/\/\/(none|file|nbd)\?socket=/)]);
  }
  // One over the URI reads as the image, for whatever opens it.
  await run("qemu-img", ["compare", "-f", "qcow2", "-F", "raw", join(out, "nbd, 'odd'.qcow2"), raw]);
});

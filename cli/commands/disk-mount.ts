import { realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { toJson } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { type Disk, DiskSchema } from "../../proto/gen/bootswarm/agent/v1/disk_pb.js";
import { CliError, systemCodeIn } from "../cli-error.ts";
import { agentOf, type Context, errStyle, type GlobalOptions } from "../context.ts";
import { type Agent, answerMsMax } from "../daemons.ts";
import { checkMountPath, mountFile, mountStateOf, unmountFile } from "../files/file-mount.ts";
import { incompleteAnswer, showResult } from "../report.ts";
import { diskNameFor } from "../views/vm-disk.ts";

const call = { timeoutMs: answerMsMax };

interface MountOptions extends GlobalOptions {
  name?: string;
  allowOther?: boolean;
}

/** `disk mount IMAGE PATH` and `disk unmount PATH`. */
export function addMountCommands(disk: Command, context: Context): void {
  disk
    .command("mount")
    .summary("give an image as a plain read-only file at once, for whatever opens files; prints its path")
    .description(
      "Mounts an image as a file, whether or not any of it is here: what is read first comes first. For programs that " +
        "cannot read NBD. Needs nbdfuse, nbdkit and FUSE (Debian: libnbd-bin nbdkit fuse3). The file goes on being there " +
        "while the agent restarts; reads wait for it.",
    )
    .argument("<image>", "name or sha256")
    .argument("<path>", "the file to be made")
    .option("--name <name>", "the disk's name; otherwise made of the file's")
    .option(
      "--allow-other",
      "let other users read it; as another user than root that takes user_allow_other in fuse.conf",
    )
    .action((image: string, path: string, _options, command: Command) =>
      mount(context, image, path, command.optsWithGlobals()),
    );
  disk
    .command("unmount")
    .summary("end a mounted file, and its disk")
    .argument("<path>", "the mounted file")
    .option("--lazy", "although it is open: whoever has it open goes on reading")
    .action((path: string, _options, command: Command) => unmount(context, path, command.optsWithGlobals()));
}

async function mount(context: Context, image: string, givenPath: string, options: MountOptions): Promise<void> {
  const { service } = agentOf(options);
  const path = await mountPathFrom(givenPath);
  // Left of one whose process was killed.
  const isDead = (await mountStateOf(path)) === "dead";
  if (!isDead) await checkMountPath(path);
  const there = await mountedDisk(service, path);
  if (there && there.digest !== image && !there.imageNames.includes(image)) {
    throw new CliError(
      `disk ${there.name} of another image was mounted at ${path}; \`bootswarm disk unmount ${path}\` first`,
    );
  }
  if (isDead) await unmountFile(path, true);
  const name = options.name ?? diskNameFor(path);
  const disk = there ?? (await service.attachDisk({ image, name, mountPath: path }, call)).disk;
  if (!disk) throw incompleteAnswer("disk");
  try {
    await mountFile(disk.uri, path, options.allowOther ?? false, context.signal);
  } catch (error) {
    await service.detachDisk({ name: disk.name, force: true }, call).catch(() => {});
    if (!context.signal.aborted) throw error;
    throw new CliError(`stopped; nothing is mounted at ${path}`, { exitStatus: 130 });
  }
  showResult(context, options, toJson(DiskSchema, disk, { alwaysEmitImplicit: true }), path);
  const note = `${disk.imageNames[0] ?? disk.digest} is read-only there; \`bootswarm disk unmount ${path}\` ends it`;
  context.err.write(`${errStyle(context).dim(note)}\n`);
}

async function unmount(
  context: Context,
  givenPath: string,
  options: GlobalOptions & { lazy?: boolean },
): Promise<void> {
  const { service } = agentOf(options);
  const path = await mountPathFrom(givenPath);
  const state = await mountStateOf(path);
  const lazy = options.lazy ?? false;
  const isMounted = state === "mounted" || state === "dead";
  const disk = await mountedDisk(service, path);
  // Another's mount is not ours to end.
  if (!disk)
    throw new CliError(`no disk of this agent is mounted at ${path}; \`bootswarm disk list\` shows those that are`);
  if (isMounted) await unmountFile(path, lazy || state === "dead");
  if (lazy && state === "mounted") {
    const note = `unmounted; disk ${disk.name} stays for those who have it open: \`bootswarm disk detach ${disk.name}\` then`;
    context.err.write(`${errStyle(context).dim(note)}\n`);
  } else {
    await service.detachDisk({ name: disk.name, force: true }, call);
  }
  showResult(context, options, toJson(DiskSchema, disk, { alwaysEmitImplicit: true }), `unmounted ${path}`);
}

/** As the kernel knows it: without symbolic links on the way. */
async function mountPathFrom(given: string): Promise<string> {
  const path = resolve(given);
  const directory = await realpath(dirname(path)).catch((error: unknown) => {
    throw new CliError(`the directory of ${given} cannot be used (${systemCodeIn(error)}); make it first`);
  });
  return join(directory, basename(path));
}

async function mountedDisk(service: Agent["service"], path: string): Promise<Disk | undefined> {
  const { disks } = await service.listDisks({}, call);
  return disks.find(({ mountPath }) => mountPath === path);
}
